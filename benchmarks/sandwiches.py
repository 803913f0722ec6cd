"""Layers between two convolutions, where they meet the layouts of a network; and the convolutions alone.

    python -m benchmarks layers

The time of a layer is that of conv 1x1 -> layer -> conv 1x1 less that of the two convolutions: what it costs to bring
values into another layout and back, and what is saved by computing layers together, is counted too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

import foveate as fv
from foveate.graph import Graph, GraphBuilder
from foveate.layers import Layer, SpatialLayer
from foveate.layers import Shape as Sizes
from foveate.layers.convolution import Convolution

PREFIX = "layer "
"""What the names of these networks begin with, where others are the zoo's."""

LAST_FILTERS = 16


@dataclass(frozen=True)
class Sandwich:
    """A layer, or None for the convolutions alone; the shape of its input, or inputs, and the samples in a batch.

    Before a layer that makes NaN of negative numbers, each convolution is followed by a sigmoid, with and without it.
    """

    layer: Layer | None
    shape: Sizes
    batch_size: int
    inputs: int = 1
    positive: bool = False

    @property
    def name(self) -> str:
        """What the layer does, to which input."""
        sigmoids = " with sigmoids" if self.positive else ""
        what = f"no layer, {self.inputs} before{sigmoids}" if self.layer is None else self.layer.describe()
        return f"{PREFIX}{what}, {'x'.join(map(str, self.shape))}"

    def alone(self) -> "Sandwich | None":
        """The same convolutions without the layer; None if it leaves fewer positions to the second.

        A second convolution of all positions, or one with a stride, costs more than the one behind such a layer, which
        would seem to cost less than nothing.
        """
        if self.layer is None:
            return self
        made = self.layer.output_shape([self.shape] * self.inputs)
        if prod(made[1:]) < prod(self.shape[1:]):
            return None
        return replace(self, layer=None)

    def work(self, *, training: bool) -> tuple[int, int]:
        """Operations and bytes of the layer itself, for a batch: each array read or written once by each direction.

        The way back takes as many operations for the input's gradient, and for that of weights.
        """
        if self.layer is None:
            return 0, 0
        shapes = [self.shape] * self.inputs
        read, written = self.inputs * prod(self.shape), prod(self.layer.output_shape(shapes))
        weights = sum(prod(each.shape) for each in self.layer.parameters(shapes).values())
        cost = self.layer.cost(shapes)
        ways = 1 if not training else 3 if cost.macs else 2
        moved = self.batch_size * (read + written) + weights
        if training:
            moved += self.batch_size * (2 * read + written) + 2 * weights
        return ways * self.batch_size * cost.flops, 4 * moved

    def graph(self) -> Graph:
        """The network, which ends in ten classes so that it can be trained."""
        builder = GraphBuilder(name=self.name)
        value = builder.input(self.shape)
        values = []
        for _ in range(self.inputs):
            value = builder.add(_product(self.shape, self.shape[0]), value)
            if self.positive:
                value = builder.add(fv.Sigmoid(), value)
            values.append(value)
        if self.layer is not None:
            value = builder.add(self.layer, *values)
        value = builder.add(_product(value.shape, LAST_FILTERS), value)
        if len(value.shape) > 1:
            value = builder.add(_POOLINGS[len(value.shape) - 1](), value)
        return builder.build(builder.add(fv.Linear(10), value), quiet=True)


_CONVOLUTIONS: Mapping[int, type[Convolution]] = {1: fv.Conv1d, 2: fv.Conv2d, 3: fv.Conv3d}
_POOLINGS: Mapping[int, type[SpatialLayer]] = {1: fv.GlobalAvgPool1d, 2: fv.GlobalAvgPool2d, 3: fv.GlobalAvgPool3d}


def _product(shape: Sizes, filters: int) -> Layer:
    return fv.Linear(filters) if len(shape) == 1 else _CONVOLUTIONS[len(shape) - 1](filters, 1)


PLANE, VOLUME, LINE, FLAT = (64, 56, 56), (32, 16, 28, 28), (64, 2048), (1024,)
"""Shapes of the layers' inputs, with 32 samples in a batch."""


def _dropout(layer_type: type[fv.Dropout] | type[fv.SpatialDropout]) -> Layer:
    """With a rate at which it drops nothing, since no two frameworks drop the same, but has all its work."""
    return layer_type(1e-12)


def _plane(*layers: Layer) -> Iterator[Sandwich]:
    return (Sandwich(layer, PLANE, 32) for layer in layers)


def _everywhere(*layers: Layer) -> Iterator[Sandwich]:
    """Layers for any number of axes, over others than two."""
    for shape in (VOLUME, LINE, FLAT):
        yield from (Sandwich(layer, shape, 32 if shape is not FLAT else 128) for layer in layers)


def _all() -> Iterator[Sandwich]:
    yield from _products()
    yield from _windows()
    yield from _normalizations()
    yield from _plane(
        fv.ReLU(), fv.ReLU6(), fv.Hardtanh(-1, 1), fv.LeakyReLU(), fv.ELU(), fv.SELU(), fv.CELU(), fv.SiLU(), fv.GELU(),
        fv.GELU("tanh"), fv.Mish(), fv.Softplus(), fv.Sigmoid(), fv.Tanh(), fv.Hardswish(), fv.Hardsigmoid(),
        fv.PReLU(), fv.PReLU(per_channel=True), fv.PReLU(axes=(0, 1, 2)), fv.Maxout(2), fv.Softmax(), fv.LogSoftmax(),
        fv.Softmax(axis=2), fv.Clip(-1, 1), fv.Rescale(2, 1), fv.Power(2), fv.Exp(), fv.Abs(), fv.Erf(),
        fv.ThresholdedReLU(),
    )  # fmt: skip
    yield from _plane(
        fv.Affine(), fv.Affine(axes=None), _dropout(fv.Dropout), _dropout(fv.SpatialDropout), fv.Flatten(),
        fv.ChannelShuffle(4), fv.PixelShuffle(2), fv.PixelUnshuffle(2), fv.Reshape((64, 28, 112)),
        fv.Transpose((0, 2, 1)), fv.Transpose((1, 2, 0)), fv.Slice(1, 4, 52), fv.Pad(((0, 0), (1, 1), (1, 1))),
        fv.Pad(((0, 0), (1, 1), (1, 1)), "reflect"), fv.Pad(((0, 16), (0, 0), (0, 0))), fv.Reduce("mean", (1, 2), True),
        fv.Reduce("max", (0,), True), fv.Upsample(2), fv.Upsample(2, mode="linear"),
        fv.Upsample(2, mode="linear", align_corners=True), fv.Resize(28, mode="linear", antialias=True),
        fv.Resize(scale=1.5, mode="cubic"), fv.Linear(64, last_axis=True),
    )  # fmt: skip
    yield from (
        Sandwich(layer, PLANE, 32, inputs=2)
        for layer in (
            fv.Add(), fv.Multiply(), fv.Subtract(), fv.Divide(), fv.Maximum(), fv.Minimum(), fv.MatMul(),
            fv.Concatenate(), fv.Concatenate(axis=1),
        )
    )  # fmt: skip
    yield Sandwich(fv.Log(), PLANE, 32, positive=True)
    yield Sandwich(fv.Raise(), PLANE, 32, inputs=2, positive=True)
    yield from _everywhere(fv.GELU(), _dropout(fv.Dropout))


def _products() -> Iterator[Sandwich]:
    yield from _plane(
        fv.Conv2d(64, 3, padding=1), fv.Conv2d(64, 3, stride=2, padding=1), fv.Conv2d(64, 1, stride=2),
        fv.Conv2d(64, 5, padding=2), fv.Conv2d(64, 7, padding=3), fv.Conv2d(64, 3, padding=2, dilation=2),
        fv.Conv2d(64, 3, padding=1, groups=8), fv.Conv2d(64, 3, padding=1, groups=64),
        fv.Conv2d(64, 5, padding=2, groups=64), fv.Conv2d(64, 5, stride=2, padding=2, groups=64),
        fv.Conv2d(64, 7, padding=3, groups=64), fv.Conv2d(64, 3, padding=1, padding_mode="reflect"),
        fv.ConvTranspose2d(64, 2, stride=2), fv.ConvTranspose2d(64, 3, padding=1),
    )  # fmt: skip
    yield Sandwich(fv.Conv2d(33, 3), (17, 30, 30), 64)
    yield Sandwich(fv.Conv2d(50, 5), (20, 14, 14), 128)
    yield Sandwich(fv.Conv2d(24, 3, padding=1), (24, 56, 56), 32)
    yield Sandwich(fv.Conv2d(128, 3, padding=1, groups=32), (128, 28, 28), 32)
    yield Sandwich(fv.Conv2d(512, 3, padding=1), (512, 7, 7), 32)
    yield from (
        Sandwich(layer, LINE, 32) for layer in (fv.Conv1d(64, 3, padding=1), fv.ConvTranspose1d(64, 2, stride=2))
    )
    yield from (
        Sandwich(layer, VOLUME, 8) for layer in (fv.Conv3d(32, 3, padding=1), fv.ConvTranspose3d(32, 2, stride=2))
    )
    yield Sandwich(fv.Linear(1024), FLAT, 128)


def _windows() -> Iterator[Sandwich]:
    yield from _plane(
        fv.MaxPool2d(2), fv.MaxPool2d(3, stride=2, padding=1), fv.MaxPool2d(3, stride=2, dilation=2),
        fv.MaxPool2d(3, stride=2, ceil_mode=True), fv.AvgPool2d(2), fv.AvgPool2d(3, stride=2, padding=1),
        fv.AvgPool2d(3, stride=2, ceil_mode=True), fv.LPPool2d(2, 2), fv.GlobalAvgPool2d(), fv.GlobalMaxPool2d(),
        fv.AdaptiveAvgPool2d(7), fv.AdaptiveAvgPool2d(3), fv.AdaptiveMaxPool2d(7), fv.AdaptiveMaxPool2d(3),
    )  # fmt: skip
    lines = (
        fv.MaxPool1d(2), fv.AvgPool1d(2), fv.LPPool1d(2, 2), fv.GlobalAvgPool1d(), fv.GlobalMaxPool1d(),
        fv.AdaptiveAvgPool1d(7), fv.AdaptiveMaxPool1d(7),
    )  # fmt: skip
    volumes = (
        fv.MaxPool3d(2), fv.AvgPool3d(2), fv.LPPool3d(2, 2), fv.GlobalAvgPool3d(), fv.GlobalMaxPool3d(),
        fv.AdaptiveAvgPool3d(3), fv.AdaptiveMaxPool3d(3),
    )  # fmt: skip
    yield from (Sandwich(layer, LINE, 32) for layer in lines)
    yield from (Sandwich(layer, VOLUME, 8) for layer in volumes)


def _normalizations() -> Iterator[Sandwich]:
    yield from _plane(
        fv.BatchNorm2d(), fv.LayerNorm(), fv.LayerNorm(trailing_axes=1), fv.RMSNorm(trailing_axes=1), fv.GroupNorm(8),
        fv.InstanceNorm2d(), fv.LocalResponseNorm(5),
    )  # fmt: skip
    yield from (Sandwich(layer, LINE, 32) for layer in (fv.BatchNorm1d(), fv.InstanceNorm1d()))
    yield from (Sandwich(layer, VOLUME, 8) for layer in (fv.BatchNorm3d(), fv.InstanceNorm3d()))
    yield Sandwich(fv.LayerNorm(), FLAT, 128)


def sandwiches() -> list[Sandwich]:
    """One or more for every type of layer."""
    return list(_all())


def sandwich_graph(name: str) -> Graph:
    """The network of that name."""
    whole = [*sandwiches(), *filter(None, (each.alone() for each in sandwiches()))]
    return next(each for each in whole if each.name == name).graph()

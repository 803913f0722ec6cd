"""Convolution over 1, 2 and 3 spatial axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Never, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Unseen, Window, unseen_through, window_reach
from foveate.layers.advice import Way, those_that_work
from foveate.layers.base import Cost, Parameter, Shape, SpatialLayer
from foveate.layers.options import (
    FILTERS_FIRST,
    Ints,
    Padding,
    PaddingOption,
    initializer_name,
    no_surplus,
    one_of,
    padding_pairs,
    per_axis,
    positive_int,
)
from foveate.layers.sliding import derive_sizes, describe_windows, divisors, resolve_windows, window_sizes

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True, init=False)
class Convolution(SpatialLayer):
    """What the convolutions over 1, 2 and 3 axes share; use Conv1d, Conv2d or Conv3d."""

    label: ClassVar[str] = "conv"

    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int
    bias: bool
    initializer: str
    frozen: bool
    padding_mode: str

    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        *surplus: Never,
        stride: Ints = 1,
        padding: PaddingOption = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str = "auto",
        frozen: bool = False,
        padding_mode: str = "zeros",
    ) -> None:
        owner, axes = type(self).__name__, self.spatial_axes
        no_surplus(surplus, owner, FILTERS_FIRST)
        checked = {
            "out_channels": positive_int(out_channels, "out_channels", owner),
            "kernel_size": per_axis(kernel_size, axes, "kernel_size", owner),
            "stride": per_axis(stride, axes, "stride", owner),
            "padding": padding_pairs(padding, axes, owner),
            "dilation": per_axis(dilation, axes, "dilation", owner),
            "groups": positive_int(groups, "groups", owner),
            "bias": bias,
            "initializer": initializer_name(initializer, owner),
            "frozen": frozen,
            "padding_mode": one_of(padding_mode, PADDING_MODES, "padding_mode", owner),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.out_channels % self.groups:
            raise self.refuse(
                f"groups is {groups}, which does not divide out_channels {out_channels}: each group makes an equal "
                f"share of the outputs. Use out_channels {groups * max(1, round(out_channels / groups))}, or groups 1"
            )

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(out_channels, *sizes), each size floor((W - F_eff + P_begin + P_end)/S) + 1."""
        channels, spatial = self.spatial_input(input_shapes)
        if channels % self.groups:
            raise ShapeError(
                f"groups is {self.groups}, which does not divide its {channels} input channels: each group sees an "
                f"equal share of them. Divisors of {channels} are {divisors(channels)}"
            )
        windows = self.windows(input_shapes)
        for size, window in zip(spatial, windows, strict=True):
            self._check_padding_mode(input_shapes[0], size, max(window.padding))
        return self.out_channels, *window_sizes(self, input_shapes[0], windows)

    def _check_padding_mode(self, input_shape: Shape, size: int, padding: int) -> None:
        spare = {"reflect": 1, "circular": 0}.get(self.padding_mode)
        if spare is None or padding <= size - spare:
            return
        most = min(input_shape[1:]) - spare
        takes = "the border itself is not repeated" if self.padding_mode == "reflect" else "it wraps around only once"
        ways = those_that_work(
            self,
            [
                Way(f"at most padding {most}", input_shape, {"padding": most}),
                Way('padding_mode "zeros" or "replicate"', input_shape, {"padding_mode": "zeros"}),
                Way("a larger input", (input_shape[0], *(max(each, padding + spare) for each in input_shape[1:]))),
            ],
        )
        raise ShapeError(
            f'padding_mode "{self.padding_mode}" takes its padding from the input, and {takes}: {size} '
            f"positions provide at most {size - spare} on each side, but the padding is {padding}."
            + (f" Use {ways}" if ways else "")
        )

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (O, C/groups, *kernel_size), and bias (O,) unless `bias` is False."""
        channels = input_shapes[0][0]
        taps = prod(self.kernel_size)
        weight = Parameter(
            shape=(self.out_channels, channels // self.groups, *self.kernel_size),
            initializer=self.initializer,
            decay=True,
            trainable=not self.frozen,
            fan_in=channels // self.groups * taps,
            fan_out=self.out_channels // self.groups * taps,
        )
        if not self.bias:
            return {"weight": weight}
        bias = Parameter((self.out_channels,), "zeros", decay=False, trainable=not self.frozen)
        return {"weight": weight, "bias": bias}

    def windows(self, input_shapes: Sequence[Shape]) -> tuple[Window, ...]:
        """One window for each spatial axis, "same" resolved."""
        _, spatial = self.spatial_input(input_shapes)
        return resolve_windows(spatial, self.kernel_size, self.stride, self.padding, self.dilation)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """What its windows see, also through padding that copies the input."""
        return (tuple(window_reach(window, self.padding_mode) for window in self.windows(input_shapes)),)

    def unseen(self, input_shapes: Sequence[Shape]) -> tuple[Unseen, ...]:
        """What its windows leave out; a position copied into the padding counts as seen."""
        plain = super().unseen(input_shapes)
        if self.padding_mode == "zeros" or plain == (Unseen(),) * len(plain):
            return plain
        reaches = [window_reach(window, self.padding_mode) for window in self.windows(input_shapes)]
        return tuple(map(unseen_through, input_shapes[0][1:], reaches, self.output_shape(input_shapes)[1:]))

    def size_steps(self, input_shapes: Sequence[Shape]) -> tuple[str, ...]:
        """The size formula of each axis."""
        return derive_sizes(input_shapes[0][1:], self.windows(input_shapes), self.output_shape(input_shapes)[1:])

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Each output element is a dot product over the filter's taps, plus its bias."""
        outputs = prod(self.output_shape(input_shapes))
        macs = outputs * (input_shapes[0][0] // self.groups) * prod(self.kernel_size)
        return Cost(macs=macs, flops=2 * macs + (outputs if self.bias else 0))

    def describe(self) -> str:
        """For example 'Conv2d 3x3, stride 2, padding 1, groups 32'."""
        words = f"{type(self).__name__} {describe_windows(self.kernel_size, self.stride, self.padding, self.dilation)}"
        words += f", groups {self.groups}" if self.groups != 1 else ""
        words += f", {self.padding_mode}" if self.padding_mode != "zeros" else ""
        return words + (", frozen" if self.frozen else "")


@final
class Conv1d(Convolution):
    """Convolution over one axis, such as sound or time series.

        y[o, l] = b[o] + sum over c, k of w[o, c, k] x[c, l*stride + k*dilation - padding]

    Input (C, L), output (out_channels, L'). Arguments as for Conv2d.

    >>> Conv1d(32, 9, stride=2, padding=4).output_shape([(1, 8000)])
    (32, 4000)
    """

    spatial_axes: ClassVar[int] = 1


@final
class Conv2d(Convolution):
    """Convolution over two axes (cross-correlation, as in PyTorch).

        y[o, h, w] = b[o] + sum over c, i, j of w[o, c, i, j] x[c, h*S + i*D - P, w*S + j*D - P]

    Input (C, H, W), output (out_channels, H', W') with H' = floor((H - D(F-1) - 1 + 2P)/S) + 1.

    Args:
        out_channels: number of filters; input channels are inferred when the network is built.
        kernel_size: F, an int or (height, width).
        stride: S, an int or one for each axis.
        padding: zeros around the input: an int, one for each axis, (begin, end) pairs, "valid" (none) or "same"
            (output ceil(W/S), the odd zero at the end).
        dilation: D, the distance between neighbouring taps.
        groups: channels are split into this many groups, convolved separately and concatenated.
        bias: whether to add a number to each output channel.
        initializer: how the weights start: "auto", "he", "xavier", "zeros" or "ones".
        frozen: whether the weights stay fixed, as in a filter bank: they get no gradient and no update.
        padding_mode: what fills the padding: "zeros", "reflect" (the input mirrored at its border position),
            "replicate" (its border position again) or "circular" (the other end).

    Raises:
        LayerError: a hyper-parameter is out of range, or `groups` does not divide `out_channels`.

    LeCun et al., Backpropagation applied to handwritten zip code recognition, 1989.

    >>> Conv2d(10, 5, padding=2).output_shape([(3, 32, 32)])
    (10, 32, 32)
    """

    spatial_axes: ClassVar[int] = 2


@final
class Conv3d(Convolution):
    """Convolution over three axes: volumes, video.

    Input (C, D, H, W), output (out_channels, D', H', W'). Arguments as for Conv2d.

    >>> Conv3d(8, 3, padding="same").output_shape([(1, 16, 16, 16)])
    (8, 16, 16, 16)
    """

    spatial_axes: ClassVar[int] = 3

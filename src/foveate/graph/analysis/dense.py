"""The lecture's argument for convolutions: one input and output, connected fully and in other ways, side by side."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import gcd, prod
from typing import Any

from foveate.errors import LayerError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph.joining import Joining
from foveate.graph.nodes import Nodes
from foveate.layers import Flatten, Layer, Linear, Shape
from foveate.layers.convolution import Convolution
from foveate.layers.options import positive_int


@dataclass(frozen=True)
class Way:
    """One way to get from the input to the output, and what it takes for one sample in float32."""

    name: str
    layers: str
    parameters: int
    macs: int
    flops: int
    parameter_bytes: int


@dataclass(frozen=True)
class Comparison:
    """The ways from an input to outputs of one shape; the first is fully connected, the second the convolution."""

    input_shape: Shape
    output_shape: Shape
    kernel_size: Shape
    groups: int
    ways: tuple[Way, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "input": list(self.input_shape),
            "output": list(self.output_shape),
            "activation_bytes": 4 * prod(self.output_shape),
            "ways": [
                {**asdict(way), "times_fewer_parameters_than_dense": self.ways[0].parameters / way.parameters}
                for way in self.ways
            ],
        }

    def argument(self) -> str:
        """Why a convolution needs so few parameters, with the numbers."""
        inputs, outputs = prod(self.input_shape), prod(self.output_shape)
        local, positions = self.input_shape[0] * prod(self.kernel_size), prod(self.output_shape[1:])
        dense, conv = self.ways[0], self.ways[1]
        joined = f"{local:,} of them, {_times_fewer(inputs, local)}"
        if local >= inputs:
            joined = f"{local:,}, no fewer than there are: it is as wide as the input or wider, and sees padding"
        again = f"{positions:,} times fewer{' again' if local < inputs else ''}" if positions > 1 else "no saving"
        return (
            f"Fully connected, each of {outputs:,} outputs is connected to all {inputs:,} inputs: {dense.parameters:,} "
            f"parameters with the biases. Low-level features are local: a filter connects an output to {joined}. "
            f"Features are translation invariant: one filter serves all {positions:,} position{'s' * (positions > 1)}, "
            f"{again}. So the convolution has {conv.parameters:,} parameters, "
            f"{_times_fewer(dense.parameters, conv.parameters)}, and takes {conv.macs:,} MACs instead of "
            f"{dense.macs:,}."
        )


def compare_dense(
    input_shape: Sequence[int], filters: int, kernel_size: int | Sequence[int], groups: int | None = None
) -> Comparison:
    """The fully connected layer, the convolution and its cheaper variants, all with the outputs of padding "same".

    Args:
        input_shape: (C, L), (C, H, W) or (C, D, H, W).
        filters: K, the output's channels.
        kernel_size: F, an int or one for each axis.
        groups: number of groups of the grouped convolution (default: the smallest above 1 that divides both C and K).

    Raises:
        ShapeError: the input does not have 1 to 3 spatial axes.
        LayerError: a hyper-parameter is out of range, or `groups` does not divide.

    >>> [way.parameters for way in compare_dense((3, 32, 32), 10, 5).ways[:2]]
    [31467520, 760]
    """
    shape, axes = tuple(input_shape), len(input_shape) - 1
    if axes not in (1, 2, 3):
        raise ShapeError(f"{format_sizes(shape)} does not have 1 to 3 spatial axes after its channels, as 3x32x32 does")
    output = (filters, *shape[1:])
    conv = _convolution(axes, filters, kernel_size, {})
    kernel: Shape = conv.options()["kernel_size"]
    common = gcd(shape[0], filters)
    if groups is not None:
        positive_int(groups, "groups", "the grouped convolution")
    shared = groups or next((g for g in range(2, common + 1) if common % g == 0), 1)
    if groups is not None and common % groups:
        raise LayerError(f"groups is {groups}, which does not divide both {shape[0]} channels and {filters} filters")
    ways: list[tuple[str, list[Layer]]] = [
        ("fully connected", [Flatten(), Linear(prod(output))]),
        ("convolution", [conv]),
    ]
    if shared > 1:
        ways.append(("grouped", [_convolution(axes, filters, kernel, {"groups": shared})]))
    depthwise = _convolution(axes, shape[0], kernel, {"groups": shape[0]})
    ways.append(("depthwise, then 1x1", [depthwise, _convolution(axes, filters, 1, {})]))
    if any(size > 2 for size in kernel):
        dilation = tuple(_dilation(size) for size in kernel)
        taps = tuple((size - 1) // gap + 1 for size, gap in zip(kernel, dilation, strict=True))
        ways.append(("dilated, as wide", [_convolution(axes, filters, taps, {"dilation": dilation})]))
    ways.append(("1x1", [_convolution(axes, filters, 1, {})]))
    return Comparison(shape, output, kernel, shared, tuple(_way(name, layers, shape) for name, layers in ways))


def _times_fewer(base: int, count: int) -> str:
    """How many times fewer, or more, `count` is than `base`.

    >>> _times_fewer(520, 760), _times_fewer(31_467_520, 760), _times_fewer(5, 5)
    ('1.5 times more', '41,405 times fewer', 'as many')
    """
    if count == base:
        return "as many"
    ratio = max(base, count) / min(base, count)
    # 1.04 times fewer would read "1.0 times fewer" otherwise.
    digits = 0 if ratio >= 100 else 1 if ratio >= 1.05 else 2
    return f"{ratio:,.{digits}f} times {'fewer' if count < base else 'more'}"


def _convolution(axes: int, filters: int, kernel_size: int | Sequence[int], options: dict[str, Any]) -> Layer:
    return Convolution.over(axes)(filters, kernel_size, padding="same", **options)


def _dilation(size: int) -> int:
    """The smallest dilation above 1 that spans the same with fewer taps, or 1."""
    return next((gap for gap in range(2, size) if (size - 1) % gap == 0), 1)


def _way(name: str, layers: Sequence[Layer], shape: Shape) -> Way:
    joining, last, labels = Joining(Nodes), "input", [layer.label for layer in layers]
    joining.input(shape)
    for number, layer in enumerate(layers, start=1):
        path = f"{layer.label}{labels[:number].count(layer.label)}"
        last = joining.join(joining.fitted(path, layer, [last])).name
    nodes = joining.whole([last])
    described = ", then ".join(layer.describe().replace(", padding same", "") for layer in layers)
    parameters = sum(prod(parameter.shape) for parameter in nodes.parameters.values())
    costs = [node.cost for node in nodes.nodes]
    macs, flops = sum(cost.macs for cost in costs), sum(cost.flops for cost in costs)
    return Way(name, described, parameters, macs, flops, 4 * parameters)

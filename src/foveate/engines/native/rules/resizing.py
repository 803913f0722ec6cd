"""Upsampling, and the padding modes of convolutions: arrays whose elements are copies or means of another's."""

from collections.abc import Sequence
from math import prod
from typing import Any

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.engines.request import Request
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers import Resize, Upsample
from foveate.layers.resize import Taps


class UpsampleRule(Rule[None]):
    """Nearest by copies, linear by oneDNN's resampling; both in the plain layout.

    If an output falls exactly on a position, oneDNN multiplies infinity by 0, which gives NaN where the definition has
    infinity. So does PyTorch, and in more places.
    """

    def accepts(self, node: Node, request: Request) -> bool:
        """oneDNN's linear resampling does not align corners."""
        return not getattr(node.layer, "align_corners", False)

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Resize to the larger size."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, Upsample)
        source = plan.plain(ledger.values[node.inputs[0]])
        if layer.mode == "nearest":
            return Result(gather(ledger, source, self._sources(group)), None)
        output = plan.new(ledger.plain_layout(node.name))
        operation = _native.resampling_forward(source.layout, output.layout, ledger.request.with_gradients)
        plan.run(operation, {"src": source, "dst": output})
        return Result(output, None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Go back to the smaller size."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, Upsample)
        gradient = plan.plain(gradient)
        if layer.mode == "nearest":
            result = scatter(ledger, gradient, ledger.dims(node.inputs[0]), self._sources(group))
        else:
            result = plan.new(ledger.plain_layout(node.inputs[0]))
            operation = _native.resampling_backward(result.layout, gradient.layout)
            plan.run(operation, {"diff_dst": gradient, "diff_src": result})
        ledger.add_gradient(node.inputs[0], result)

    def _sources(self, group: Group) -> list[list[int]]:
        axes = zip(group.head.input_shapes[0][1:], group.head.output_shape[1:], strict=True)
        return [[i * size // wanted for i in range(wanted)] for size, wanted in axes]


class ResizeRule(Rule[None]):
    """Weighted sums of neighbours along one axis after the other, by a kernel of our own; in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Each axis that changes."""
        value = ledger.plan.plain(ledger.values[group.head.inputs[0]])
        for axis, taps in self._taps(group.head):
            value = _along(ledger, value, axis, taps, value.layout.dims[axis], backward=False)
        return Result(value, None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """The same weights the other way, the last axis first."""
        node, gradient = group.head, ledger.plan.plain(gradient)
        for axis, taps in reversed(self._taps(node)):
            gradient = _along(ledger, gradient, axis, taps, node.input_shapes[0][axis - 1], backward=True)
        ledger.add_gradient(node.inputs[0], gradient)

    def _taps(self, node: Node) -> list[tuple[int, Taps]]:
        """The axes that change, the batch being the first, with their weights."""
        assert isinstance(node.layer, Resize)
        still = [tuple((place, (1.0,)) for place in range(size)) for size in node.input_shapes[0][1:]]
        found = enumerate(zip(node.layer.taps(node.input_shapes[0]), still, strict=True), start=2)
        return [(axis, taps) for axis, (taps, same) in found if taps != same]


def _along(ledger: Ledger, source: Array, axis: int, taps: Taps, size: int, *, backward: bool) -> Array:
    """An axis of `size` positions resized by weights, or its gradient from that of the outputs."""
    dims = list(source.layout.dims)
    dims[axis] = size if backward else len(taps)
    target = ledger.plan.new(_native.Layout.plain(dims))
    make = _native.resizing_backward if backward else _native.resizing
    starts, weights = [first for first, _ in taps], [list(each) for _, each in taps]
    operation = make(prod(dims[:axis]), size, prod(dims[axis + 1 :]), starts, weights)
    names = ("diff_dst", "diff_src") if backward else ("src", "dst")
    ledger.plan.run(operation, dict(zip(names, (source, target), strict=True)))
    return target


def border_sources(size: int, window: Window, mode: str) -> list[int]:
    """For each position of an axis padded by `mode`, the position of the input that it copies.

    >>> border_sources(4, Window(3, padding=(2, 1)), "reflect")
    [2, 1, 0, 1, 2, 3, 2]
    """
    positions = range(-window.padding[0], size + window.padding[1])
    match mode:
        case "replicate":
            return [min(max(i, 0), size - 1) for i in positions]
        case "circular":
            return [i % size for i in positions]
        case "reflect":
            return [-i if i < 0 else 2 * (size - 1) - i if i >= size else i for i in positions]
    raise AssertionError(f"{mode} is not a padding that copies")


def gather(ledger: Ledger, source: Array, sources: Sequence[list[int]]) -> Array:
    """A plain array whose spatial position i is a copy of position sources[axis][i] of a plain `source`."""
    dims = source.layout.dims
    target = ledger.plan.new(_native.Layout.plain([*dims[:2], *map(len, sources)]))
    operation = _native.gather(dims[0] * dims[1], _three(dims[2:], 1), _three(list(sources), [0]))
    ledger.plan.run(operation, {"src": source, "dst": target})
    return target


def scatter(ledger: Ledger, gradient: Array, dims: list[int], sources: Sequence[list[int]]) -> Array:
    """The gradient of gather's source, an array of `dims`."""
    result = ledger.plan.new(_native.Layout.plain(dims))
    operation = _native.scatter(dims[0] * dims[1], _three(dims[2:], 1), _three(list(sources), [0]))
    ledger.plan.run(operation, {"diff_dst": gradient, "diff_src": result})
    return result


def _three(values: list[Any], filler: Any) -> list[Any]:
    return [filler] * (3 - len(values)) + values

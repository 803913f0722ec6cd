"""Upsampling, and the padding modes of convolutions: arrays whose elements are copies or means of another's."""

from collections.abc import Sequence
from math import prod
from typing import Any

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers import Resize, Upsample
from foveate.layers.resize import Taps, axis_taps


class UpsampleRule(Rule[None]):
    """Nearest by copies, linear by weighted sums; both in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Resize to the larger size."""
        node, source = group.head, ledger.plan.plain(ledger.values[group.head.inputs[0]])
        assert isinstance(node.layer, Upsample)
        if node.layer.mode == "nearest":
            return Result(gather(ledger, source, _sources(node)), None)
        return Result(resized(ledger, source, _linear_taps(node)), None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Go back to the smaller size."""
        node, gradient = group.head, ledger.plan.plain(gradient)
        assert isinstance(node.layer, Upsample)
        dims = ledger.dims(node.inputs[0])
        if node.layer.mode == "nearest":
            result = scatter(ledger, gradient, dims, _sources(node))
        else:
            result = resized_backward(ledger, gradient, _linear_taps(node), dims)
        ledger.add_gradient(node.inputs[0], result)


def _sources(node: Node) -> list[list[int]]:
    axes = zip(node.input_shapes[0][1:], node.output_shape[1:], strict=True)
    return [[i * size // wanted for i in range(wanted)] for size, wanted in axes]


def _linear_taps(node: Node) -> list[Taps]:
    assert isinstance(node.layer, Upsample)
    axes = zip(node.input_shapes[0][1:], node.output_shape[1:], strict=True)
    return [axis_taps(size, wanted, None, "linear", node.layer.align_corners, False) for size, wanted in axes]


class ResizeRule(Rule[None]):
    """Weighted sums of neighbours along one axis after the other; in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Resize each axis that changes."""
        node, source = group.head, ledger.plan.plain(ledger.values[group.head.inputs[0]])
        assert isinstance(node.layer, Resize)
        return Result(resized(ledger, source, node.layer.taps(node.input_shapes[0])), None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Give every neighbour its share, by the same weights."""
        node, gradient = group.head, ledger.plan.plain(gradient)
        assert isinstance(node.layer, Resize)
        taps, dims = node.layer.taps(node.input_shapes[0]), ledger.dims(node.inputs[0])
        ledger.add_gradient(node.inputs[0], resized_backward(ledger, gradient, taps, dims))


def resized(ledger: Ledger, value: Array, taps: Sequence[Taps]) -> Array:
    """Weighted sums along each spatial axis of a plain array."""
    for axis, weights in _changing(value.layout.dims, taps):
        value = _along(ledger, value, axis, weights, value.layout.dims[axis], backward=False)
    return value


def resized_backward(ledger: Ledger, gradient: Array, taps: Sequence[Taps], dims: Sequence[int]) -> Array:
    """The gradient of an array of `dims` from that of its weighted sums."""
    for axis, weights in reversed(_changing(dims, taps)):
        gradient = _along(ledger, gradient, axis, weights, dims[axis], backward=True)
    return gradient


def _changing(dims: Sequence[int], taps: Sequence[Taps]) -> list[tuple[int, Taps]]:
    """The axes that change, the batch being the first, with their weights.

    What shrinks comes first and what grows last, so that as little as possible lies between.
    """
    still = [tuple((place, (1.0,)) for place in range(size)) for size in dims[2:]]
    found = enumerate(zip(taps, still, strict=True), start=2)
    changing = [(axis, weights) for axis, (weights, same) in found if weights != same]
    factors = {axis: len(weights) / dims[axis] for axis, weights in changing}
    # Along the last axis it is slowest, so among equals that comes where there are the fewest numbers.
    return sorted(changing, key=lambda each: (f := factors[each[0]], each[0] if f < 1 else -each[0]))


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

"""Pad: zeros, another number, or copies of the input around a sample."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.engines.native.rules.movement import plain_strides, shifted
from foveate.engines.native.rules.resizing import border_sources, gather, scatter
from foveate.engines.request import Request
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers import Pad


class PadRule(Rule[None]):
    """Zeros around, or a crop; channels may stay in blocks."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether the padding is zeros, in at most five axes, which the kernel knows."""
        assert isinstance(node.layer, Pad)
        return (node.layer.mode, node.layer.value) == ("constant", 0) and len(node.output_shape) < 5

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Copy into the middle of zeros."""
        source = ledger.values[group.head.inputs[0]]
        return Result(shifted(ledger, source, ledger.dims(group.output), _begins(group.head)), None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """The middle of the gradient."""
        name = group.head.inputs[0]
        begins = [-begin for begin in _begins(group.head)]
        ledger.add_gradient(name, shifted(ledger, gradient, ledger.dims(name), begins))


def _begins(node: Node) -> list[int]:
    assert isinstance(node.layer, Pad)
    return [0, *(begin for begin, _ in node.layer.padding)]


class FillingPadRule(Rule[None]):
    """A number around, or a crop, of any axes, in the plain layout."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether the padding is a constant rather than copied from the input."""
        assert isinstance(node.layer, Pad)
        return node.layer.mode == "constant"

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Fill, and copy into the middle."""
        assert isinstance(group.head.layer, Pad)
        source = ledger.values[group.head.inputs[0]]
        return Result(
            _set_in(ledger, source, ledger.dims(group.output), _begins(group.head), group.head.layer.value), None
        )

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """The middle of the gradient; what was cropped gets none."""
        name = group.head.inputs[0]
        begins = [-begin for begin in _begins(group.head)]
        ledger.add_gradient(name, _set_in(ledger, gradient, ledger.dims(name), begins, 0.0))


def _set_in(ledger: Ledger, source: Array, dims: list[int], begins: list[int], filler: float) -> Array:
    """An array of `dims` in which `source` begins at the given places, and else is `filler`."""
    source = ledger.plan.plain(source)
    target = ledger.plan.new(_native.Layout.plain(dims))
    before = source.layout.dims
    firsts = [max(0, -begin) for begin in begins]
    places = [max(0, begin) for begin in begins]
    ends = [min(size, whole - begin) for size, whole, begin in zip(before, dims, begins, strict=True)]
    sizes = [end - first for end, first in zip(ends, firsts, strict=True)]
    from_strides, to_strides = plain_strides(before), plain_strides(dims)
    operation = _native.moving(
        sizes, _place(firsts, from_strides), from_strides, _place(places, to_strides), to_strides, prod(dims), filler
    )
    ledger.plan.run(operation, {"src": source, "dst": target})
    return target


def _place(position: list[int], strides: list[int]) -> int:
    return sum(at * stride for at, stride in zip(position, strides, strict=True))


class CopyingPadRule(Rule[None]):
    """Copies of the input around it, one axis after the other, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Gather along each axis that is padded."""
        plan, node = ledger.plan, group.head
        value = plan.plain(ledger.values[node.inputs[0]])
        for axis, sources in self._sources(node).items():
            dims = list(value.layout.dims)
            inner = prod(dims[axis + 1 :])
            planes = plan.reshaped(value, [prod(dims[:axis]), 1, dims[axis], inner])
            dims[axis] = len(sources)
            value = plan.reshaped(gather(ledger, planes, [sources, list(range(inner))]), dims)
        return Result(value, None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Add the copies' gradients to what they are copies of, the last axis first."""
        plan, node = ledger.plan, group.head
        gradient = plan.plain(gradient)
        for axis, sources in reversed(self._sources(node).items()):
            dims = list(gradient.layout.dims)
            inner, outer = prod(dims[axis + 1 :]), prod(dims[:axis])
            planes = plan.reshaped(gradient, [outer, 1, dims[axis], inner])
            dims[axis] = node.input_shapes[0][axis - 1]
            whole = scatter(ledger, planes, [outer, 1, dims[axis], inner], [sources, list(range(inner))])
            gradient = plan.reshaped(whole, dims)
        ledger.add_gradient(node.inputs[0], gradient)

    def _sources(self, node: Node) -> dict[int, list[int]]:
        """For each axis that is padded, the batch being the first, the position that each position copies."""
        assert isinstance(node.layer, Pad)
        pairs = enumerate(zip(node.input_shapes[0], node.layer.padding, strict=True), start=1)
        return {
            axis: border_sources(size, Window(1, padding=pair), node.layer.mode)
            for axis, (size, pair) in pairs
            if any(pair)
        }

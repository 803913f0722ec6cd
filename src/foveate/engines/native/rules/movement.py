"""Transpose and Slice: numbers that move and stay as they are."""

from collections.abc import Sequence

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule, blocks_of_channels
from foveate.layers import Slice, Transpose


class TransposeRule(Rule[None]):
    """The same numbers where they lie, told in another order; who needs them in the plain layout copies them."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """A view of the plain layout."""
        assert isinstance(group.head.layer, Transpose)
        return Result(reordered(ledger, ledger.values[group.head.inputs[0]], group.head.layer.axes), None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """A view back."""
        assert isinstance(group.head.layer, Transpose)
        ledger.add_gradient(group.head.inputs[0], reordered(ledger, gradient, group.head.layer.opposite))


def reordered(ledger: Ledger, source: Array, axes: Sequence[int]) -> Array:
    """A view with the axes of a sample in another order."""
    source = ledger.plan.plain(source)
    dims, order = source.layout.dims, [0, *(axis + 1 for axis in axes)]
    strides, made = plain_strides(dims), [dims[axis] for axis in order]
    return Array(
        _native.Layout.strided(made, canonical_strides(made, [strides[axis] for axis in order])), source.storage
    )


def canonical_strides(dims: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The strides, with those of axes of length 1 as they would be in a plain layout of the axes behind.

    With any others oneDNN may multiply to zeros, and does so again for every layout that it takes to be the same.

    >>> canonical_strides([2, 4, 1, 3], [12, 3, 12, 1])
    [12, 3, 3, 1]
    """
    told: list[int] = []
    for axis in reversed(range(len(dims))):
        follows = told[0] * dims[axis + 1] if told else 1
        told.insert(0, follows if dims[axis] == 1 else strides[axis])
    return told


class SliceRule(Rule[None]):
    """A part of an axis copied; where no position is left out between, channels may stay in blocks."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Copy what is taken."""
        axis, taken, dims = *self._taken(group), ledger.dims(group.output)
        source = ledger.values[group.head.inputs[0]]
        if _shifts(taken, dims):
            return Result(shifted(ledger, source, dims, _at(axis, -taken.start, dims)), None)
        source = ledger.plan.plain(source)
        target = ledger.plan.new(_native.Layout.plain(dims))
        first, strides = _places(source.layout.dims, axis, taken)
        operation = _native.moving(dims, first, strides, 0, plain_strides(dims), 0)
        ledger.plan.run(operation, {"src": source, "dst": target})
        return Result(target, None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Copy back to where it came from, between zeros."""
        name, (axis, taken) = group.head.inputs[0], self._taken(group)
        dims = ledger.dims(name)
        if _shifts(taken, dims):
            ledger.add_gradient(name, shifted(ledger, gradient, dims, _at(axis, taken.start, dims)))
            return
        gradient, target = ledger.plan.plain(gradient), ledger.plan.new(_native.Layout.plain(dims))
        first, strides = _places(dims, axis, taken)
        made = gradient.layout.dims
        operation = _native.moving(made, 0, plain_strides(made), first, strides, target.layout.bytes // 4, 0.0)
        ledger.plan.run(operation, {"src": gradient, "dst": target})
        ledger.add_gradient(name, target)

    def _taken(self, group: Group) -> tuple[int, range]:
        """The axis, the batch being the first, and the positions of it that are taken."""
        assert isinstance(group.head.layer, Slice)
        axis, taken = group.head.layer.positions(group.head.input_shapes[0])
        return axis + 1, taken


def _shifts(taken: range, dims: Sequence[int]) -> bool:
    """Whether it is the kernel of padding, which knows five axes, that cuts them out."""
    return taken.step == 1 and len(dims) <= 5


def _at(axis: int, begin: int, dims: Sequence[int]) -> list[int]:
    """Where an array begins in another, on each axis."""
    return [begin if each == axis else 0 for each in range(len(dims))]


def _places(dims: Sequence[int], axis: int, taken: range) -> tuple[int, list[int]]:
    """The first of the positions taken from a plain array, and the strides between them."""
    strides = plain_strides(dims)
    return taken.start * strides[axis], [s * (taken.step if each == axis else 1) for each, s in enumerate(strides)]


def plain_strides(dims: Sequence[int]) -> list[int]:
    """How far neighbours on each axis lie apart in the plain layout.

    >>> plain_strides([2, 3, 4])
    [12, 4, 1]
    """
    strides = [1]
    for size in reversed(dims[1:]):
        strides.insert(0, strides[0] * size)
    return strides


def shifted(ledger: Ledger, source: Array, dims: list[int], begins: list[int]) -> Array:
    """An array of `dims` in which `source` begins at the given places, zeros around; what lies outside is cut off."""
    block = blocks_of_channels(source.layout)
    if block is not None:
        layout = _native.Layout.channel_blocked(dims, block)
    else:
        source, layout = ledger.plan.plain(source), _native.Layout.plain(dims)
    target = ledger.plan.new(layout)
    ledger.plan.run(_native.pad(source.layout, layout, begins), {"src": source, "dst": target})
    return target

"""Concatenation, without copies if the inputs can be computed where they belong."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import ALIGNMENT, Array
from foveate.engines.native.rules.base import Result, Rule, blocks_of_channels, channels_last
from foveate.layers import Concatenate
from foveate.layers.options import axis_number


class ConcatenateRule(Rule[None]):
    """oneDNN's concatenation, along the channels or another axis; no copies if the inputs can lie one after another."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Copy every input to its place, or have it computed there."""
        values = [ledger.values[name] for name in group.head.inputs]
        target = self._target(ledger, group, values)
        values = [ledger.plan.in_layout(value, self._like(value, target)) for value in values]
        if self._follow_one_another(group, target, [value.layout for value in values]):
            return Result(self._joined(ledger, values, target), None)
        operation = _native.concatenation([value.layout for value in values], target, self._axis(group))
        output = ledger.plan.new(target)
        operands = {f"src_{number}": value for number, value in enumerate(values)}
        ledger.plan.run(operation, {**operands, "dst": output})
        return Result(output, None)

    def _target(self, ledger: Ledger, group: Group, values: list[Array]) -> _native.Layout:
        """Channels last if the largest input has them so, blocks if every input consists of such, else plain."""
        dims = ledger.dims(group.output)
        largest = max((value.layout for value in values), key=lambda layout: layout.bytes)
        if len(dims) > 2 and self._axis(group) == 1 and largest == channels_last(largest.dims):
            return channels_last(dims)
        blocks = {blocks_of_channels(value.layout) for value in values} - {None}
        if len(blocks) == 1:
            (block,) = blocks
            whole = all(value.layout.dims[1] % block == 0 for value in values) if block is not None else False
            if block is not None and (whole or self._axis(group) != 1):
                return _native.Layout.channel_blocked(dims, block)
        return _native.Layout.plain(dims)

    def _follow_one_another(self, group: Group, target: _native.Layout, parts: list[_native.Layout]) -> bool:
        """Whether the parts lie in `target` one after another, each at the beginning of a cache line."""
        axis, block = self._axis(group), blocks_of_channels(target)
        known = target.is_plain or (axis == 1 and block is not None)
        whole = all(part.dims[1] % (block or 1) == 0 and part.bytes % ALIGNMENT == 0 for part in parts)
        return known and whole and prod(target.dims[:axis]) == 1

    def _joined(self, ledger: Ledger, values: list[Array], target: _native.Layout) -> Array:
        """An array whose parts are computed in place; what must stay where it is, is copied."""
        plan, begin = ledger.plan, 0
        output = plan.new(target)
        for value in values:
            if not plan.joined(value, output, begin):
                part = plan.part(output, value.layout, begin)
                plan.run(_native.reorder_operation(value.layout, part.layout), {"src": value, "dst": part})
            begin += value.layout.bytes
        return output

    def _axis(self, group: Group) -> int:
        """The axis, the batch being the first."""
        assert isinstance(group.head.layer, Concatenate)
        return axis_number(group.head.layer.axis, group.head.output_shape) + 1

    def _like(self, value: Array, target: _native.Layout) -> _native.Layout:
        return self._like_dims(value.layout.dims, target)

    def _like_dims(self, dims: list[int], target: _native.Layout) -> _native.Layout:
        block = blocks_of_channels(target)
        if not target.is_plain and target == channels_last(target.dims):
            return channels_last(dims)
        return _native.Layout.plain(dims) if block is None else _native.Layout.channel_blocked(dims, block)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Cut out every input's share; if that splits blocks of channels, from the plain layout."""
        plan, start, axis = ledger.plan, 0, self._axis(group)
        parts = [self._like_dims(ledger.dims(name), gradient.layout) for name in group.head.inputs]
        if self._follow_one_another(group, gradient.layout, parts):
            for name, layout in zip(group.head.inputs, parts, strict=True):
                ledger.add_gradient(name, plan.part(gradient, layout, start))
                start += layout.bytes
            return
        for name in group.head.inputs:
            dims = ledger.dims(name)
            offsets = [start if each == axis else 0 for each in range(len(dims))]
            start += dims[axis]
            if not ledger.wants_gradient(name):
                continue
            part = gradient.layout.part(dims, offsets)
            whole = gradient
            if part is None:
                whole = plan.plain(gradient)
                part = whole.layout.part(dims, offsets)
            assert part is not None, "a plain layout can be cut anywhere"
            share = plan.new(ledger.values[name].layout)
            plan.run(_native.reorder_operation(part, share.layout), {"src": Array(part, whole.storage), "dst": share})
            ledger.add_gradient(name, share)

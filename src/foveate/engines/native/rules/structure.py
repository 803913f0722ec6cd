"""Add, Multiply, Flatten, Concatenate, ChannelShuffle, Pad and dropout."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Rule, activation_backward, blocks_of_channels
from foveate.engines.native.rules.resizing import gather
from foveate.engines.random import stream_key
from foveate.graph import Node
from foveate.layers import ChannelShuffle, Pad, SpatialDropout
from foveate.layers.structure import Dropping


class AddRule(Rule):
    """A sum, with ReLU inside where it follows."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Add in the first blocked layout among the inputs."""
        values = [lowering.values[name] for name in group.head.inputs]
        layout = next((value.layout for value in values if not value.layout.is_plain), values[0].layout)
        output = lowering.plan.new(layout)
        operands = {"dst": output}
        for number, value in enumerate(values):
            operands[f"src_{number}"] = lowering.plan.in_layout(value, layout)
        lowering.plan.run(_native.sum(layout.bytes // 4, group.activation is not None), operands)
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """The same gradient to every input."""
        if group.activation is not None:
            output = lowering.values[group.output]
            gradient = activation_backward(lowering, group.activation, output, gradient)
        for name in group.head.inputs:
            lowering.add_gradient(name, gradient)


class MultiplyRule(Rule):
    """A product; an input with single positions is repeated over the others'."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Multiply two at a time, the larger first, in the plain layout."""
        node, plan = group.head, lowering.plan
        total, *rest = self._factors(lowering, group)
        partial = []
        for factor in rest:
            partial.append(total)
            total = self._product(lowering, total, factor, lowering.dims(node.name))
        lowering.saved[node.name] = {"partial": partial}
        return plan.reshaped(total, lowering.dims(node.name))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """To each input: the gradient times all others, summed where the input was repeated."""
        node, plan = group.head, lowering.plan
        first, *rest = self._factors(lowering, group)
        partial: list[Array] = lowering.saved[node.name]["partial"]
        gradient = plan.plain(gradient)
        for factor, before, name in reversed(list(zip(rest, partial, self._order(group)[1:], strict=True))):
            share = self._product(lowering, gradient, before, lowering.dims(node.name))
            lowering.add_gradient(name, self._summed(lowering, share, factor, name))
            gradient = self._product(lowering, gradient, factor, lowering.dims(node.name))
        name = self._order(group)[0]
        lowering.add_gradient(name, self._summed(lowering, gradient, first, name))

    def _order(self, group: Group) -> list[str]:
        """Names of the inputs, one of the full size first."""
        full = group.head.output_shape
        pairs = zip(group.head.inputs, group.head.input_shapes, strict=True)
        return [name for name, _ in sorted(pairs, key=lambda pair: pair[1] != full)]

    def _factors(self, lowering: Lowering, group: Group) -> list[Array]:
        plan, axes = lowering.plan, len(group.head.output_shape) + 1
        arrays = [plan.plain(lowering.values[name]) for name in self._order(group)]
        return [plan.reshaped(a, [*a.layout.dims, *(1,) * (axes - len(a.layout.dims))]) for a in arrays]

    def _product(self, lowering: Lowering, left: Array, right: Array, dims: list[int]) -> Array:
        target = lowering.plan.new(_native.Layout.plain(dims))
        operation = _native.multiply(left.layout, right.layout, target.layout)
        lowering.plan.run(operation, {"src": left, "right": right, "dst": target})
        return target

    def _summed(self, lowering: Lowering, share: Array, factor: Array, name: str) -> Array:
        plan = lowering.plan
        if share.layout.dims != factor.layout.dims:
            total = plan.new(factor.layout)
            plan.run(_native.sum_along(share.layout, total.layout), {"src": share, "dst": total})
            share = total
        return plan.reshaped(share, lowering.dims(name))


class ChannelShuffleRule(Rule):
    """Channels copied to their new places (oneDNN's shuffle falls to its reference implementation)."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Groups of channels interleaved."""
        order = self._order(group)
        return self._moved(lowering, lowering.values[group.head.inputs[0]], order)

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Each channel back to where it came from."""
        order = self._order(group)
        opposite = sorted(range(len(order)), key=order.__getitem__)
        lowering.add_gradient(group.head.inputs[0], self._moved(lowering, gradient, opposite))

    def _order(self, group: Group) -> list[int]:
        """Output channel k*G + g comes from g*K + k."""
        assert isinstance(group.head.layer, ChannelShuffle)
        groups, channels = group.head.layer.groups, group.head.output_shape[0]
        return [c % groups * (channels // groups) + c // groups for c in range(channels)]

    def _moved(self, lowering: Lowering, source: Array, order: list[int]) -> Array:
        plan, dims = lowering.plan, source.layout.dims
        flat = plan.reshaped(plan.plain(source), [dims[0], 1, dims[1], prod(dims[2:])])
        return plan.reshaped(gather(lowering, flat, [order, list(range(prod(dims[2:])))]), dims)


class FlattenRule(Rule):
    """The same numbers in the plain layout, with one axis."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """A view where the layout allows it."""
        return lowering.plan.reshaped(lowering.values[group.head.inputs[0]], lowering.dims(group.output))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """A view back."""
        source = group.head.inputs[0]
        lowering.add_gradient(source, lowering.plan.reshaped(gradient, lowering.dims(source)))


class ConcatenateRule(Rule):
    """oneDNN's concatenation along the channels."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Copy every input to its place."""
        values = [lowering.values[name] for name in group.head.inputs]
        target = self._target(lowering, group, values)
        values = [lowering.plan.in_layout(value, self._like(value, target)) for value in values]
        operation = _native.concatenation([value.layout for value in values], target)
        output = lowering.plan.new(target)
        operands = {f"src_{number}": value for number, value in enumerate(values)}
        lowering.plan.run(operation, {**operands, "dst": output})
        return output

    def _target(self, lowering: Lowering, group: Group, values: list[Array]) -> _native.Layout:
        """Blocks of channels if every input consists of whole blocks, else the plain layout."""
        dims = lowering.dims(group.output)
        blocks = {blocks_of_channels(value.layout) for value in values} - {None}
        if len(blocks) == 1:
            (block,) = blocks
            if block is not None and all(value.layout.dims[1] % block == 0 for value in values):
                return _native.Layout.channel_blocked(dims, block)
        return _native.Layout.plain(dims)

    def _like(self, value: Array, target: _native.Layout) -> _native.Layout:
        block = blocks_of_channels(target)
        dims = value.layout.dims
        return _native.Layout.plain(dims) if block is None else _native.Layout.channel_blocked(dims, block)

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Cut every input's share out; where blocks of channels are cut, from the plain layout."""
        plan, start = lowering.plan, 0
        for name in group.head.inputs:
            dims = lowering.dims(name)
            offsets = [0, start] + [0] * (len(dims) - 2)
            start += dims[1]
            if not lowering.wants_gradient(name):
                continue
            part = gradient.layout.part(dims, offsets)
            whole = gradient
            if part is None:
                whole = plan.plain(gradient)
                part = whole.layout.part(dims, offsets)
            assert part is not None, "a plain layout can be cut anywhere"
            share = plan.new(lowering.values[name].layout)
            plan.run(_native.reorder_operation(part, share.layout), {"src": Array(part, whole.storage), "dst": share})
            lowering.add_gradient(name, share)


class PadRule(Rule):
    """Zeros around, or a crop; channels may stay in blocks."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Copy into the middle of zeros."""
        source = lowering.values[group.head.inputs[0]]
        return self._move(lowering, source, lowering.dims(group.output), self._begins(group.head))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """The middle of the gradient."""
        name = group.head.inputs[0]
        begins = [-begin for begin in self._begins(group.head)]
        lowering.add_gradient(name, self._move(lowering, gradient, lowering.dims(name), begins))

    def _begins(self, node: Node) -> list[int]:
        assert isinstance(node.layer, Pad)
        return [0, *(begin for begin, _ in node.layer.padding)]

    def _move(self, lowering: Lowering, source: Array, dims: list[int], begins: list[int]) -> Array:
        block = blocks_of_channels(source.layout)
        if block is not None:
            layout = _native.Layout.channel_blocked(dims, block)
        else:
            source, layout = lowering.plan.plain(source), _native.Layout.plain(dims)
        target = lowering.plan.new(layout)
        lowering.plan.run(_native.pad(source.layout, layout, begins), {"src": source, "dst": target})
        return target


class DropoutRule(Rule):
    """In training a product with random factors, which are kept for the way back; nothing in inference."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Drop in the plain layout, because elements are numbered by it."""
        node, plan = group.head, lowering.plan
        source = lowering.values[node.inputs[0]]
        if not lowering.training:
            return source
        assert isinstance(node.layer, Dropping)
        source = plan.plain(source)
        output, factor = plan.new(source.layout), plan.new(source.layout)
        span = prod(node.input_shapes[0][1:]) if isinstance(node.layer, SpatialDropout) else 1
        count = source.layout.bytes // 4
        operation = _native.dropout(count // span, span, node.layer.rate, stream_key(node.name))
        plan.run(operation, {"src": source, "dst": output, "factor": factor, "scalars": lowering.scalars()})
        lowering.saved[node.name] = {"factor": factor}
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Times the same factors."""
        node, plan = group.head, lowering.plan
        if lowering.training:
            factor: Array = lowering.saved[node.name]["factor"]
            gradient = plan.plain(gradient)
            result = plan.new(factor.layout)
            plan.run(_native.product(factor.layout.bytes // 4), {"left": gradient, "right": factor, "target": result})
            gradient = result
        lowering.add_gradient(node.inputs[0], gradient)

"""Activations on their own, Add, Flatten, Concatenate, Pad and Dropout."""

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.products import elementwise
from foveate.engines.native.rules.base import Rule, activation_backward
from foveate.engines.random import stream_key
from foveate.graph import Node
from foveate.layers import Dropout, Pad


class ActivationRule(Rule):
    """An elementwise function of its own."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Apply it in the input's layout."""
        source = lowering.values[group.head.inputs[0]]
        kind, alpha = elementwise(group.head.layer)
        output = lowering.plan.new(source.layout)
        operation = _native.elementwise_forward(kind, source.layout, alpha, 0.0, lowering.with_gradients)
        lowering.plan.run(operation, {"src": source, "dst": output})
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Times the derivative, from the output."""
        output = lowering.values[group.output]
        lowering.add_gradient(group.head.inputs[0], activation_backward(lowering, group.head, output, gradient))


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
        target = _native.Layout.any(lowering.dims(group.output))
        operation = _native.concatenation([value.layout for value in values], target)
        output = lowering.plan.new(operation.layout(_native.DST))
        operands = {f"src_{number}": value for number, value in enumerate(values)}
        lowering.plan.run(operation, {**operands, "dst": output})
        return output

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
        blocks = list(source.layout.inner_blocks)
        if len(dims) >= 3 and blocks in ([8], [16]) and list(source.layout.inner_axes) == [1]:
            layout = _native.Layout.channel_blocked(dims, blocks[0])
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
        assert isinstance(node.layer, Dropout)
        source = plan.plain(source)
        output, factor = plan.new(source.layout), plan.new(source.layout)
        operation = _native.dropout(source.layout.bytes // 4, 1, node.layer.rate, stream_key(node.name))
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

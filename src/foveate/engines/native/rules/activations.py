"""Activations that run on their own: elementwise functions, PReLU, softmax, Maxout."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.elementwise import elementwise
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Rule, activation_backward, blocks_of_channels
from foveate.layers import LogSoftmax, Maxout, PReLU


class ActivationRule(Rule):
    """An elementwise function in the input's layout."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Apply it."""
        source = lowering.values[group.head.inputs[0]]
        function = elementwise(group.head.layer)
        block = blocks_of_channels(source.layout)
        if not function.from_output and block is not None and source.layout.dims[1] % block:
            # Where a block is not full, oneDNN falls to its reference implementation of these functions.
            source = lowering.plan.plain(source)
        output = lowering.plan.new(source.layout)
        operation = _native.elementwise_forward(
            function.kind, source.layout, function.alpha, function.beta, lowering.with_gradients
        )
        lowering.plan.run(operation, {"src": source, "dst": output})
        lowering.saved[group.head.name] = {"known": output if function.from_output else source}
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Times the derivative."""
        known = lowering.saved[group.head.name]["known"]
        lowering.add_gradient(group.head.inputs[0], activation_backward(lowering, group.head, known, gradient))


class PReLURule(Rule):
    """oneDNN's rectifier with a learned slope, for all channels or for each."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Apply it in the plain layout."""
        node, plan = group.head, lowering.plan
        source = plan.plain(lowering.values[node.inputs[0]])
        weights = plan.reshaped(lowering.parameter(node, "weight"), self._slope_dims(lowering, group))
        output = plan.new(source.layout)
        operation = _native.prelu_forward(source.layout, weights.layout, lowering.with_gradients)
        plan.run(operation, {"src": source, "weights": weights, "dst": output})
        lowering.saved[node.name] = {"source": source, "weights": weights}
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """To the input and to the slopes."""
        node, plan = group.head, lowering.plan
        source: Array = lowering.saved[node.name]["source"]
        weights: Array = lowering.saved[node.name]["weights"]
        result = plan.new(source.layout)
        slopes = lowering.parameter_gradient(node, "weight", lowering.parameter(node, "weight").layout)
        operands: dict[str, Array | None] = {
            "src": source,
            "weights": weights,
            "diff_dst": plan.plain(gradient),
            "diff_src": result,
            "diff_weights": plan.reshaped(slopes, self._slope_dims(lowering, group)),
        }
        plan.run(_native.prelu_backward(source.layout, weights.layout), operands)
        lowering.finish_gradient(node, "weight", slopes)
        lowering.add_gradient(node.inputs[0], result)

    def _slope_dims(self, lowering: Lowering, group: Group) -> list[int]:
        layer = group.head.layer
        assert isinstance(layer, PReLU)
        shape = group.head.input_shapes[0]
        return [1, shape[0] if layer.per_channel else 1, *(1 for _ in shape[1:])]


class SoftmaxRule(Rule):
    """Softmax over the channels, or its logarithm."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Apply it in the plain layout."""
        source = lowering.plan.plain(lowering.values[group.head.inputs[0]])
        output = lowering.plan.new(source.layout)
        operation = _native.softmax_forward(source.layout, self._logarithm(group), lowering.with_gradients)
        lowering.plan.run(operation, {"src": source, "dst": output})
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """From the output."""
        output, plan = lowering.values[group.output], lowering.plan
        result = plan.new(output.layout)
        operation = _native.softmax_backward(output.layout, self._logarithm(group))
        plan.run(operation, {"dst": output, "diff_dst": plan.plain(gradient), "diff_src": result})
        lowering.add_gradient(group.head.inputs[0], result)

    def _logarithm(self, group: Group) -> bool:
        return isinstance(group.head.layer, LogSoftmax)


class MaxoutRule(Rule):
    """A maximum over neighbouring channels: pooling along an axis of their own."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Pool the pieces."""
        plan = lowering.plan
        source = plan.reshaped(lowering.values[group.head.inputs[0]], self._dims(lowering, group, pooled=False))
        target = _native.Layout.plain(self._dims(lowering, group, pooled=True))
        operation = _native.pooling_forward("max", source.layout, target, self._window(group), lowering.with_gradients)
        output = plan.new(target)
        workspace_layout = operation.layout(_native.WORKSPACE)
        workspace = plan.new(workspace_layout) if workspace_layout.bytes else None
        plan.run(operation, {"src": source, "dst": output, "workspace": workspace})
        lowering.saved[group.head.name] = {"workspace": workspace}
        return plan.reshaped(output, lowering.dims(group.output))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """To each maximum's winner."""
        plan, name = lowering.plan, group.head.inputs[0]
        source = _native.Layout.plain(self._dims(lowering, group, pooled=False))
        target = _native.Layout.plain(self._dims(lowering, group, pooled=True))
        operation = _native.pooling_backward("max", source, target, self._window(group))
        result = plan.new(source)
        operands = {
            "diff_dst": plan.plain(plan.reshaped(gradient, target.dims)),
            "diff_src": result,
            "workspace": lowering.saved[group.head.name]["workspace"],
        }
        plan.run(operation, operands)
        lowering.add_gradient(name, plan.reshaped(result, lowering.dims(name)))

    def _dims(self, lowering: Lowering, group: Group, *, pooled: bool) -> list[int]:
        shape, layer = group.head.input_shapes[0], group.head.layer
        assert isinstance(layer, Maxout)
        pieces = 1 if pooled else layer.pieces
        return [lowering.batch_size, shape[0] // layer.pieces, pieces, prod(shape[1:])]

    def _window(self, group: Group) -> _native.Window:
        layer = group.head.layer
        assert isinstance(layer, Maxout)
        return _native.Window([layer.pieces, 1], [layer.pieces, 1], [1, 1], [0, 0], [0, 0])

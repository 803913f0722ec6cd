"""Activations that run on their own: elementwise functions, PReLU, softmax, Maxout."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.elementwise import elementwise
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import (
    Result,
    Rule,
    activated,
    activation_backward,
    blocks_of_channels,
    channels_last,
)
from foveate.engines.native.rules.pooling import LANES, maximum
from foveate.engines.request import Request
from foveate.graph import Node
from foveate.layers import LogSoftmax, Maxout, PReLU, Softmax
from foveate.layers.options import axis_number


class ActivationRule(Rule[Array]):
    """An elementwise function in the input's layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """Apply it; its output is saved, or its input if the derivative needs that."""
        source = ledger.values[group.head.inputs[0]]
        output = activated(ledger, group.head, source, in_place=False)
        if elementwise(group.head.layer).from_output:
            return Result(output, output)
        return Result(output, ledger.plan.in_layout(source, output.layout))

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """Multiply by the derivative."""
        ledger.add_gradient(group.head.inputs[0], activation_backward(ledger, group.head, saved, gradient))


class PReLURule(Rule[Array]):
    """The rectifier with a learned slope, for all channels or for each, in the plain layout."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether there is a slope for all channels or for each; other axes have a rule of their own."""
        assert isinstance(node.layer, PReLU)
        return node.layer.axes is None

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """Apply it; its input is saved."""
        node, plan = group.head, ledger.plan
        source = plan.plain(ledger.values[node.inputs[0]])
        output = plan.new(source.layout)
        operands = {"src": source, "weights": ledger.parameter(node, "weight"), "dst": output}
        plan.run(_native.prelu(self._slopes(group, source)), operands)
        return Result(output, source)

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """Gradients for the input and for the slopes."""
        node, plan, source = group.head, ledger.plan, saved
        weights = ledger.parameter(node, "weight")
        result, slopes = plan.new(source.layout), ledger.parameter_gradient(node, "weight", weights.layout)
        operands = {
            "src": source,
            "weights": weights,
            "diff_dst": plan.plain(gradient),
            "diff_src": result,
            "diff_weights": slopes,
        }
        plan.run(_native.prelu_backward(self._slopes(group, source)), operands)
        ledger.finish_gradient(node, "weight", slopes)
        ledger.add_gradient(node.inputs[0], result)

    def _slopes(self, group: Group, source: Array) -> _native.Slopes:
        assert isinstance(group.head.layer, PReLU)
        samples, channels, *positions = source.layout.dims
        return _native.Slopes(samples, channels, prod(positions), not group.head.layer.per_channel)


class SoftmaxRule(Rule[Array]):
    """Softmax along an axis, or its logarithm."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """Apply it in the plain layout, or along positions where channels lie in blocks."""
        source = ledger.values[group.head.inputs[0]]
        if self._block(group, source) is None:
            source = ledger.plan.plain(source)
        output = ledger.plan.new(source.layout)
        ledger.plan.run(
            _native.softmax(*self._sizes(group, output), self._logarithm(group)), {"src": source, "dst": output}
        )
        return Result(output, output)

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """Compute the gradient from the output."""
        output, plan = saved, ledger.plan
        result = plan.new(output.layout)
        operation = _native.softmax_backward(*self._sizes(group, output), self._logarithm(group))
        plan.run(operation, {"dst": output, "diff_dst": plan.in_layout(gradient, output.layout), "diff_src": result})
        ledger.add_gradient(group.head.inputs[0], result)

    def _sizes(self, group: Group, array: Array) -> tuple[int, int, int]:
        """Rows, numbers that belong together, and how far these lie apart."""
        dims, axis = array.layout.dims, self._axis(group)
        block = self._block(group, array) or 1
        return prod(dims[:axis]) // block, dims[axis], prod(dims[axis + 1 :]) * block

    def _block(self, group: Group, array: Array) -> int | None:
        """The length of the blocks of channels that stay together; None if there are none or they are divided."""
        block = blocks_of_channels(array.layout)
        whole = block is not None and array.layout.dims[1] % block == 0 and self._axis(group) != 1
        return block if whole else None

    def _axis(self, group: Group) -> int:
        """The axis, the batch being the first."""
        assert isinstance(group.head.layer, Softmax | LogSoftmax)
        return axis_number(group.head.layer.axis, group.head.output_shape) + 1

    def _logarithm(self, group: Group) -> bool:
        return isinstance(group.head.layer, LogSoftmax)


class MaxoutRule(Rule[Array | None]):
    """A maximum over neighbouring channels: pooling along an axis of their own."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array | None]:
        """Pool the pieces; which of them won is saved."""
        given = ledger.plan.plain(ledger.values[group.head.inputs[0]])
        source, target = self._layouts(ledger, group)
        planes = self._planes(ledger, group)
        output, winners = maximum(ledger, Array(source, given.storage), planes, target)
        return Result(Array(ledger.plain_layout(group.output), output.storage), winners)

    def backward(self, ledger: Ledger, group: Group, saved: Array | None, gradient: Array) -> None:
        """Send the gradient to each maximum's winner."""
        plan, name = ledger.plan, group.head.inputs[0]
        source, target = self._layouts(ledger, group)
        result = plan.new(source)
        arriving = Array(target, plan.plain(gradient).storage)
        operands = {"diff_dst": arriving, "winners": saved, "diff_src": result}
        plan.run(_native.maximum_backward(self._planes(ledger, group)), operands)
        ledger.add_gradient(name, Array(ledger.plain_layout(name), result.storage))

    def _planes(self, ledger: Ledger, group: Group) -> _native.Planes:
        layer = group.head.layer
        assert isinstance(layer, Maxout)
        window = _native.Window([layer.pieces, 1], [layer.pieces, 1], [1, 1], [0, 0], [0, 0])
        return _native.Planes(*self._layouts(ledger, group), window)

    def _layouts(self, ledger: Ledger, group: Group) -> tuple[_native.Layout, _native.Layout]:
        """The plain numbers of input and output, told as planes of pieces.

        Positions lie side by side, as channels do in the layout with channels last: if they fill vectors, they are
        called channels.
        """
        shape, layer = group.head.input_shapes[0], group.head.layer
        assert isinstance(layer, Maxout)
        planes, positions = ledger.batch_size * shape[0] // layer.pieces, prod(shape[1:])
        if positions % LANES == 0:
            return channels_last([planes, positions, layer.pieces, 1]), channels_last([planes, positions, 1, 1])
        made = [_native.Layout.plain([planes, 1, pieces, positions]) for pieces in (layer.pieces, 1)]
        return made[0], made[1]

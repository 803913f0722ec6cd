"""Linear along the last axis: the positions before it are so many more samples."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.graph import Node
from foveate.layers import Linear


class LastAxisRule(Rule[Array]):
    """oneDNN's inner product over rows."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """One product; its input is saved."""
        node, plan = group.head, ledger.plan
        source = _rows(ledger, ledger.values[node.inputs[0]])
        bias = ledger.parameter(node, "bias") if _biased(node) else None
        made = [source.layout.dims[0], node.output_shape[-1]]
        primitive = _native.linear_forward(
            *_layouts(node, source), _bias_layout(node), _native.Layout.any(made), ledger.request.with_gradients, []
        )
        output = plan.new(primitive.layout("dst"))
        operands = {
            "src": plan.in_layout(source, primitive.layout("src")),
            "weights": ledger.parameter_in(node, "weight", primitive.layout("weights")),
            "bias": bias,
            "dst": output,
        }
        plan.run(primitive, operands)
        return Result(plan.reshaped(output, ledger.dims(node.name)), source)

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """To weights and bias, and to the input if its gradient is wanted."""
        node, name = group.head, group.head.inputs[0]
        gradient = _rows(ledger, gradient)
        if any(ledger.learns(node, each) for each in node.layer.parameters(node.input_shapes)):
            self._to_weights(ledger, node, saved, gradient)
        if ledger.wants_gradient(name):
            ledger.add_gradient(
                name, ledger.plan.reshaped(self._to_data(ledger, node, saved, gradient), ledger.dims(name))
            )

    def _to_weights(self, ledger: Ledger, node: Node, source: Array, gradient: Array) -> None:
        plan = ledger.plan
        target = _native.Layout.any(gradient.layout.dims)
        primitive = _native.linear_backward_weights(*_layouts(node, source), _bias_layout(node), target)
        weights = ledger.parameter_gradient(node, "weight", primitive.layout("diff_weights"))
        bias = ledger.parameter_gradient(node, "bias", primitive.layout("diff_bias")) if _biased(node) else None
        operands = {
            "src": plan.in_layout(source, primitive.layout("src")),
            "diff_dst": plan.in_layout(gradient, primitive.layout("diff_dst")),
            "diff_weights": weights,
            "diff_bias": bias,
        }
        plan.run(primitive, operands)
        ledger.finish_gradient(node, "weight", weights)
        if bias is not None:
            ledger.finish_gradient(node, "bias", bias)

    def _to_data(self, ledger: Ledger, node: Node, source: Array, gradient: Array) -> Array:
        plan = ledger.plan
        primitive = _native.linear_backward_data(*_layouts(node, source), _native.Layout.any(gradient.layout.dims))
        result = plan.new(primitive.layout("diff_src"))
        operands = {
            "diff_dst": plan.in_layout(gradient, primitive.layout("diff_dst")),
            "weights": ledger.parameter_in(node, "weight", primitive.layout("weights")),
            "diff_src": result,
        }
        plan.run(primitive, operands)
        return result


def _rows(ledger: Ledger, array: Array) -> Array:
    """All positions of all samples as rows."""
    dims = array.layout.dims
    return ledger.plan.reshaped(ledger.plan.plain(array), [prod(dims[:-1]), dims[-1]])


def _layouts(node: Node, source: Array) -> tuple[_native.Layout, _native.Layout]:
    """Of the rows and of the weights, oneDNN's choice."""
    rows, features = source.layout.dims
    return _native.Layout.any([rows, features]), _native.Layout.any([node.output_shape[-1], features])


def _bias_layout(node: Node) -> _native.Layout:
    return _native.Layout.any([node.output_shape[-1]]) if _biased(node) else _native.Layout.none()


def _biased(node: Node) -> bool:
    assert isinstance(node.layer, Linear)
    return node.layer.bias

"""Convolutions and linear layers, with what is fused into them."""

from foveate.engines.folding import folded
from foveate.engines.native import _native
from foveate.engines.native.elementwise import elementwise
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.products import (
    backward_data_primitive,
    backward_weights_primitive,
    canonical_weight_layout,
    copies_border,
    data_dims,
    forward_primitive,
)
from foveate.engines.native.rules.base import Rule, activation_backward
from foveate.engines.native.rules.resizing import border_sources, gather, scatter
from foveate.engines.native.rules.winograd import (
    gradient_fits,
    weight_layout,
    winograd_backward_data,
    winograd_backward_weights,
    winograd_fits,
    winograd_forward,
)
from foveate.graph import Node
from foveate.layers import ReLU
from foveate.layers.convolution import Convolution


class ProductRule(Rule):
    """oneDNN's convolution or inner product."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """One product; the normalisation folded into its weights, addition and activation applied to its result."""
        node, plan = group.head, lowering.plan
        if _by_winograd(lowering, group):
            return self._forward_by_winograd(lowering, group)
        folded = group.normalization is not None
        added: Array | None = None
        posts: list[_native.PostOperation] = []
        target: _native.Layout | None = None
        if group.addition is not None:
            target = forward_primitive(node, lowering.batch_size, training=False).layout(_native.DST)
            added = plan.in_layout(lowering.values[group.added], target)
            posts.append(_native.PostOperation("add", other=target))
        if group.activation is not None:
            function = elementwise(group.activation.layer)
            posts.append(_native.PostOperation(function.kind, alpha=function.alpha, beta=function.beta))
        primitive = forward_primitive(
            node,
            lowering.batch_size,
            training=lowering.with_gradients,
            post_operations=posts,
            with_bias=True if folded else None,
            target=target,
        )
        output = plan.new(primitive.layout(_native.DST))
        operands: dict[str, Array | None] = {
            "src": plan.in_layout(_bordered(lowering, node), primitive.layout(_native.SRC)),
            **_weights(lowering, group, primitive.layout(_native.WEIGHTS)),
            "dst": output,
        }
        if added is not None:
            operands["post_operation_0"] = added
        plan.run(primitive, operands)
        lowering.saved[node.name] = {"output": output}
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Through the activation, then to the weights, then to the input if anyone wants it."""
        node = group.head
        if group.activation is not None:
            output = lowering.saved[node.name]["output"]
            gradient = activation_backward(lowering, group.activation, output, gradient)
        if lowering.parameter_gradients and gradient_fits(node, lowering.batch_size):
            winograd_backward_weights(lowering, node, gradient)
        elif lowering.parameter_gradients:
            self._backward_weights(lowering, node, gradient)
        self._backward_data(lowering, node, gradient)

    def _backward_weights(self, lowering: Lowering, node: Node, gradient: Array) -> None:
        plan = lowering.plan
        primitive = backward_weights_primitive(node, lowering.batch_size)
        weights = lowering.parameter_gradient(node, "weight", primitive.layout(_native.DIFF_WEIGHTS))
        bias = None
        if getattr(node.layer, "bias", False):
            bias = lowering.parameter_gradient(node, "bias", primitive.layout(_native.DIFF_BIAS))
        plan.run(
            primitive,
            {
                "src": plan.in_layout(_bordered(lowering, node), primitive.layout(_native.SRC)),
                "diff_dst": plan.in_layout(gradient, primitive.layout(_native.DIFF_DST)),
                "diff_weights": weights,
                "diff_bias": bias,
            },
        )
        lowering.finish_gradient(node, "weight", weights)
        if bias is not None:
            lowering.finish_gradient(node, "bias", bias)

    def _backward_data(self, lowering: Lowering, node: Node, gradient: Array) -> None:
        plan, source = lowering.plan, node.inputs[0]
        if lowering.wants_gradient(source) and winograd_fits(node, lowering.batch_size):
            lowering.add_gradient(source, winograd_backward_data(lowering, node, gradient))
        elif lowering.wants_gradient(source):
            primitive = backward_data_primitive(node, lowering.batch_size)
            result = plan.new(primitive.layout(_native.DIFF_SRC))
            plan.run(
                primitive,
                {
                    "diff_dst": plan.in_layout(gradient, primitive.layout(_native.DIFF_DST)),
                    "weights": lowering.parameter_in(node, "weight", primitive.layout(_native.WEIGHTS)),
                    "diff_src": result,
                },
            )
            if copies_border(node):
                result = scatter(lowering, plan.plain(result), lowering.dims(source), _border(node))
            lowering.add_gradient(source, result)

    def _forward_by_winograd(self, lowering: Lowering, group: Group) -> Array:
        node, relu = group.head, group.activation is not None
        given = _weights(lowering, group, weight_layout(node, flipped=False))
        weights, bias = given["weights"], given["bias"]
        assert weights is not None
        output = winograd_forward(lowering, node, lowering.values[node.inputs[0]], weights, bias, relu=relu)
        lowering.saved[node.name] = {"output": output}
        return output


def _by_winograd(lowering: Lowering, group: Group) -> bool:
    """Whether the kernel can do all that the group wants: a bias and ReLU, no other activation and no addition."""
    plain = group.addition is None and (group.activation is None or isinstance(group.activation.layer, ReLU))
    return plain and winograd_fits(group.head, lowering.batch_size)


def _border(node: Node) -> list[list[int]]:
    """Which position of the input each position of the padded input copies, axis by axis."""
    assert isinstance(node.layer, Convolution)
    axes = zip(node.input_shapes[0][1:], node.layer.windows(node.input_shapes), strict=True)
    return [border_sources(size, window, node.layer.padding_mode) for size, window in axes]


def _bordered(lowering: Lowering, node: Node) -> Array:
    """The product's input, with its border where that repeats the input."""
    source = lowering.values[node.inputs[0]]
    if not copies_border(node):
        return source
    saved = lowering.saved.setdefault(f"{node.name}, padded", {})
    if "array" not in saved:
        saved["array"] = gather(lowering, lowering.plan.plain(source), _border(node))
        assert saved["array"].layout.dims == data_dims(node, lowering.batch_size)[0]
    padded: Array = saved["array"]
    return padded


def _weights(lowering: Lowering, group: Group, layout: _native.Layout) -> dict[str, Array | None]:
    """Weights and bias: the state's own, or folded with the normalisation."""
    node, normalization = group.head, group.normalization
    if normalization is None:
        biased = getattr(node.layer, "bias", False)
        return {
            "weights": lowering.parameter_in(node, "weight", layout),
            "bias": lowering.parameter(node, "bias") if biased else None,
        }
    bias_layout = _native.Layout.plain([node.output_shape[0]])
    canonical = canonical_weight_layout(node)
    return {
        "weights": lowering.constant(layout, canonical, lambda state: folded(state, node, normalization)[0]),
        "bias": lowering.constant(bias_layout, bias_layout, lambda state: folded(state, node, normalization)[1]),
    }

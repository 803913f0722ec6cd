"""oneDNN's primitives for convolutions and linear layers, made from a node: one place for their dims and windows."""

from collections.abc import Sequence

from foveate.engines.native import _native
from foveate.graph import Node
from foveate.layers import ELU, Layer, LeakyReLU, ReLU, Sigmoid, Tanh
from foveate.layers.convolution import Convolution

Layout = _native.Layout


def weight_dims(node: Node) -> list[int]:
    """oneDNN's axes of the weights: groups apart where there are several. The numbers' plain order is the canonical."""
    shape = node.layer.parameters(node.input_shapes)["weight"].shape
    groups = getattr(node.layer, "groups", 1)
    return [groups, shape[0] // groups, *shape[1:]] if groups > 1 else list(shape)


def data_dims(node: Node, batch_size: int) -> tuple[list[int], list[int]]:
    """Axes of the input and the output, batch first."""
    return [batch_size, *node.input_shapes[0]], [batch_size, *node.output_shape]


def window_of(node: Node) -> _native.Window:
    """The node's window as oneDNN takes it."""
    windows = node.layer.windows(node.input_shapes) or ()
    return _native.Window(
        [w.kernel_size for w in windows],
        [w.stride for w in windows],
        [w.dilation for w in windows],
        [w.padding[0] for w in windows],
        [w.padding[1] for w in windows],
    )


def forward_primitive(
    node: Node,
    batch_size: int,
    *,
    training: bool,
    post_operations: Sequence[_native.PostOperation] = (),
    with_bias: bool | None = None,
    target: Layout | None = None,
) -> _native.Primitive:
    """The forward product of a convolution or linear node, all layouts oneDNN's choice unless `target` is given."""
    source_dims, target_dims = data_dims(node, batch_size)
    biased = getattr(node.layer, "bias", False) if with_bias is None else with_bias
    source, weights = Layout.any(source_dims), Layout.any(weight_dims(node))
    bias = Layout.any([node.output_shape[0]]) if biased else Layout.none()
    target = target or Layout.any(target_dims)
    if isinstance(node.layer, Convolution):
        return _native.convolution_forward(
            source, weights, bias, target, window_of(node), training, list(post_operations)
        )
    return _native.linear_forward(source, weights, bias, target, training, list(post_operations))


def backward_data_primitive(node: Node, batch_size: int) -> _native.Primitive:
    """The product that takes the gradient back to the input."""
    source_dims, target_dims = data_dims(node, batch_size)
    source, weights, target = Layout.any(source_dims), Layout.any(weight_dims(node)), Layout.any(target_dims)
    if isinstance(node.layer, Convolution):
        return _native.convolution_backward_data(source, weights, target, window_of(node))
    return _native.linear_backward_data(source, weights, target)


def backward_weights_primitive(node: Node, batch_size: int) -> _native.Primitive:
    """The product that gives the gradients of weights and bias."""
    source_dims, target_dims = data_dims(node, batch_size)
    source, weights, target = Layout.any(source_dims), Layout.any(weight_dims(node)), Layout.any(target_dims)
    bias = Layout.any([node.output_shape[0]]) if getattr(node.layer, "bias", False) else Layout.none()
    if isinstance(node.layer, Convolution):
        return _native.convolution_backward_weights(source, weights, bias, target, window_of(node))
    return _native.linear_backward_weights(source, weights, bias, target)


def elementwise(layer: Layer) -> tuple[str, float]:
    """oneDNN's name of an activation, and its one number."""
    match layer:
        case ReLU():
            return "relu", 0.0
        case LeakyReLU():
            return "relu", layer.slope
        case ELU():
            return "elu", layer.alpha
        case Sigmoid():
            return "sigmoid", 0.0
        case Tanh():
            return "tanh", 0.0
    raise AssertionError(f"{layer} is no activation of oneDNN's")

"""oneDNN's primitives for convolutions and linear layers, made from a node: one place for their dims and windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from foveate.engines.native import _native
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers import Linear
from foveate.layers.convolution import Convolution
from foveate.layers.transposed import TransposedConvolution

Layout = _native.Layout


def is_product(node: Node) -> bool:
    """Whether the node is a product with weights that oneDNN computes, into which what follows can be fused."""
    layer = node.layer
    if isinstance(layer, TransposedConvolution):
        # oneDNN knows output padding as padding that is left out at the end, of which there must be enough.
        return all(pair[1] >= extra for pair, extra in zip(layer.padding, layer.output_padding, strict=True))
    return isinstance(layer, Convolution) or (isinstance(layer, Linear) and len(node.output_shape) == 1)


def weight_dims(node: Node) -> list[int]:
    """oneDNN's axes of the weights: outputs, inputs, kernel; groups are separate if there are several."""
    shape = node.layer.parameters(node.input_shapes)["weight"].shape
    groups = getattr(node.layer, "groups", 1)
    if isinstance(node.layer, TransposedConvolution):
        dims = [shape[1], shape[0] // groups, *shape[2:]]
    else:
        dims = [shape[0] // groups, *shape[1:]]
    return [groups, *dims] if groups > 1 else dims


def canonical_weight_layout(node: Node) -> Layout:
    """The canonical order of the weights' numbers, as a layout of oneDNN's axes."""
    dims = weight_dims(node)
    if not isinstance(node.layer, TransposedConvolution):
        return Layout.plain(dims)
    # PyTorch's order begins with the inputs: (groups, inputs, outputs, kernel).
    *groups, outputs, inputs = dims[: len(dims) - node.layer.spatial_axes]
    kernel = dims[len(dims) - node.layer.spatial_axes :]
    taps = prod(kernel)
    strides = [inputs * outputs * taps] * len(groups) + [taps, outputs * taps]
    return Layout.strided(dims, strides + [prod(kernel[axis + 1 :]) for axis in range(len(kernel))])


def copies_border(node: Node) -> bool:
    """Whether the padding repeats the input, so that a separate step makes it."""
    return isinstance(node.layer, Convolution) and node.layer.padding_mode != "zeros"


def data_dims(node: Node, batch_size: int) -> tuple[list[int], list[int]]:
    """Axes of what the product reads and of its output, batch first."""
    channels, *sizes = node.input_shapes[0]
    if copies_border(node):
        windows = node.windows or ()
        sizes = [size + sum(window.padding) for size, window in zip(sizes, windows, strict=True)]
    return [batch_size, channels, *sizes], [batch_size, *node.output_shape]


def window_of(node: Node) -> _native.Window:
    """The node's window as oneDNN takes it."""
    if isinstance(node.layer, TransposedConvolution):
        return _native_window(
            [
                Window(w.kernel_size, w.stride, (w.padding[0], w.padding[1] - extra), w.dilation)
                for w, extra in zip(node.layer.transposed_windows, node.layer.output_padding, strict=True)
            ]
        )
    windows = node.windows or ()
    if copies_border(node):
        windows = tuple(Window(w.kernel_size, w.stride, (0, 0), w.dilation) for w in windows)
    return _native_window(windows)


def _native_window(windows: Sequence[Window]) -> _native.Window:
    return _native.Window(
        [w.kernel_size for w in windows],
        [w.stride for w in windows],
        [w.dilation for w in windows],
        [w.padding[0] for w in windows],
        [w.padding[1] for w in windows],
    )


def _open_layouts(node: Node, batch_size: int) -> tuple[Layout, Layout, Layout]:
    """Source, weights and target, all oneDNN's choice."""
    source_dims, target_dims = data_dims(node, batch_size)
    return Layout.any(source_dims), Layout.any(weight_dims(node)), Layout.any(target_dims)


def _bias_layout(node: Node, *, present: bool) -> Layout:
    return Layout.any([node.output_shape[0]]) if present else Layout.none()


@dataclass(frozen=True)
class Forward:
    """A request for a forward product: what is applied to its result, and its layout if it is not oneDNN's choice.

    `with_bias` defaults to the layer's own.
    """

    training: bool
    post_operations: Sequence[_native.PostOperation] = ()
    with_bias: bool | None = None
    target: Layout | None = None


def forward_primitive(node: Node, batch_size: int, wanted: Forward) -> _native.Primitive:
    """The forward product, all layouts oneDNN's choice unless `wanted` has one."""
    source, weights, any_target = _open_layouts(node, batch_size)
    biased = getattr(node.layer, "bias", False) if wanted.with_bias is None else wanted.with_bias
    bias = _bias_layout(node, present=biased)
    target, posts = wanted.target or any_target, list(wanted.post_operations)
    match node.layer:
        case Convolution():
            return _native.convolution_forward(source, weights, bias, target, window_of(node), wanted.training, posts)
        case TransposedConvolution():
            return _native.transposed_forward(source, weights, bias, target, window_of(node), wanted.training, posts)
    return _native.linear_forward(source, weights, bias, target, wanted.training, posts)


def backward_data_primitive(node: Node, batch_size: int) -> _native.Primitive:
    """The product that takes the gradient back to the input."""
    source, weights, target = _open_layouts(node, batch_size)
    match node.layer:
        case Convolution():
            return _native.convolution_backward_data(source, weights, target, window_of(node))
        case TransposedConvolution():
            return _native.transposed_backward_data(source, weights, target, window_of(node))
    return _native.linear_backward_data(source, weights, target)


def backward_weights_primitive(node: Node, batch_size: int) -> _native.Primitive:
    """The product that computes the gradients of weights and bias."""
    source, weights, target = _open_layouts(node, batch_size)
    bias = _bias_layout(node, present=getattr(node.layer, "bias", False))
    match node.layer:
        case Convolution():
            return _native.convolution_backward_weights(source, weights, bias, target, window_of(node))
        case TransposedConvolution():
            return _native.transposed_backward_weights(source, weights, bias, target, window_of(node))
    return _native.linear_backward_weights(source, weights, bias, target)

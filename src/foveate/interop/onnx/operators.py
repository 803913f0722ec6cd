"""The table from layers to ONNX's operators: for each layer how it is written."""

from collections.abc import Callable, Sequence
from functools import singledispatch
from math import prod
from typing import Any

import numpy as np

from foveate.errors import EngineError
from foveate.graph import Node
from foveate.interop.onnx.building import Writing
from foveate.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Erf,
    Exp,
    Flatten,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    Layer,
    LayerNorm,
    LeakyReLU,
    LocalResponseNorm,
    Log,
    MatMul,
    Mish,
    Pad,
    PixelShuffle,
    ReLU,
    Resize,
    RMSNorm,
    Shape,
    Sigmoid,
    Tanh,
    ThresholdedReLU,
    Transpose,
    Upsample,
)
from foveate.layers.adaptive import AdaptiveAveragePooling, AdaptiveMaximumPooling
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.pooling import (
    AveragePooling,
    GlobalAveragePooling,
    GlobalMaximumPooling,
    LPPooling,
    MaxPooling,
    Pooling,
)
from foveate.layers.resize import axis_taps
from foveate.layers.sample_normalization import InstanceNormalization
from foveate.layers.transposed import TransposedConvolution

_SAME_NUMBER: dict[type[Layer], tuple[str, Callable[[Any], dict[str, Any]]]] = {
    ReLU: ("Relu", lambda layer: {}),
    Sigmoid: ("Sigmoid", lambda layer: {}),
    Tanh: ("Tanh", lambda layer: {}),
    Hardswish: ("HardSwish", lambda layer: {}),
    Hardsigmoid: ("HardSigmoid", lambda layer: {"alpha": 1 / 6, "beta": 0.5}),
    Mish: ("Mish", lambda layer: {}),
    SELU: ("Selu", lambda layer: {}),
    ELU: ("Elu", lambda layer: {"alpha": float(layer.alpha)}),
    CELU: ("Celu", lambda layer: {"alpha": float(layer.alpha)}),
    LeakyReLU: ("LeakyRelu", lambda layer: {"alpha": float(layer.slope)}),
    GELU: ("Gelu", lambda layer: {"approximate": layer.approximate}),
    Exp: ("Exp", lambda layer: {}),
    Log: ("Log", lambda layer: {}),
    Erf: ("Erf", lambda layer: {}),
    ThresholdedReLU: ("ThresholdedRelu", lambda layer: {"alpha": float(layer.threshold)}),
    MatMul: ("MatMul", lambda layer: {}),
    Abs: ("Abs", lambda layer: {}),
    Flatten: ("Flatten", lambda layer: {"axis": 1}),
    PixelShuffle: ("DepthToSpace", lambda layer: {"blocksize": layer.factor, "mode": "CRD"}),
    Transpose: ("Transpose", lambda layer: {"perm": [0, *(axis + 1 for axis in layer.axes)]}),
}
"""Layers that are one operator with some attributes."""


@singledispatch
def write(layer: Layer, node: Node, to: Writing) -> None:
    """Write a layer's operators; the last one's output has the node's name.

    Raises:
        EngineError: ONNX has no such layer.
    """
    kind = _SAME_NUMBER.get(type(layer))
    if kind is None:
        raise EngineError(f"{node} has no counterpart in ONNX; replace it by layers of foveate to export the network")
    name, attributes = kind
    to.add(name, node.inputs, node.name, **attributes(layer))


@write.register
def _(layer: Convolution, node: Node, to: Writing) -> None:
    pairs = [window.padding for window in layer.windows(node.input_shapes)]
    source = node.inputs[0]
    if layer.padding_mode != "zeros" and any(map(any, pairs)):
        source = padded(to, source, f"{node.name}.pad", [(0, 0), *pairs], layer.padding_mode)
        pairs = [(0, 0)] * len(pairs)
    inputs = [source, to.parameter(node, "weight"), *([to.parameter(node, "bias")] if layer.bias else [])]
    to.add("Conv", inputs, node.name, **_windows(layer, pairs), group=layer.groups)


def _windows(layer: Any, pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {
        "kernel_shape": layer.kernel_size,
        "strides": layer.stride,
        "pads": [*(begin for begin, _ in pairs), *(end for _, end in pairs)],
        "dilations": layer.dilation,
    }


_MODES = {"zeros": "constant", "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(
    to: Writing, source: str, name: str, pairs: Sequence[tuple[int, int]], mode: str = "zeros", value: float = 0.0
) -> str:
    """Padding of a sample's axes as an operator."""
    pads = to.array(f"{name}.pads", [0, *(begin for begin, _ in pairs), 0, *(end for _, end in pairs)])
    inputs = [source, pads, *([to.array(f"{name}.value", np.float32(value))] if value else [])]
    return to.add("Pad", inputs, name, mode=_MODES[mode])


@write.register
def _(layer: TransposedConvolution, node: Node, to: Writing) -> None:
    pairs = [window.padding for window in layer.transposed_windows]
    inputs = [node.inputs[0], to.parameter(node, "weight")]
    extra = list(layer.output_padding)
    if any(more >= step for more, step in zip(extra, layer.stride, strict=True)):  # less padding has the same effect
        spared = [min(more, end) for more, (_, end) in zip(extra, pairs, strict=True)]
        pairs = [(begin, end - less) for (begin, end), less in zip(pairs, spared, strict=True)]
        extra = [more - less for more, less in zip(extra, spared, strict=True)]
    options = {**_windows(layer, pairs), "group": layer.groups}
    if all(more < step for more, step in zip(extra, layer.stride, strict=True)):
        inputs += [to.parameter(node, "bias")] if layer.bias else []
        to.add("ConvTranspose", inputs, node.name, **options, output_padding=extra if any(extra) else None)
        return
    name = f"{node.name}.padded" if layer.bias else node.name
    made = to.add("ConvTranspose", inputs, f"{node.name}.conv", **options)
    made = padded(to, made, name, [(0, 0), *((0, more) for more in extra)])
    if layer.bias:
        to.add("Add", [made, to.parameter(node, "bias", (-1, *(1,) * layer.spatial_axes))], node.name)


def whole_windows(layer: Pooling, node: Node) -> list[tuple[int, int]]:
    """Padding with which all windows are whole: what ceil_mode adds is padding at the end."""
    if not layer.ceil_mode:
        return [window.padding for window in layer.windows(node.input_shapes)]
    axes = zip(node.input_shapes[0][1:], node.output_shape[1:], layer.windows(node.input_shapes), strict=True)
    return [
        (w.padding[0], max(0, (count - 1) * w.stride + w.effective_size - size - w.padding[0]))
        for size, count, w in axes
    ]


@write.register
def _(layer: MaxPooling, node: Node, to: Writing) -> None:
    """onnxruntime takes less padding than a window has taps; more is written before."""
    source, pairs = node.inputs[0], whole_windows(layer, node)
    if any(max(pair) >= taps for pair, taps in zip(pairs, layer.kernel_size, strict=True)):
        source = padded(to, source, f"{node.name}.pad", [(0, 0), *pairs], value=float(np.finfo(np.float32).min))
        pairs = [(0, 0)] * len(pairs)
    to.add("MaxPool", [source], node.name, **_windows(layer, pairs))


@write.register
def _(layer: AveragePooling, node: Node, to: Writing) -> None:
    """Positions that only ceil_mode adds never count, so padding that does is written before."""
    source, pairs, counts = node.inputs[0], whole_windows(layer, node), layer.count_include_pad
    if layer.ceil_mode and counts:
        inside = [window.padding for window in layer.windows(node.input_shapes)]
        source = padded(to, source, f"{node.name}.pad", [(0, 0), *inside]) if any(map(any, inside)) else source
        pairs = [(0, max(0, end - own[1])) for (_, end), own in zip(pairs, inside, strict=True)]
        counts = False
    options = {key: value for key, value in _windows(layer, pairs).items() if key != "dilations"}
    to.add("AveragePool", [source], node.name, **options, count_include_pad=int(counts))


@write.register
def _(layer: LPPooling, node: Node, to: Writing) -> None:
    options = {key: value for key, value in _windows(layer, whole_windows(layer, node)).items() if key != "dilations"}
    if layer.norm_type == int(layer.norm_type):
        to.add("LpPool", node.inputs, node.name, **options, p=int(layer.norm_type))
        return
    name, power = node.name, to.array(f"{node.name}.p", np.float32(layer.norm_type))
    powers = to.add("Pow", [to.add("Abs", node.inputs, f"{name}.abs"), power], f"{name}.powers")
    mean = to.add("AveragePool", [powers], f"{name}.mean", **options, count_include_pad=1)
    total = to.add("Mul", [mean, to.array(f"{name}.count", np.float32(prod(layer.kernel_size)))], f"{name}.sum")
    to.add("Pow", [total, to.array(f"{name}.root", np.float32(1 / layer.norm_type))], name)


@write.register(GlobalAveragePooling)
@write.register(GlobalMaximumPooling)
def _(layer: Layer, node: Node, to: Writing) -> None:
    kind = "GlobalAveragePool" if isinstance(layer, GlobalAveragePooling) else "GlobalMaxPool"
    pooled = to.add(kind, node.inputs, f"{node.name}.pooled", name=node.name)
    to.add("Flatten", [pooled], node.name, name=f"{node.name}.flatten", axis=1)


@write.register(AdaptiveAveragePooling)
@write.register(AdaptiveMaximumPooling)
def _(layer: Any, node: Node, to: Writing) -> None:
    sizes, outputs = node.input_shapes[0][1:], layer.output_size
    average = isinstance(layer, AdaptiveAveragePooling)
    if set(outputs) == {1}:
        to.add("GlobalAveragePool" if average else "GlobalMaxPool", node.inputs, node.name)
        return
    if all(size % count == 0 for size, count in zip(sizes, outputs, strict=True)):
        kernel = [size // count for size, count in zip(sizes, outputs, strict=True)]
        to.add("AveragePool" if average else "MaxPool", node.inputs, node.name, kernel_shape=kernel, strides=kernel)
        return
    source, last = node.inputs[0], len(sizes) - 1
    for axis, bins in enumerate(layer.bins(sizes)):
        name = node.name if axis == last else f"{node.name}.axis{axis + 1}"
        if average:
            table = np.zeros((len(bins), sizes[axis]), np.float32)
            for row, (begin, end) in zip(table, bins, strict=True):
                row[begin:end] = 1 / (end - begin)
            source = along(to, source, name, axis + 1, table, len(sizes) + 1)
        else:
            source = _maxima(to, source, name, axis + 2, bins)


def _maxima(to: Writing, source: str, name: str, axis: int, bins: Sequence[tuple[int, int]]) -> str:
    """The maximum of each bin of an axis of the file."""
    axes = to.array(f"{name}.axes", [axis])
    parts = []
    for number, (begin, end) in enumerate(bins):
        part = f"{name}.bin{number + 1}"
        ends = [to.array(f"{part}.begin", [begin]), to.array(f"{part}.end", [end])]
        inside = to.add("Slice", [source, *ends, axes], f"{part}.inside")
        parts.append(to.add("ReduceMax", [inside, axes], part, keepdims=1))
    return to.add("Concat", parts, name, axis=axis)


def along(to: Writing, source: str, name: str, axis: int, table: Any, rank: int) -> str:
    """A product with a matrix (outputs, inputs) along an axis of a sample of `rank` axes, counted from 0."""
    matrix = to.array(f"{name}.weights", np.asarray(table, np.float32).T)
    if axis == rank - 1:
        return to.add("MatMul", [source, matrix], name)
    order = [0, *(each + 1 for each in range(rank) if each != axis), axis + 1]
    turned = to.add("Transpose", [source], f"{name}.turned", perm=order)
    product = to.add("MatMul", [turned, matrix], f"{name}.product")
    return to.add("Transpose", [product], name, perm=list(map(order.index, range(rank + 1))))


@write.register
def _(layer: BatchNormalization, node: Node, to: Writing) -> None:
    scales = _scales(layer, node, to, (node.input_shapes[0][0],))
    statistics = [to.parameter(node, name) for name in ("running_mean", "running_var")]
    inputs = [*node.inputs, *scales, *statistics]
    to.add("BatchNormalization", inputs, node.name, epsilon=float(layer.eps), momentum=1.0 - layer.momentum)


def _scales(layer: Any, node: Node, to: Writing, shape: Shape) -> list[str]:
    """Scale and shift, or ones and zeros for a normalisation without."""
    if layer.affine:
        return [to.parameter(node, "weight"), to.parameter(node, "bias")]
    ones, zeros = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    return [to.array(f"{node.name}.ones", ones), to.array(f"{node.name}.zeros", zeros)]


@write.register
def _(layer: InstanceNormalization, node: Node, to: Writing) -> None:
    inputs = [*node.inputs, *_scales(layer, node, to, (node.input_shapes[0][0],))]
    to.add("InstanceNormalization", inputs, node.name, epsilon=float(layer.eps))


@write.register
def _(layer: GroupNorm, node: Node, to: Writing) -> None:
    inputs = [*node.inputs, *_scales(layer, node, to, (node.input_shapes[0][0],))]
    to.add("GroupNormalization", inputs, node.name, epsilon=float(layer.eps), num_groups=layer.groups)


@write.register
def _(layer: LayerNorm, node: Node, to: Writing) -> None:
    shape = layer.affine_shape(node.input_shapes[0])
    inputs = [*node.inputs, *_scales(layer, node, to, shape)]
    to.add("LayerNormalization", inputs, node.name, epsilon=float(layer.eps), axis=-len(shape))


@write.register
def _(layer: RMSNorm, node: Node, to: Writing) -> None:
    """ONNX has it as one operator from version 23 on."""
    name, shape = node.name, layer.affine_shape(node.input_shapes[0])
    axes = to.array(f"{name}.axes", list(range(-len(shape), 0)))
    squares = to.add("Mul", [node.inputs[0], node.inputs[0]], f"{name}.squares")
    mean = to.add("ReduceMean", [squares, axes], f"{name}.mean", keepdims=1)
    shifted = to.add("Add", [mean, to.array(f"{name}.eps", np.float32(layer.eps))], f"{name}.shifted")
    root = to.add("Sqrt", [shifted], f"{name}.root")
    made = to.add("Div", [node.inputs[0], root], f"{name}.scaled" if layer.affine else name)
    if layer.affine:
        to.add("Mul", [made, to.parameter(node, "weight")], name)


@write.register
def _(layer: LocalResponseNorm, node: Node, to: Writing) -> None:
    """Of an even size ONNX counts one channel more behind, foveate one more before; onnxruntime takes images only."""
    if layer.size % 2 and len(node.output_shape) == 3:
        alpha, beta, k = float(layer.alpha), float(layer.beta), float(layer.k)
        to.add("LRN", node.inputs, node.name, size=layer.size, alpha=alpha, beta=beta, bias=k)
        return
    name = node.name
    squares = to.add("Mul", [node.inputs[0], node.inputs[0]], f"{name}.squares")
    flat = shaped(to, squares, f"{name}.flat", (1, node.input_shapes[0][0], prod(node.input_shapes[0][1:])))
    around = [layer.size // 2, 0, (layer.size - 1) // 2, 0]
    mean = to.add("AveragePool", [flat], f"{name}.mean", kernel_shape=[layer.size, 1], pads=around, count_include_pad=1)
    back = shaped(to, mean, f"{name}.back", node.output_shape)
    scaled = to.add("Mul", [back, to.array(f"{name}.alpha", np.float32(layer.alpha))], f"{name}.scaled")
    shifted = to.add("Add", [scaled, to.array(f"{name}.k", np.float32(layer.k))], f"{name}.shifted")
    power = to.add("Pow", [shifted, to.array(f"{name}.beta", np.float32(layer.beta))], f"{name}.power")
    to.add("Div", [node.inputs[0], power], name)


def shaped(to: Writing, source: str, name: str, shape: Sequence[int]) -> str:
    """A sample in another shape; the batch stays what it is."""
    return to.add("Reshape", [source, to.array(f"{name}.shape", [0, *shape])], name)


@write.register
def _(layer: Pad, node: Node, to: Writing) -> None:
    source, name = node.inputs[0], node.name
    crops = [(min(begin, 0), min(end, 0)) for begin, end in layer.padding]
    pairs = [(max(begin, 0), max(end, 0)) for begin, end in layer.padding]
    inside = any(map(any, crops))
    if inside:
        cut = name if not any(map(any, pairs)) else f"{name}.crop"
        sizes = node.input_shapes[0]
        begins = to.array(f"{cut}.begins", [-begin for begin, _ in crops])
        ends = to.array(f"{cut}.ends", [size + end for size, (_, end) in zip(sizes, crops, strict=True)])
        axes = to.array(f"{cut}.axes", list(range(1, len(sizes) + 1)))
        source = to.add("Slice", [source, begins, ends, axes], cut)
    if not inside or any(map(any, pairs)):
        padded(to, source, name, pairs, layer.mode, layer.value)


@write.register(Upsample)
@write.register(Resize)
def _(layer: Upsample | Resize, node: Node, to: Writing) -> None:
    before, after = node.input_shapes[0], node.output_shape
    whole = all(made % size == 0 for size, made in zip(before[1:], after[1:], strict=True))
    linear = layer.mode == "linear" and not getattr(layer, "antialias", False)
    if isinstance(layer, Upsample) and whole and (layer.mode == "nearest" or linear):
        scales = [1.0, 1.0, *(made / size for size, made in zip(before[1:], after[1:], strict=True))]
        inputs = [*node.inputs, "", to.array(f"{node.name}.scales", np.array(scales, np.float32))]
        how = "asymmetric" if layer.mode == "nearest" else "align_corners" if layer.align_corners else "half_pixel"
        rounding = "floor" if layer.mode == "nearest" else None
        options = {"mode": layer.mode, "coordinate_transformation_mode": how, "nearest_mode": rounding}
        to.add("Resize", inputs, node.name, **options)
        return
    _resized(layer, node, to)


def _resized(layer: Upsample | Resize, node: Node, to: Writing) -> None:
    """Copies, or products with the weights along each axis."""
    before, after, source = node.input_shapes[0], node.output_shape, node.inputs[0]
    for axis in range(1, len(before)):
        name = node.name if axis == len(before) - 1 else f"{node.name}.axis{axis}"
        if isinstance(layer, Resize):
            taps = layer.taps(before)[axis - 1]
        else:
            taps = axis_taps(before[axis], after[axis], None, layer.mode, layer.align_corners, False)
        if "nearest" in layer.mode:
            places = to.array(f"{name}.places", [first for first, _ in taps])
            source = to.add("Gather", [source, places], name, axis=axis + 1)
            continue
        table = np.zeros((after[axis], before[axis]), np.float32)
        for row, (first, weights) in zip(table, taps, strict=True):
            row[first : first + len(weights)] = weights
        source = along(to, source, name, axis, table, len(before))

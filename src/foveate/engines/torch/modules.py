"""The table from layers to torch.nn: for each layer the modules that compute it, under readable names.

Modules that torch.nn lacks are in `own`. Everything that expresses a graph in PyTorch uses this table: the export
of models, and the benchmarks' counterparts.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import reduce, singledispatch
from math import inf, prod
from typing import Any, TypeAlias

import torch
from torch import nn

from foveate.engines.torch.own import (
    Clamp,
    CountedAverage,
    ErrorFunction,
    Exponential,
    FeatureShuffle,
    FrozenBatchNorm1d,
    FrozenBatchNorm2d,
    FrozenBatchNorm3d,
    LearnedLine,
    LearnedSlopes,
    Line,
    Logarithm,
    Magnitude,
    Maxout,
    Padding,
    Pairs,
    PowerOf,
    Reducing,
    Reordering,
    Reshaping,
    Resizing,
    Slicing,
    Subsampling,
    amounts,
)
from foveate.errors import EngineError
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers import (
    CELU,
    ELU,
    GELU,
    Abs,
    Affine,
    ChannelShuffle,
    Clip,
    Dropout,
    Erf,
    Exp,
    Flatten,
    GroupNorm,
    Hardtanh,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    Log,
    LogSoftmax,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    Power,
    PReLU,
    Reduce,
    Rescale,
    Reshape,
    Resize,
    RMSNorm,
    Shape,
    Slice,
    Softmax,
    Softplus,
    SpatialDropout,
    ThresholdedReLU,
    Transpose,
    Upsample,
)
from foveate.layers import Maxout as MaxoutLayer
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
from foveate.layers.registry import built_in_layers, register_layer_type
from foveate.layers.sample_normalization import InstanceNormalization
from foveate.layers.transposed import TransposedConvolution

Parts: TypeAlias = list[tuple[str, nn.Module]]
"""The modules of one layer, in sequence, each with the suffix of its name after the layer's.

The one without a suffix holds the layer's parameters, by the names that they have in foveate.
"""

_Made: TypeAlias = Callable[..., nn.Module]

_CONVOLUTIONS: dict[int, _Made] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, _Made] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_MAX_POOLS: dict[int, _Made] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE_POOLS: dict[int, _Made] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_NORM_POOLS: dict[int, _Made] = {1: nn.LPPool1d, 2: nn.LPPool2d, 3: nn.LPPool3d}
_ADAPTIVE_AVERAGES: dict[int, _Made] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
_ADAPTIVE_MAXIMA: dict[int, _Made] = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}
_BATCH_NORMS: tuple[_Made, ...] = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_FROZEN_NORMS: tuple[_Made, ...] = (FrozenBatchNorm1d, FrozenBatchNorm1d, FrozenBatchNorm2d, FrozenBatchNorm3d)
_INSTANCE_NORMS: dict[int, _Made] = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_CHANNEL_DROPOUTS: tuple[_Made, ...] = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_CONSTANT_PADS: dict[int, _Made] = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d}
_BORDERS: dict[str, dict[int, _Made]] = {
    "zeros": {1: nn.ZeroPad1d, 2: nn.ZeroPad2d, 3: nn.ZeroPad3d},
    "reflect": {1: nn.ReflectionPad1d, 2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d},
    "replicate": {1: nn.ReplicationPad1d, 2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d},
    "circular": {1: nn.CircularPad1d, 2: nn.CircularPad2d, 3: nn.CircularPad3d},
}
_INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}


@singledispatch
def parts(layer: Layer, node: Node) -> Parts:
    """The modules of `layer`, which takes one input, at `node`; their parameters are PyTorch's initial ones.

    Raises:
        EngineError: PyTorch has no such layer.
    """
    name = type(layer).__name__
    raise EngineError(
        f"{node} has no counterpart in PyTorch; foveate.engines.torch.register({name}, make) gives it one"
    )


def register(layer_type: type[Layer], make: Callable[[Any, Sequence[Shape]], nn.Module]) -> None:
    """Register the PyTorch module that computes a custom layer.

    Args:
        layer_type: the layer, which takes one input.
        make: (layer, input shapes) -> module, whose parameters have the names that the layer gives them.

    Raises:
        LayerError: foveate already has a layer of that name.
    """
    register_layer_type(layer_type)
    parts.register(layer_type, lambda layer, node: [("", make(layer, node.input_shapes))])


@parts.register
def _(layer: Convolution, node: Node) -> Parts:
    pairs = [window.padding for window in layer.windows(node.input_shapes)]
    axes, even = layer.spatial_axes, _symmetric(pairs)
    convolution = _CONVOLUTIONS[axes](
        node.input_shapes[0][0],
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=tuple(begin for begin, _ in pairs) if even else 0,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
        padding_mode=layer.padding_mode if even else "zeros",
    )
    if even:
        return [("", convolution)]
    return [("_padding", _BORDERS[layer.padding_mode][axes](amounts(pairs))), ("", convolution)]


@parts.register
def _(layer: TransposedConvolution, node: Node) -> Parts:
    pairs = [window.padding for window in layer.transposed_windows]
    axes, even = layer.spatial_axes, _symmetric(pairs)
    convolution = _TRANSPOSED[axes](
        node.input_shapes[0][0],
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=tuple(begin for begin, _ in pairs) if even else 0,
        output_padding=layer.output_padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
    )
    if even:
        return [("", convolution)]
    return [("", convolution), ("_crop", _BORDERS["zeros"][axes](amounts([(-begin, -end) for begin, end in pairs])))]


@parts.register
def _(layer: MaxPooling, node: Node) -> Parts:
    windows, make = layer.windows(node.input_shapes), _MAX_POOLS[layer.spatial_axes]
    padding = _padding_as_pytorch_takes_it(layer, windows)
    if padding is None:
        border = _CONSTANT_PADS[layer.spatial_axes](amounts(_to_whole_windows(node, windows)), -inf)
        return [("_padding", border), ("", make(layer.kernel_size, layer.stride, 0, layer.dilation))]
    if set(layer.kernel_size) == {1} and not layer.ceil_mode:
        return [("", Subsampling(layer.stride))]
    return [("", make(layer.kernel_size, layer.stride, padding, layer.dilation, ceil_mode=layer.ceil_mode))]


@parts.register
def _(layer: AveragePooling, node: Node) -> Parts:
    windows, make = layer.windows(node.input_shapes), _AVERAGE_POOLS[layer.spatial_axes]
    padding = _padding_as_pytorch_takes_it(layer, windows)
    # PyTorch compares a volume without its padding with the window.
    volume_fits = len(windows) < 3 or all(
        size >= window.kernel_size for size, window in zip(node.input_shapes[0][1:], windows, strict=True)
    )
    if padding is not None and volume_fits:
        return [("", make(layer.kernel_size, layer.stride, padding, layer.ceil_mode, layer.count_include_pad))]
    pairs, pool = _to_whole_windows(node, windows), make(layer.kernel_size, layer.stride)
    if layer.count_include_pad and not layer.ceil_mode:
        return [("_padding", _BORDERS["zeros"][layer.spatial_axes](amounts(pairs))), ("", pool)]
    return [("", CountedAverage(pairs, pool, prod(layer.kernel_size), _counts(layer, node, windows)))]


@parts.register
def _(layer: LPPooling, node: Node) -> Parts:
    pairs = _to_whole_windows(node, layer.windows(node.input_shapes))
    border = _BORDERS["zeros"][layer.spatial_axes](amounts(pairs))
    windows = (layer.kernel_size[0], layer.stride[0]) if layer.spatial_axes == 1 else (layer.kernel_size, layer.stride)
    pool = _NORM_POOLS[layer.spatial_axes](layer.norm_type, *windows)
    # A slope of -1 below zero makes magnitudes, of which PyTorch takes the powers as they are.
    return [("_padding", border), ("_magnitude", nn.LeakyReLU(-1.0)), ("", pool)]


@parts.register
def _(layer: GlobalAveragePooling, node: Node) -> Parts:
    return [("", _ADAPTIVE_AVERAGES[layer.spatial_axes](1)), ("_flatten", nn.Flatten())]


@parts.register
def _(layer: GlobalMaximumPooling, node: Node) -> Parts:
    return [("", _ADAPTIVE_MAXIMA[layer.spatial_axes](1)), ("_flatten", nn.Flatten())]


@parts.register
def _(layer: AdaptiveAveragePooling, node: Node) -> Parts:
    return [("", _ADAPTIVE_AVERAGES[layer.spatial_axes](layer.output_size))]


@parts.register
def _(layer: AdaptiveMaximumPooling, node: Node) -> Parts:
    return [("", _ADAPTIVE_MAXIMA[layer.spatial_axes](layer.output_size))]


@parts.register
def _(layer: BatchNormalization, node: Node) -> Parts:
    channels, *spatial = node.input_shapes[0]
    make = (_FROZEN_NORMS if layer.frozen else _BATCH_NORMS)[len(spatial)]
    return [("", make(channels, eps=layer.eps, momentum=layer.momentum, affine=layer.affine))]


@parts.register
def _(layer: InstanceNormalization, node: Node) -> Parts:
    channels = node.input_shapes[0][0]
    return [("", _INSTANCE_NORMS[layer.spatial_axes](channels, eps=layer.eps, affine=layer.affine))]


@parts.register
def _(layer: Pad, node: Node) -> Parts:
    channels, *spatial = layer.padding
    axes, mode = len(spatial), "zeros" if layer.mode == "constant" else layer.mode
    if channels == (0, 0) and 1 <= axes <= 3 and any(map(any, spatial)):
        if layer.value:
            return [("", _CONSTANT_PADS[axes](amounts(spatial), layer.value))]
        return [("", _BORDERS[mode][axes](amounts(spatial)))]
    return [("", Padding(layer.padding, layer.value))]


@parts.register
def _(layer: Upsample, node: Node) -> Parts:
    axes = len(node.input_shapes[0]) - 1
    options: dict[str, Any] = {"mode": "nearest"}
    if layer.mode == "linear":
        options = {"mode": _INTERPOLATIONS[axes], "align_corners": layer.align_corners}
    return [("", nn.Upsample(layer.size, layer.scale, **options))]  # type: ignore[arg-type]  # any sequence is as good


@parts.register
def _(layer: Resize, node: Node) -> Parts:
    axes = len(node.input_shapes[0]) - 1
    if axes != 2 and (layer.mode == "cubic" or layer.antialias):
        raise EngineError(
            f"{node} has no counterpart in PyTorch, which resizes by {layer.mode}{', antialiased' * layer.antialias} "
            "over two spatial axes only"
        )
    mode = {"linear": _INTERPOLATIONS[axes], "cubic": "bicubic"}.get(layer.mode, layer.mode)
    return [("", Resizing(layer.size, layer.scale, mode, layer.align_corners, layer.antialias))]


@parts.register
def _(layer: ChannelShuffle, node: Node) -> Parts:
    make = nn.ChannelShuffle if len(node.input_shapes[0]) > 1 else FeatureShuffle
    return [("", make(layer.groups))]


def _same_name(layer_type: type[Layer]) -> type[nn.Module] | None:
    """torch.nn's class with the name of an activation function without options, which is the same function."""
    plain = layer_type.notation and not fields(layer_type)  # type: ignore[arg-type]
    return getattr(nn, layer_type.__name__, None) if plain else None


def _response_norm(layer: LocalResponseNorm, channels: int) -> nn.Module:
    """PyTorch makes zeros for neighbours that are not there, so there must not be too many of them."""
    size = layer.size if layer.size <= max(1000, 2 * channels) else 2 * channels
    return nn.LocalResponseNorm(size, layer.alpha * size / layer.size, layer.beta, layer.k)


def _prelu(layer: PReLU, shape: Shape) -> nn.Module:
    if layer.axes is not None:
        return LearnedSlopes(layer.spread_shape(shape), layer.parameters([shape])["weight"].shape)
    return nn.PReLU(shape[0] if layer.per_channel else 1)


_BY_SHAPE: dict[type[Layer], Callable[[Any, Shape], nn.Module]] = {
    LayerNorm: lambda layer, shape: nn.LayerNorm(layer.affine_shape(shape), layer.eps, layer.affine),
    RMSNorm: lambda layer, shape: nn.RMSNorm(layer.affine_shape(shape), layer.eps, layer.affine),
    GroupNorm: lambda layer, shape: nn.GroupNorm(layer.groups, shape[0], layer.eps, layer.affine),
    LocalResponseNorm: lambda layer, shape: _response_norm(layer, shape[0]),
    Linear: lambda layer, shape: nn.Linear(shape[-1], layer.out_features, layer.bias),
    Flatten: lambda layer, shape: nn.Flatten(),
    Reshape: lambda layer, shape: Reshaping(layer.shape),
    Transpose: lambda layer, shape: Reordering(layer.axes),
    Slice: lambda layer, shape: Slicing(*layer.positions(shape)),
    PixelShuffle: lambda layer, shape: nn.PixelShuffle(layer.factor),
    PixelUnshuffle: lambda layer, shape: nn.PixelUnshuffle(layer.factor),
    Dropout: lambda layer, shape: nn.Dropout(layer.rate),
    SpatialDropout: lambda layer, shape: _CHANNEL_DROPOUTS[len(shape) - 1](layer.rate),
    LeakyReLU: lambda layer, shape: nn.LeakyReLU(layer.slope),
    Hardtanh: lambda layer, shape: nn.Hardtanh(layer.low, layer.high),
    ELU: lambda layer, shape: nn.ELU(layer.alpha),
    CELU: lambda layer, shape: nn.CELU(layer.alpha),
    Clip: lambda layer, shape: Clamp(layer.low, layer.high),
    Rescale: lambda layer, shape: Line(layer.factor, layer.shift),
    Affine: lambda layer, shape: LearnedLine(layer.spread_shape(shape), layer.parameters([shape])),
    Power: lambda layer, shape: PowerOf(layer.exponent),
    Exp: lambda layer, shape: Exponential(),
    Log: lambda layer, shape: Logarithm(),
    Erf: lambda layer, shape: ErrorFunction(),
    ThresholdedReLU: lambda layer, shape: nn.Threshold(layer.threshold, 0.0),
    Abs: lambda layer, shape: Magnitude(),
    GELU: lambda layer, shape: nn.GELU(layer.approximate),
    Softplus: lambda layer, shape: nn.Softplus(layer.beta),
    PReLU: _prelu,
    Reduce: lambda layer, shape: Reducing(layer.kind, layer.axes_of(shape), layer.keepdims),
    Softmax: lambda layer, shape: nn.Softmax(layer.axis % len(shape) + 1),
    LogSoftmax: lambda layer, shape: nn.LogSoftmax(layer.axis % len(shape) + 1),
    MaxoutLayer: lambda layer, shape: Maxout(layer.pieces),
}
"""Makes one module from the layer's options and the shape of its input."""

for _type, _make in _BY_SHAPE.items():
    parts.register(_type, lambda layer, node, make=_make: [("", make(layer, node.input_shapes[0]))])

for _type in built_in_layers():
    _module = _same_name(_type)
    if _module is not None:
        parts.register(_type, lambda layer, node, make=_module: [("", make())])


def _symmetric(pairs: Pairs) -> bool:
    return all(begin == end for begin, end in pairs)


def _padding_as_pytorch_takes_it(layer: Pooling, windows: Sequence[Window]) -> tuple[int, ...] | None:
    """Padding as PyTorch's pooling takes it, the same on both sides and at most half a window, or None."""
    pairs = [window.padding for window in windows]
    halves = [size // 2 for size in layer.kernel_size]
    if not _symmetric(pairs) or any(begin > half for (begin, _), half in zip(pairs, halves, strict=True)):
        return None
    return tuple(begin for begin, _ in pairs)


def _to_whole_windows(node: Node, windows: Sequence[Window]) -> list[tuple[int, int]]:
    """Padding with which the windows tile the input exactly; a negative end crops what no window sees."""
    sizes, outputs = node.input_shapes[0][1:], node.output_shape[1:]
    lengths = [(count - 1) * w.stride + w.effective_size for count, w in zip(outputs, windows, strict=True)]
    return [
        (w.padding[0], length - size - w.padding[0]) for length, size, w in zip(lengths, sizes, windows, strict=True)
    ]


def _counts(layer: AveragePooling, node: Node, windows: Sequence[Window]) -> torch.Tensor:
    """How many positions each output averages over; cells that ceil_mode adds past the padding never count."""
    by_axis = []
    for size, outputs, window in zip(node.input_shapes[0][1:], node.output_shape[1:], windows, strict=True):
        begin, end = window.padding if layer.count_include_pad else (0, 0)
        starts = [number * window.stride - window.padding[0] for number in range(outputs)]
        counts = [min(start + window.kernel_size, size + end) - max(start, -begin) for start in starts]
        by_axis.append(torch.tensor(counts, dtype=torch.get_default_dtype()))
    return reduce(lambda table, axis: table[..., None] * axis, by_axis)

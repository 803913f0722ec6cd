"""Pooling, by definition: the taps of all windows stacked, and a maximum or a mean over the stack."""

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.engines.reference.convolution import pad, taps, unpad
from foveate.geometry import Window
from foveate.layers.pooling import (
    AveragePooling,
    GlobalAveragePooling,
    GlobalMaximumPooling,
    LPPooling,
    MaxPooling,
    Pooling,
)


def winners(values: FloatArray, axis: int) -> NDArray[np.intp]:
    """Where the maximum along an axis lies: the first of equal ones, but of NaN, which wins over all, the last."""
    nan = np.isnan(values)
    last = values.shape[axis] - 1 - np.flip(nan, axis).argmax(axis)
    return np.asarray(np.where(nan.any(axis), last, values.argmax(axis)))


def _overhanging(layer: Pooling, x: FloatArray) -> tuple[tuple[Window, ...], tuple[int, ...]]:
    """Windows whose end padding reaches as far as ceil_mode's last window, and the output sizes."""
    windows = layer.windows([x.shape[1:]])
    outputs = layer.output_shape([x.shape[1:]])[1:]
    reach = [(o - 1) * w.stride + w.effective_size for o, w in zip(outputs, windows, strict=True)]
    return tuple(
        Window(w.kernel_size, w.stride, (w.padding[0], max(w.padding[1], end - size - w.padding[0])), w.dilation)
        for w, end, size in zip(windows, reach, x.shape[2:], strict=True)
    ), outputs


def _max_forward(layer: MaxPooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    windows, outputs = _overhanging(layer, x)
    padded = pad(x, windows, -np.inf)
    stack = np.stack([padded[seen] for _, seen in taps(windows, outputs)])
    context.saved["winner"] = winners(stack, 0)
    return np.asarray(stack.max(axis=0))


def _max_backward(
    layer: MaxPooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    windows, outputs = _overhanging(layer, inputs[0])
    padded = np.zeros_like(pad(inputs[0], windows))
    for number, (_, seen) in enumerate(taps(windows, outputs)):
        padded[seen] += np.where(context.saved["winner"] == number, gradient, 0)
    return [unpad(padded, windows)], {}


def _counts(layer: AveragePooling, x: FloatArray) -> FloatArray:
    """How many positions each window's mean is taken over, (1, 1, *outputs)."""
    windows, outputs = _overhanging(layer, x)
    counted = np.ones((1, 1, *x.shape[2:]), x.dtype)
    own = layer.windows([x.shape[1:]])
    if layer.count_include_pad:
        counted = pad(counted, own, 1.0)
        windows = tuple(
            Window(w.kernel_size, w.stride, (0, w.padding[1] - o.padding[1])) for w, o in zip(windows, own, strict=True)
        )
    padded = pad(counted, windows)
    total: FloatArray = sum((padded[seen] for _, seen in taps(windows, outputs)), np.zeros((), x.dtype))
    return total


def _average_forward(layer: AveragePooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    windows, outputs = _overhanging(layer, x)
    padded = pad(x, windows)
    total: FloatArray = sum((padded[seen] for _, seen in taps(windows, outputs)), np.zeros((), x.dtype))
    return total / _counts(layer, x)


def _average_backward(
    layer: AveragePooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    windows, outputs = _overhanging(layer, inputs[0])
    padded = np.zeros_like(pad(inputs[0], windows))
    shares = gradient / _counts(layer, inputs[0])
    for _, seen in taps(windows, outputs):
        padded[seen] += shares
    return [unpad(padded, windows)], {}


def _norm_forward(layer: LPPooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    windows, outputs = _overhanging(layer, x)
    powers = pad(np.abs(x) ** layer.norm_type, windows)
    total: FloatArray = sum((powers[seen] for _, seen in taps(windows, outputs)), np.zeros((), x.dtype))
    return np.asarray(total ** (1 / layer.norm_type), x.dtype)


def _norm_backward(
    layer: LPPooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    windows, outputs = _overhanging(layer, x)
    padded = np.zeros_like(pad(x, windows))
    shares = np.where(output == 0, 0, gradient) * np.where(output == 0, 1, output) ** (1 - layer.norm_type)
    for _, seen in taps(windows, outputs):
        padded[seen] += shares
    slopes = np.sign(x) * np.abs(x) ** (layer.norm_type - 1)
    return [np.asarray(unpad(padded, windows) * slopes, x.dtype)], {}


def _global_forward(layer: GlobalAveragePooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    return np.asarray(x.mean(axis=tuple(range(2, x.ndim))))


def _global_backward(
    layer: GlobalAveragePooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    share = gradient / np.prod(x.shape[2:])
    spread = share.reshape(*gradient.shape, *(1,) * (x.ndim - 2))
    return [np.broadcast_to(spread, x.shape).astype(x.dtype)], {}


def _global_max_forward(
    layer: GlobalMaximumPooling, inputs: Arrays, parameters: ByName, context: Context
) -> FloatArray:
    (x,) = inputs
    return np.asarray(x.max(axis=tuple(range(2, x.ndim))))


def _global_max_backward(
    layer: GlobalMaximumPooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    positions = x.reshape(*x.shape[:2], -1)
    to_first = np.zeros_like(positions)
    np.put_along_axis(to_first, winners(positions, 2)[:, :, None], gradient[:, :, None], axis=2)
    return [to_first.reshape(x.shape)], {}


define(MaxPooling, Definition(_max_forward, _max_backward))
define(AveragePooling, Definition(_average_forward, _average_backward))
define(LPPooling, Definition(_norm_forward, _norm_backward))
define(GlobalAveragePooling, Definition(_global_forward, _global_backward))
define(GlobalMaximumPooling, Definition(_global_max_forward, _global_max_backward))

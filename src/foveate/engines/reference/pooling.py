"""Pooling, by definition: a maximum, a mean or a norm over the taps of each window."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.engines.reference.convolution import taps
from foveate.layers.pooling import (
    AveragePooling,
    GlobalAveragePooling,
    GlobalMaximumPooling,
    LPPooling,
    MaxPooling,
    Pooling,
)


def winners(values: FloatArray, axis: int) -> NDArray[np.intp]:
    """The place of the maximum along an axis: the first of equal ones, but the last NaN, which beats all else."""
    nan = np.isnan(values)
    last = values.shape[axis] - 1 - np.flip(nan, axis).argmax(axis)
    return np.asarray(np.where(nan.any(axis), last, values.argmax(axis)))


def _taps(layer: Pooling, x: FloatArray) -> Iterator[tuple[Any, Any, Any]]:
    """As `taps`, of all windows; those of ceil_mode may reach past the padding."""
    shape = x.shape[1:]
    return taps(layer.windows([shape]), shape[1:], layer.output_shape([shape])[1:])


def _max_forward(layer: MaxPooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    y = np.full((len(x), *layer.output_shape([x.shape[1:]])), -np.inf, x.dtype)
    winner = np.full(y.shape, -1)
    for number, (_, made, seen) in enumerate(_taps(layer, x)):
        better = (x[seen] > y[made]) | np.isnan(x[seen]) | (winner[made] < 0)
        y[made] = np.where(better, x[seen], y[made])
        winner[made] = np.where(better, number, winner[made])
    context.saved["winner"] = winner
    return y


def _max_backward(
    layer: MaxPooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    x_gradient = np.zeros_like(x)
    for number, (_, made, seen) in enumerate(_taps(layer, x)):
        x_gradient[seen] += np.where(context.saved["winner"][made] == number, gradient[made], 0)
    return [x_gradient], {}


def _counts(layer: AveragePooling, x: FloatArray) -> FloatArray:
    """How many positions each window's mean is taken over, (*outputs)."""
    counts = np.ones((), x.dtype)
    outputs = layer.output_shape([x.shape[1:]])[1:]
    for window, size, count in zip(layer.windows([x.shape[1:]]), x.shape[2:], outputs, strict=True):
        counted = window.padding if layer.count_include_pad else (0, 0)
        begins = np.arange(count) * window.stride - window.padding[0]
        ends = np.minimum(begins + window.kernel_size, size + counted[1])
        counts = np.multiply.outer(counts, (ends - np.maximum(begins, -counted[0])).astype(x.dtype))
    return counts


def _average_forward(layer: AveragePooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    total = np.zeros((len(x), *layer.output_shape([x.shape[1:]])), x.dtype)
    for _, made, seen in _taps(layer, x):
        total[made] += x[seen]
    return np.asarray(total / _counts(layer, x))


def _average_backward(
    layer: AveragePooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    x_gradient, shares = np.zeros_like(x), gradient / _counts(layer, x)
    for _, made, seen in _taps(layer, x):
        x_gradient[seen] += shares[made]
    return [x_gradient], {}


def _norm_forward(layer: LPPooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    total, powers = np.zeros((len(x), *layer.output_shape([x.shape[1:]])), x.dtype), np.abs(x) ** layer.norm_type
    for _, made, seen in _taps(layer, x):
        total[made] += powers[seen]
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
    sums = np.zeros_like(x)
    shares = np.where(output == 0, 0, gradient) * np.where(output == 0, 1, output) ** (1 - layer.norm_type)
    for _, made, seen in _taps(layer, x):
        sums[seen] += shares[made]
    slopes = np.sign(x) * np.abs(x) ** (layer.norm_type - 1)
    return [np.asarray(sums * slopes, x.dtype)], {}


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

"""Normalisations within one sample, by definition."""

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.layers import GroupNorm, LocalResponseNorm
from foveate.layers.sample_normalization import InstanceNormalization, SampleNormalization, TrailingNormalization


def _spread(layer: SampleNormalization, values: FloatArray, x: FloatArray) -> FloatArray:
    """Gamma or beta with the axes it lacks, to be multiplied by `x`."""
    if isinstance(layer, TrailingNormalization):
        return values.reshape((1,) * (x.ndim - values.ndim) + values.shape)
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


def _forward(layer: SampleNormalization, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    rows = x.reshape(-1, layer.values_per_mean(x.shape[1:]))
    if layer.centred:
        rows = rows - rows.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt((rows * rows).mean(axis=1, keepdims=True) + layer.eps)
    normalized = rows * scale
    context.saved.update(normalized=normalized, scale=scale)
    y: FloatArray = normalized.reshape(x.shape)
    if not layer.affine:
        return y
    y = y * _spread(layer, parameters["weight"], x)
    return y + _spread(layer, parameters["bias"], x) if "bias" in parameters else y


def _backward(
    layer: SampleNormalization,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    normalized, scale = context.saved["normalized"], context.saved["scale"]
    gradients = {}
    if layer.affine:
        weight = _spread(layer, parameters["weight"], x)
        shared = tuple(axis for axis, size in enumerate(weight.shape) if size < x.shape[axis] or axis == 0)
        shape = parameters["weight"].shape
        gradients["weight"] = (gradient * normalized.reshape(x.shape)).sum(axis=shared).reshape(shape)
        if "bias" in parameters:
            gradients["bias"] = gradient.sum(axis=shared).reshape(shape)
        gradient = gradient * weight
    rows = gradient.reshape(normalized.shape)
    along = (rows * normalized).mean(axis=1, keepdims=True)
    straight = rows - normalized * along
    if layer.centred:
        straight -= rows.mean(axis=1, keepdims=True)
    return [(straight * scale).reshape(x.shape)], gradients


def _neighbours(values: FloatArray, before: int, after: int) -> FloatArray:
    """For each channel the sum over the channels from `before` below to `after` above it."""
    before, after = (min(reach, values.shape[1] - 1) for reach in (before, after))  # there are no others
    padded = np.pad(values, [(0, 0), (before, after), *[(0, 0)] * (values.ndim - 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1, axis=1)
    return np.asarray(windows.sum(axis=-1))


def _response_forward(layer: LocalResponseNorm, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    before, after = layer.size // 2, (layer.size - 1) // 2
    context.saved["base"] = layer.k + layer.alpha / layer.size * _neighbours(x * x, before, after)
    return np.asarray(x * context.saved["base"] ** -layer.beta)


def _response_backward(
    layer: LocalResponseNorm,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    base, before, after = context.saved["base"], layer.size // 2, (layer.size - 1) // 2
    from_neighbours = _neighbours(gradient * output / base, after, before)
    factor = 2 * layer.alpha * layer.beta / layer.size
    return [gradient * base**-layer.beta - factor * x * from_neighbours], {}


define(TrailingNormalization, Definition(_forward, _backward))
define(InstanceNormalization, Definition(_forward, _backward))
define(GroupNorm, Definition(_forward, _backward))
define(LocalResponseNorm, Definition(_response_forward, _response_backward))

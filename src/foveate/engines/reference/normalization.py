"""Batch normalisation, by definition."""

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.layers.normalization import BatchNormalization


def _axes(x: FloatArray) -> tuple[int, ...]:
    """All axes except the channels'."""
    return (0, *range(2, x.ndim))


def _per_channel(values: FloatArray, x: FloatArray) -> FloatArray:
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _batch_norm_forward(layer: BatchNormalization, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    measures = context.training and not layer.frozen
    if measures:
        mean, var = x.mean(axis=_axes(x)), x.var(axis=_axes(x))
        count = x.size // x.shape[1]
        for name, batch in (("running_mean", mean), ("running_var", var * (count / (count - 1)))):
            old = context.statistics[name]
            context.statistics[name] = (1 - layer.momentum) * old + layer.momentum * batch
    else:
        mean, var = context.statistics["running_mean"], context.statistics["running_var"]
    scale = 1 / np.sqrt(var + layer.eps)
    normalized = (x - _per_channel(mean, x)) * _per_channel(scale, x)
    context.saved.update(normalized=normalized, scale=scale, measures=measures)
    if not layer.affine:
        return np.asarray(normalized)
    return np.asarray(normalized * _per_channel(parameters["weight"], x) + _per_channel(parameters["bias"], x))


def _batch_norm_backward(
    layer: BatchNormalization,
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
        gradients["weight"] = (gradient * normalized).sum(axis=_axes(x))
        gradients["bias"] = gradient.sum(axis=_axes(x))
        gradient = gradient * _per_channel(parameters["weight"], x)
    if context.saved["measures"]:
        mean = gradient.mean(axis=_axes(x), keepdims=True)
        along = (gradient * normalized).mean(axis=_axes(x), keepdims=True)
        gradient = gradient - mean - normalized * along
    return [gradient * _per_channel(scale, x)], gradients


define(BatchNormalization, Definition(_batch_norm_forward, _batch_norm_backward))

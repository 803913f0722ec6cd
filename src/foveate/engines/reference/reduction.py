"""Sums, means, products, maxima and minima along any axes."""

from typing import Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.layers import Reduce

_FUNCTIONS: dict[str, Any] = {"mean": np.mean, "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}


def _axes(layer: Reduce, x: FloatArray) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in layer.axes_of(x.shape[1:]))


def _forward(layer: Reduce, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    return np.asarray(_FUNCTIONS[layer.kind](x, axis=_axes(layer, x), keepdims=layer.keepdims))


def _backward(
    layer: Reduce, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    (x,) = inputs
    axes = _axes(layer, x)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    gradient = gradient.reshape(kept)
    if layer.kind in ("max", "min"):
        with np.errstate(invalid="ignore"):  # nothing is equal to NaN, so what comes back is 0 / 0, as in PyTorch
            equal = x == output.reshape(kept)
            return [np.where(equal, gradient, 0) / equal.sum(axis=axes, keepdims=True, dtype=x.dtype)], {}
    if layer.kind == "prod":
        return [gradient * _others(x, axes)], {}
    if layer.kind == "mean":
        gradient = gradient / x.dtype.type(x.size // gradient.size)
    return [np.broadcast_to(gradient, x.shape)], {}


def _others(x: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """For each number the product of those that it is multiplied with: of those before it, and of those behind it."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    rows = np.moveaxis(x, axes, last)
    flat = rows.reshape(-1, np.prod([x.shape[axis] for axis in axes], dtype=int))
    before, behind = np.ones_like(flat), np.ones_like(flat)
    before[:, 1:] = np.cumprod(flat[:, :-1], axis=1)
    behind[:, -2::-1] = np.cumprod(flat[:, :0:-1], axis=1)
    return np.moveaxis((before * behind).reshape(rows.shape), last, axes)


define(Reduce, Definition(_forward, _backward))

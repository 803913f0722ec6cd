"""Layers that move, join or drop values."""

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.engines.reference.combining import filled, of_repeated
from foveate.layers import (
    ChannelShuffle,
    Concatenate,
    Dropout,
    Flatten,
    Multiply,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    SpatialDropout,
)
from foveate.layers.options import axis_number
from foveate.layers.pixels import PixelMoving

RANDOM_BITS = 24
"""Dropout compares this many bits of each raw number with its rate, as a float32 fraction would."""


def _flatten_forward(layer: Flatten, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return inputs[0].reshape(len(inputs[0]), -1)


def _flatten_backward(
    layer: Flatten, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    return [gradient.reshape(inputs[0].shape)], {}


def _concatenate_forward(layer: Concatenate, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return np.concatenate(inputs, axis=axis_number(layer.axis, inputs[0].shape[1:]) + 1)


def _concatenate_backward(
    layer: Concatenate,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    axis = axis_number(layer.axis, gradient.shape[1:]) + 1
    ends = np.cumsum([x.shape[axis] for x in inputs])
    return np.split(gradient, ends[:-1], axis=axis), {}


_COPIES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names for padding that copies the input."""


def _cropped_and_padded(x: FloatArray, padding: Sequence[tuple[int, int]], value: float) -> FloatArray:
    inner = [slice(max(0, -b), n - max(0, -e)) for n, (b, e) in zip(x.shape[1:], padding, strict=True)]
    around = [(0, 0), *((max(0, begin), max(0, end)) for begin, end in padding)]
    return np.pad(x[(slice(None), *inner)], around, constant_values=value)


def _pad_forward(layer: Pad, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    if layer.mode == "constant":
        return _cropped_and_padded(x, layer.padding, layer.value)
    return np.pad(x, [(0, 0), *layer.padding], mode=_COPIES[layer.mode])


def _pad_backward(
    layer: Pad, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    if layer.mode == "constant":
        return [_cropped_and_padded(gradient, [(-begin, -end) for begin, end in layer.padding], 0)], {}
    for axis, (size, pair) in enumerate(zip(inputs[0].shape[1:], layer.padding, strict=True), start=1):
        sources = np.pad(np.arange(size), pair, mode=_COPIES[layer.mode])
        shape = [*gradient.shape[:axis], size, *gradient.shape[axis + 1 :]]
        total = np.zeros(shape, gradient.dtype)
        at: Any = (slice(None),) * axis + (sources,)
        np.add.at(total, at, gradient)
        gradient = total
    return [gradient], {}


def _multiply_forward(layer: Multiply, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    ndim = max(x.ndim for x in inputs)
    return reduce(np.multiply, [filled(x, ndim) for x in inputs])


def _multiply_backward(
    layer: Multiply, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    factors = [filled(x, output.ndim) for x in inputs]
    gradients = []
    for number in range(len(factors)):
        others = reduce(np.multiply, factors[:number] + factors[number + 1 :])
        gradients.append(of_repeated(gradient * others, inputs[number]))
    return gradients, {}


def _interleaved(x: FloatArray, groups: int) -> FloatArray:
    """Channel g*K + k of `groups` groups of K goes to k*groups + g."""
    return x.reshape(len(x), groups, -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


def _shuffle_forward(layer: ChannelShuffle, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return _interleaved(inputs[0], layer.groups)


def _shuffle_backward(
    layer: ChannelShuffle,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    return [_interleaved(gradient, gradient.shape[1] // layer.groups)], {}


def _pixels_forward(layer: PixelMoving, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    split, order = layer.movement(x.shape[1:])
    moved = x.reshape(len(x), *split).transpose(0, *(axis + 1 for axis in order))
    return moved.reshape(len(x), *layer.output_shape([x.shape[1:]]))


def _pixels_backward(
    layer: PixelMoving, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    (x,) = inputs
    split, order = layer.movement(x.shape[1:])
    moved = gradient.reshape(len(x), *(split[axis] for axis in order))
    return [moved.transpose(0, *(axis + 1 for axis in np.argsort(order))).reshape(x.shape)], {}


def _dropout_forward(
    layer: Dropout | SpatialDropout, inputs: Arrays, parameters: ByName, context: Context
) -> FloatArray:
    (x,) = inputs
    if not context.training:
        return x
    shape = (*x.shape[:2], *(1,) * (x.ndim - 2)) if isinstance(layer, SpatialDropout) else x.shape
    fraction = context.random(prod(shape)) >> np.uint64(64 - RANDOM_BITS)
    kept = fraction >= np.uint64(round(layer.rate * 2**RANDOM_BITS))
    context.saved["factor"] = (kept.reshape(shape) / (1 - layer.rate)).astype(x.dtype)
    return np.asarray(x * context.saved["factor"])


def _dropout_backward(
    layer: Dropout | SpatialDropout,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    return [gradient * context.saved["factor"] if context.training else gradient], {}


define(Flatten, Definition(_flatten_forward, _flatten_backward))
define(Concatenate, Definition(_concatenate_forward, _concatenate_backward))
define(Pad, Definition(_pad_forward, _pad_backward))
define(Multiply, Definition(_multiply_forward, _multiply_backward))
define(ChannelShuffle, Definition(_shuffle_forward, _shuffle_backward))
for _kind in (PixelShuffle, PixelUnshuffle):
    define(_kind, Definition(_pixels_forward, _pixels_backward))
define(SpatialDropout, Definition(_dropout_forward, _dropout_backward))
define(Dropout, Definition(_dropout_forward, _dropout_backward))

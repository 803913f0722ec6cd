"""Reshape, Transpose and Slice."""

from typing import Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.layers import Reshape, Shape, Slice, Transpose


def _reshape_forward(layer: Reshape, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    return x.reshape(len(x), *layer.output_shape([x.shape[1:]]))


def _reshape_backward(
    layer: Reshape, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    return [gradient.reshape(inputs[0].shape)], {}


def _transpose_forward(layer: Transpose, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return inputs[0].transpose(0, *(axis + 1 for axis in layer.axes))


def _transpose_backward(
    layer: Transpose, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    return [gradient.transpose(0, *(axis + 1 for axis in layer.opposite))], {}


def _index(layer: Slice, shape: Shape) -> Any:
    axis, taken = layer.positions(shape)
    return (slice(None),) * (axis + 1) + (list(taken),)


def _slice_forward(layer: Slice, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    taken: FloatArray = x[_index(layer, x.shape[1:])]
    return taken


def _slice_backward(
    layer: Slice, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    result = np.zeros_like(inputs[0])
    result[_index(layer, result.shape[1:])] = gradient
    return [result], {}


define(Reshape, Definition(_reshape_forward, _reshape_backward))
define(Transpose, Definition(_transpose_forward, _transpose_backward))
define(Slice, Definition(_slice_forward, _slice_backward))

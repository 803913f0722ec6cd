"""MatMul: products of two inputs as matrices."""

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.engines.reference.combining import of_repeated
from foveate.layers import MatMul


def _forward(layer: MatMul, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return np.asarray(np.matmul(*inputs))


def _backward(
    layer: MatMul, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    left, right = inputs
    to_left, to_right = gradient @ right.swapaxes(-1, -2), left.swapaxes(-1, -2) @ gradient
    return [of_repeated(to_left, left), of_repeated(to_right, right)], {}


define(MatMul, Definition(_forward, _backward))

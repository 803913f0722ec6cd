"""Activation functions and their derivatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.operations import OPERATIONS, Arrays, Context, Gradients, Named, Operation
from foveate.layers import ELU, LeakyReLU, ReLU, Sigmoid, Tanh


def _elementwise(
    function: Callable[[Any, FloatArray], FloatArray],
    derivative: Callable[[Any, FloatArray, FloatArray], NDArray[Any]],
) -> Operation:
    """An operation from function(layer, x) and derivative(layer, x, y)."""

    def forward(layer: Any, inputs: Arrays, parameters: Named, context: Context) -> FloatArray:
        return function(layer, inputs[0]).astype(inputs[0].dtype, copy=False)

    def backward(
        layer: Any, inputs: Arrays, parameters: Named, output: FloatArray, gradient: FloatArray, context: Context
    ) -> Gradients:
        return [(gradient * derivative(layer, inputs[0], output)).astype(gradient.dtype, copy=False)], {}

    return Operation(forward, backward)


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))


OPERATIONS[ReLU] = _elementwise(lambda _, x: np.maximum(x, 0), lambda _, x, y: x > 0)
OPERATIONS[LeakyReLU] = _elementwise(
    lambda layer, x: np.where(x > 0, x, layer.slope * x), lambda layer, x, y: np.where(x > 0, 1, layer.slope)
)
OPERATIONS[ELU] = _elementwise(
    lambda layer, x: np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0))),
    lambda layer, x, y: np.where(x > 0, 1, y + layer.alpha),
)
OPERATIONS[Sigmoid] = _elementwise(lambda _, x: sigmoid(x), lambda _, x, y: y * (1 - y))
OPERATIONS[Tanh] = _elementwise(lambda _, x: np.tanh(x), lambda _, x, y: 1 - y * y)

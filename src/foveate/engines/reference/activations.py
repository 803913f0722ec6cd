"""Activation functions and their derivatives."""

from collections.abc import Callable
from math import erfc, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.engines.reference.combining import of_repeated
from foveate.engines.reference.pooling import winners
from foveate.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSoftmax,
    Maxout,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    ThresholdedReLU,
)
from foveate.layers.options import axis_number

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
"""The two numbers with which mean 0 and variance 1 are kept."""


def elementwise(
    function: Callable[[Any, FloatArray], FloatArray],
    derivative: Callable[[Any, FloatArray, FloatArray], NDArray[Any]],
) -> Definition:
    """An operation from function(layer, x) and derivative(layer, x, y)."""

    def forward(layer: Any, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
        return function(layer, inputs[0]).astype(inputs[0].dtype, copy=False)

    def backward(
        layer: Any, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
    ) -> Gradients:
        return [(gradient * derivative(layer, inputs[0], output)).astype(gradient.dtype, copy=False)], {}

    return Definition(forward, backward)


def piecewise(
    function: Callable[[Any, FloatArray], FloatArray],
    passes: Callable[[Any, FloatArray, FloatArray], FloatArray],
) -> Definition:
    """An operation from function(layer, x) and passes(layer, x, gradient), the part of the gradient that passes."""

    def forward(layer: Any, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
        return function(layer, inputs[0]).astype(inputs[0].dtype, copy=False)

    def backward(
        layer: Any, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
    ) -> Gradients:
        return [passes(layer, inputs[0], gradient).astype(gradient.dtype, copy=False)], {}

    return Definition(forward, backward)


_erfc = np.vectorize(erfc, otypes=[float])


def _normal_share(x: FloatArray) -> FloatArray:
    """The share of a normal distribution below x, without cancellation."""
    return np.asarray(_erfc(-x / sqrt(2)) / 2)


def log_softmax(x: FloatArray, axis: int = 1) -> FloatArray:
    """(N, K, ...) logits to logarithms of probabilities over K, or along another axis, without overflow."""
    largest = x.argmax(axis=axis, keepdims=True)
    shifted = x - np.take_along_axis(x, largest, axis=axis)
    others = np.exp(shifted)
    # The largest one's own share in the sum is 1: log1p keeps what the others add, and NaN among them.
    np.put_along_axis(others, largest, np.take_along_axis(others, largest, axis=axis) - 1, axis=axis)
    return np.asarray(shifted - np.log1p(others.sum(axis=axis, keepdims=True)))


def _gelu(layer: GELU, x: FloatArray) -> FloatArray:
    if layer.approximate == "tanh":
        return np.asarray(x * sigmoid(sqrt(8 / pi) * (x + 0.044715 * x**3)))  # (1 + tanh(z)) / 2 is sigmoid(2 z)
    return np.asarray(x * _normal_share(x))


def _gelu_slope(layer: GELU, x: FloatArray, y: FloatArray) -> FloatArray:
    if layer.approximate == "tanh":
        z = sqrt(8 / pi) * (x + 0.044715 * x**3)
        return np.asarray(sigmoid(z) * (1 + x * sigmoid(-z) * sqrt(8 / pi) * (1 + 3 * 0.044715 * x**2)))
    return np.asarray(_normal_share(x) + x * np.exp(-x * x / 2) / sqrt(2 * pi))


def _hard_sigmoid(x: FloatArray) -> FloatArray:
    return np.clip(x + 3, 0, 6) / 6


def _mish_slope(_: Mish, x: FloatArray, y: FloatArray) -> FloatArray:
    bend = np.tanh(np.logaddexp(0, x))
    return np.asarray(bend + x * (1 - bend**2) * sigmoid(x))


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))


def _axis(layer: Softmax | LogSoftmax, x: FloatArray) -> int:
    """The axis, the batch being the first."""
    return axis_number(layer.axis, x.shape[1:]) + 1


def _log_softmax(layer: Softmax | LogSoftmax, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return log_softmax(inputs[0], _axis(layer, inputs[0]))


def _softmax(layer: Softmax, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return np.asarray(np.exp(_log_softmax(layer, inputs, parameters, context)))


def _softmax_backward(
    layer: Softmax, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    along = (gradient * output).sum(axis=_axis(layer, output), keepdims=True)
    return [output * (gradient - along)], {}


def _log_softmax_backward(
    layer: LogSoftmax,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    return [gradient - np.exp(output) * gradient.sum(axis=_axis(layer, output), keepdims=True)], {}


def _slope(layer: PReLU, parameters: ByName, x: FloatArray) -> FloatArray:
    """PReLU's weight, shaped to be multiplied by (N, C, ...)."""
    return parameters["weight"].reshape(1, *layer.spread_shape(x.shape[1:]))


def _prelu_forward(layer: PReLU, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    return np.where(x > 0, x, _slope(layer, parameters, x) * x)


def _prelu_backward(
    layer: PReLU, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    (x,) = inputs
    slope = _slope(layer, parameters, x)
    below = of_repeated(gradient * np.minimum(x, 0), slope).reshape(parameters["weight"].shape)
    return [gradient * np.where(x > 0, 1, slope)], {"weight": below}


def _pieces(layer: Maxout, x: FloatArray) -> FloatArray:
    """(N, C * pieces, ...) as (N, C, pieces, ...)."""
    return x.reshape(len(x), -1, layer.pieces, *x.shape[2:])


def _maxout_forward(layer: Maxout, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return np.asarray(_pieces(layer, inputs[0]).max(axis=2))


def _maxout_backward(
    layer: Maxout, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    pieces = _pieces(layer, inputs[0])
    to_first = np.zeros_like(pieces)
    np.put_along_axis(to_first, np.expand_dims(winners(pieces, 2), 2), np.expand_dims(gradient, 2), axis=2)
    return [to_first.reshape(inputs[0].shape)], {}


define(ReLU, piecewise(lambda _, x: np.maximum(x, 0), lambda _, x, gradient: np.where(x <= 0, 0, gradient)))
define(
    LeakyReLU,
    elementwise(
        lambda layer, x: np.where(x > 0, x, layer.slope * x), lambda layer, x, y: np.where(x > 0, 1, layer.slope)
    ),
)
define(
    ELU,
    elementwise(
        lambda layer, x: np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0))),
        lambda layer, x, y: np.where(x > 0, 1, layer.alpha * np.exp(np.minimum(x, 0))),
    ),
)
define(
    SELU,
    elementwise(
        lambda _, x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        lambda _, x, y: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0))),
    ),
)
define(
    CELU,
    elementwise(
        lambda layer, x: np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0) / layer.alpha)),
        lambda layer, x, y: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / layer.alpha)),
    ),
)
define(Sigmoid, elementwise(lambda _, x: sigmoid(x), lambda _, x, y: y * (1 - y)))
define(Tanh, elementwise(lambda _, x: np.tanh(x), lambda _, x, y: 1 - y * y))
define(
    ReLU6,
    piecewise(lambda _, x: np.clip(x, 0, 6), lambda _, x, gradient: np.where((x <= 0) | (x >= 6), 0, gradient)),
)
define(
    Hardtanh,
    piecewise(
        lambda layer, x: np.clip(x, layer.low, layer.high),
        lambda layer, x, gradient: np.where((x <= layer.low) | (x >= layer.high), 0, gradient),
    ),
)
define(SiLU, elementwise(lambda _, x: x * sigmoid(x), lambda _, x, y: sigmoid(x) * (1 + x * (1 - sigmoid(x)))))
define(
    Hardsigmoid,
    piecewise(
        lambda _, x: _hard_sigmoid(x), lambda _, x, gradient: np.where(np.abs(x) < 3, gradient / x.dtype.type(6), 0)
    ),
)
define(
    Hardswish,
    piecewise(
        lambda _, x: x * _hard_sigmoid(x),
        lambda _, x, gradient: np.where(x <= -3, 0, np.where(x >= 3, gradient, gradient * (x / 3 + 0.5))),
    ),
)
define(Mish, elementwise(lambda _, x: x * np.tanh(np.logaddexp(0, x)), _mish_slope))
define(GELU, elementwise(_gelu, _gelu_slope))
define(
    Softplus,
    elementwise(
        lambda layer, x: np.logaddexp(0, layer.beta * x) / layer.beta, lambda layer, x, y: sigmoid(layer.beta * x)
    ),
)
define(
    ThresholdedReLU,
    piecewise(
        lambda layer, x: np.where(x <= layer.threshold, 0, x),
        lambda layer, x, gradient: np.where(x <= layer.threshold, 0, gradient),
    ),
)
define(PReLU, Definition(_prelu_forward, _prelu_backward))
define(Softmax, Definition(_softmax, _softmax_backward))
define(LogSoftmax, Definition(_log_softmax, _log_softmax_backward))
define(Maxout, Definition(_maxout_forward, _maxout_backward))

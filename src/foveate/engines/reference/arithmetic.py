"""Arithmetic on single numbers, and its derivatives."""

from math import erf, pi, sqrt
from typing import Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import define
from foveate.engines.reference.activations import elementwise, piecewise
from foveate.layers import Abs, Clip, Erf, Exp, Log, Power, Rescale


def _power(x: FloatArray, exponent: float) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):  # roots of negative numbers, and reciprocals of 0
        return np.asarray(x ** x.dtype.type(exponent))


def _power_slope(layer: Power, x: FloatArray, y: FloatArray) -> FloatArray:
    if layer.exponent == 0:
        return np.zeros_like(x)
    return np.asarray(layer.exponent * _power(x, layer.exponent - 1))


def _log(x: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):  # negative numbers, and 0
        return np.asarray(np.log(x))


_ERF = np.vectorize(erf, otypes=[np.float64])


def _erf(x: FloatArray) -> FloatArray:
    return np.asarray(_ERF(x) if x.size else x)


def _clip_passes(layer: Clip, x: FloatArray, gradient: FloatArray) -> FloatArray:
    low, high = layer.bounds
    return np.where((x >= low) & (x <= high), gradient, 0)


def _scaled(layer: Rescale, x: FloatArray) -> FloatArray:
    kind: Any = x.dtype.type
    return np.asarray(kind(layer.factor) * x + kind(layer.shift))


define(Clip, piecewise(lambda layer, x: np.clip(x, *layer.bounds), _clip_passes))
define(Rescale, elementwise(_scaled, lambda layer, x, y: np.full_like(x, layer.factor)))
define(Power, elementwise(lambda layer, x: _power(x, layer.exponent), _power_slope))
define(Exp, elementwise(lambda _, x: np.exp(x), lambda _, x, y: y))
define(Log, elementwise(lambda _, x: _log(x), lambda _, x, y: _power(x, -1)))
define(Erf, elementwise(lambda _, x: _erf(x), lambda _, x, y: 2 / sqrt(pi) * np.exp(-x * x)))
define(Abs, elementwise(lambda _, x: np.abs(x), lambda _, x, y: np.sign(x)))

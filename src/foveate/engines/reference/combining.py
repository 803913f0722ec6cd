"""Arrays combined with repetition: Add, Subtract, Divide, Raise, Maximum, Minimum, Affine."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.layers import Add, Affine, Divide, Maximum, Minimum, Raise, Subtract


def filled(x: FloatArray, ndim: int) -> FloatArray:
    """`x` with axes of length 1 after its own, `ndim` in all."""
    return x.reshape(*x.shape, *(1,) * (ndim - x.ndim))


def of_repeated(share: FloatArray, x: FloatArray) -> FloatArray:
    """The gradient of `x`, which was repeated, from that of the whole."""
    before = filled(x, share.ndim)
    repeated = tuple(axis for axis in range(share.ndim) if before.shape[axis] < share.shape[axis])
    return np.asarray(share.sum(axis=repeated, keepdims=True).reshape(x.shape))


def _filled(inputs: Arrays) -> Sequence[FloatArray]:
    ndim = max(x.ndim for x in inputs)
    return [filled(x, ndim) for x in inputs]


def _add_forward(layer: Add, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return reduce(np.add, _filled(inputs))


def _add_backward(
    layer: Add, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    return [of_repeated(gradient, x) for x in inputs], {}


def _subtract_forward(layer: Subtract, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return reduce(np.subtract, _filled(inputs))


def _subtract_backward(
    layer: Subtract, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    return [of_repeated(share, x) for share, x in zip((gradient, -gradient), inputs, strict=True)], {}


def _divide_forward(layer: Divide, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return reduce(np.divide, _filled(inputs))


def _divide_backward(
    layer: Divide, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = gradient / filled(inputs[1], output.ndim)
        return [of_repeated(share, inputs[0]), of_repeated(-share * output, inputs[1])], {}


def _raise_forward(layer: Raise, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.asarray(np.power(*_filled(inputs)))


def _raise_backward(
    layer: Raise, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    base, exponent = _filled(inputs)
    with np.errstate(all="ignore"):
        to_base = gradient * np.where(exponent == 0, 0, exponent * np.power(base, exponent - 1))
        flat = (base == 0) & (exponent >= 0)
        to_exponent = gradient * np.where(flat, 0, output * np.log(base))
    return [of_repeated(to_base, inputs[0]), of_repeated(to_exponent, inputs[1])], {}


_EXTREMES: dict[type[Any], Any] = {Maximum: np.maximum, Minimum: np.minimum}


def _extreme_forward(layer: Any, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return reduce(_EXTREMES[type(layer)], _filled(inputs))


def _extreme_backward(
    layer: Any, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    """Two at a time, from the last: each gets the gradient where it wins, and half of it where both are equal."""
    terms, shares = _filled(inputs), []
    totals = list(accumulate(terms, _EXTREMES[type(layer)]))
    for before, term in zip(totals[-2::-1], terms[:0:-1], strict=True):
        loses = np.less if isinstance(layer, Maximum) else np.greater
        equal = before == term
        shares.append(gradient * np.where(equal, 0.5, ~loses(term, before)))
        gradient = of_repeated(gradient * np.where(equal, 0.5, ~loses(before, term)), before)
    shares.append(gradient)
    return [
        of_repeated(share.astype(x.dtype, copy=False), x) for share, x in zip(shares[::-1], inputs, strict=True)
    ], {}


def _spread(layer: Affine, values: FloatArray, x: FloatArray) -> FloatArray:
    """Weight or bias with an axis of length 1 where its numbers do not differ."""
    return values.reshape(1, *layer.spread_shape(x.shape[1:]))


def _affine_forward(layer: Affine, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    scaled = x * _spread(layer, parameters["weight"], x) if layer.scale else x
    return scaled + _spread(layer, parameters["bias"], x) if layer.shift else scaled


def _affine_backward(
    layer: Affine, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    (x,) = inputs
    shares = {**({"weight": gradient * x} if layer.scale else {}), **({"bias": gradient} if layer.shift else {})}
    found = {
        name: of_repeated(share, _spread(layer, parameters[name], x)).reshape(parameters[name].shape)
        for name, share in shares.items()
    }
    return [gradient * _spread(layer, parameters["weight"], x) if layer.scale else gradient], found


define(Add, Definition(_add_forward, _add_backward))
define(Subtract, Definition(_subtract_forward, _subtract_backward))
define(Divide, Definition(_divide_forward, _divide_backward))
define(Raise, Definition(_raise_forward, _raise_backward))
define(Maximum, Definition(_extreme_forward, _extreme_backward))
define(Minimum, Definition(_extreme_forward, _extreme_backward))
define(Affine, Definition(_affine_forward, _affine_backward))

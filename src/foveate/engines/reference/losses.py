"""Losses and their gradients with respect to the network's output.

Here an ignored target is -1, whatever index it had outside.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.losses import LOSSES, Measure, Measured
from foveate.engines.reference.activations import log_softmax, sigmoid
from foveate.graph import L1, BinaryCrossEntropy, CrossEntropy, Dice, Focal, Huber, MeanSquaredError

Each: TypeAlias = Callable[[Any, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""each(loss, outputs, targets) -> (the loss of each output, its slope)"""


def _times(coefficient: FloatArray, values: FloatArray) -> FloatArray:
    """Their product, in which 0 times anything is 0: values that do not count may be infinite."""
    product = np.zeros(np.broadcast_shapes(coefficient.shape, values.shape), values.dtype)
    return np.multiply(coefficient, values, out=product, where=coefficient != 0)


def _along(vector: NDArray[Any], axis: int, like: FloatArray) -> NDArray[Any]:
    """A vector as an array along one axis of `like`."""
    return vector.reshape(*(len(vector) if number == axis else 1 for number in range(like.ndim)))


def _one_hot(targets: NDArray[np.int64], like: FloatArray) -> FloatArray:
    """(N, *positions) class indices as (N, K, *positions); zeros where there is no class."""
    classes = _along(np.arange(like.shape[1]), 1, like)
    return np.asarray(classes == targets[:, None], like.dtype)


def _cross_entropy(
    loss: CrossEntropy, outputs: FloatArray, targets: NDArray[Any], sample_weight: FloatArray
) -> Measured:
    """Cross-entropy of (N, K, *positions) logits against class indices or soft labels."""
    classes, dtype = outputs.shape[1], outputs.dtype
    weights = _along(np.asarray(loss.class_weights or np.ones(classes), dtype), 1, outputs)
    hard = targets.dtype.kind == "i"
    plain = _one_hot(targets, outputs) if hard else targets
    counts = plain.sum(axis=1, keepdims=True) if hard else np.ones_like(plain[:, :1])
    wanted = weights * counts * ((1 - loss.label_smoothing) * plain + loss.label_smoothing / classes)
    weight = _along(sample_weight, 0, outputs) * ((weights * plain).sum(axis=1, keepdims=True) if hard else counts)
    total = float(weight.sum())
    if total == 0:
        return Measured(0.0, np.zeros_like(outputs), 0.0)
    share = _along(sample_weight / dtype.type(total), 0, outputs)
    logs = log_softmax(outputs)
    slope = _times(wanted.sum(axis=1, keepdims=True), np.exp(logs)) - wanted
    return Measured(-float(_times(share * wanted, logs).sum()), _times(share, slope), total)


def _dice(loss: Dice, outputs: FloatArray, targets: NDArray[Any], sample_weight: FloatArray) -> Measured:
    """Dice loss of (N, K, *positions) logits against class indices."""
    logits = outputs.reshape(*outputs.shape[:2], -1)
    wanted = _one_hot(targets.reshape(len(targets), -1), logits)
    counts = wanted.sum(axis=1, keepdims=True)
    share = sample_weight * counts.any(axis=(1, 2))
    total = float(share.sum())
    if total == 0:
        return Measured(0.0, np.zeros_like(outputs), 0.0)
    share = (share / share.sum())[:, None, None]
    found = _times(counts, np.exp(log_softmax(logits)))
    above = 2 * (found * wanted).sum(axis=2, keepdims=True) + loss.smooth
    below = (found + wanted).sum(axis=2, keepdims=True) + loss.smooth
    each = 1 - (above / below).mean(axis=1, keepdims=True)
    slope = (above / below - 2 * wanted) / below / logits.shape[1]
    gradient = found * (slope - (found * slope).sum(axis=1, keepdims=True))
    return Measured(float((share * each).sum()), (share * gradient).reshape(outputs.shape), total)


def _mean_of(each: Each) -> Measure:
    """The mean over a sample's outputs, then over the samples by weight."""

    def measure(loss: Any, outputs: FloatArray, targets: NDArray[Any], sample_weight: FloatArray) -> Measured:
        share = _along(sample_weight / sample_weight.sum() / outputs[0].size, 0, outputs)
        values, slopes = each(loss, outputs, targets)
        return Measured(float((share * values).sum()), share * slopes, float(sample_weight.sum()))

    return measure


def _softplus(x: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _binary_cross_entropy(loss: BinaryCrossEntropy, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    given = loss.pos_weight if isinstance(loss.pos_weight, tuple) else [loss.pos_weight or 1.0]
    yes, no = _along(np.asarray(given, x.dtype), 1, x) * t, 1 - t
    return _times(yes, _softplus(-x)) + _times(no, _softplus(x)), no * sigmoid(x) - yes * sigmoid(-x)


def _focal(loss: Focal, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    plain, slope = _binary_cross_entropy(BinaryCrossEntropy(), x, t)
    wrong = t * sigmoid(-x) + (1 - t) * sigmoid(x)
    weight = 1.0 if loss.alpha is None else t * loss.alpha + (1 - t) * (1 - loss.alpha)
    easier = np.zeros_like(wrong)
    if loss.gamma:
        # An answer that is right to the last digit has no slope, whatever the exponent.
        np.power(wrong, loss.gamma - 1, out=easier, where=wrong != 0)
    of_wrong = loss.gamma * easier * (1 - 2 * t) * sigmoid(x) * sigmoid(-x)
    power = wrong**loss.gamma
    return weight * _times(power, plain), weight * (power * slope + _times(of_wrong, plain))


def _squared(loss: MeanSquaredError, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (x - t) ** 2, 2 * (x - t)


def _absolute(loss: L1, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.abs(x - t), np.sign(x - t)


def _huber(loss: Huber, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    difference = x - t
    slope = np.clip(difference, -loss.delta, loss.delta)
    return slope * (difference - slope / 2), slope


LOSSES[CrossEntropy] = _cross_entropy
LOSSES[Dice] = _dice
LOSSES[BinaryCrossEntropy] = _mean_of(_binary_cross_entropy)
LOSSES[Focal] = _mean_of(_focal)
LOSSES[MeanSquaredError] = _mean_of(_squared)
LOSSES[L1] = _mean_of(_absolute)
LOSSES[Huber] = _mean_of(_huber)

"""Optimisers, by definition: one parameter at a time."""

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.own_updates import Learning, own_update
from foveate.engines.program import Rates
from foveate.graph import SGD, AdamW, Lion, Optimizer


def update(optimizer: Optimizer, learning: Learning, rates: Rates, step: int) -> FloatArray:
    """The parameter after one step; `step` counts from 1."""
    if not isinstance(optimizer, SGD | AdamW | Lion):
        return own_update(optimizer, learning, rates, step)
    kept = optimizer.momentum if rates.momentum is None else rates.momentum
    decay = optimizer.weight_decay if learning.decays else 0.0
    if isinstance(optimizer, SGD):
        return _sgd(optimizer, learning, rates.learning_rate, kept, decay)
    if isinstance(optimizer, Lion):
        return _lion(optimizer, learning, rates.learning_rate, kept, decay)
    return _adamw(optimizer, learning, rates.learning_rate, kept, decay, step)


def _sgd(optimizer: SGD, learning: Learning, rate: float, kept: float, decay: float) -> FloatArray:
    velocity = learning.slots["momentum"]
    gradient = learning.gradient + decay * learning.value
    velocity[...] = kept * velocity + gradient
    direction = gradient + kept * velocity if optimizer.nesterov else velocity
    return learning.value - rate * direction


def _adamw(optimizer: AdamW, learning: Learning, rate: float, kept: float, decay: float, step: int) -> FloatArray:
    second, gradient = optimizer.second_momentum, learning.gradient
    mean, mean_square = learning.slots["mean"], learning.slots["mean_square"]
    mean[...] = kept * mean + (1 - kept) * gradient
    mean_square[...] = second * mean_square + (1 - second) * gradient**2
    root = np.sqrt(mean_square / (1 - second**step)) + optimizer.eps
    return np.asarray(learning.value * (1 - rate * decay) - rate * (mean / (1 - kept**step)) / root)


def _lion(optimizer: Lion, learning: Learning, rate: float, kept: float, decay: float) -> FloatArray:
    second, gradient, mean = optimizer.second_momentum, learning.gradient, learning.slots["mean"]
    direction = np.sign(kept * mean + (1 - kept) * gradient)
    mean[...] = second * mean + (1 - second) * gradient
    return np.asarray(learning.value * (1 - rate * decay) - rate * direction)

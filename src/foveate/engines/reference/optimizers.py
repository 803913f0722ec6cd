"""Optimisers, by definition: one parameter at a time."""

from dataclasses import dataclass

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.program import Rates
from foveate.graph import SGD, AdamW, Optimizer


@dataclass(frozen=True, eq=False)
class Learning:
    """A parameter that learns: its gradient and slots, which are changed in place, and whether it decays."""

    value: FloatArray
    gradient: FloatArray
    slots: dict[str, FloatArray]
    decays: bool


def update(optimizer: Optimizer, learning: Learning, rates: Rates, step: int) -> FloatArray:
    """The parameter after one step; `step` counts from 1."""
    kept = optimizer.momentum if rates.momentum is None else rates.momentum
    decay = optimizer.weight_decay if learning.decays else 0.0
    if isinstance(optimizer, SGD):
        return _sgd(optimizer, learning, rates.learning_rate, kept, decay)
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

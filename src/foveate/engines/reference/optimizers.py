"""Optimisers, by definition: one parameter at a time."""

import numpy as np

from foveate.engines.base import FloatArray
from foveate.graph import SGD, AdamW, Optimizer


def update(
    optimizer: Optimizer,
    parameter: FloatArray,
    gradient: FloatArray,
    slots: dict[str, FloatArray],
    *,
    decays: bool,
    step: int,
    learning_rate: float,
    momentum: float | None,
) -> FloatArray:
    """The parameter after one step; `slots` are changed in place, `step` counts from 1."""
    kept = optimizer.momentum if momentum is None else momentum
    decay = optimizer.weight_decay if decays else 0.0
    if isinstance(optimizer, SGD):
        gradient = gradient + decay * parameter
        slots["momentum"][...] = kept * slots["momentum"] + gradient
        direction = gradient + kept * slots["momentum"] if optimizer.nesterov else slots["momentum"]
        return parameter - learning_rate * direction
    return _adamw(optimizer, parameter, gradient, slots, decay, step, learning_rate, kept)


def _adamw(
    optimizer: AdamW,
    parameter: FloatArray,
    gradient: FloatArray,
    slots: dict[str, FloatArray],
    decay: float,
    step: int,
    learning_rate: float,
    kept: float,
) -> FloatArray:
    second = optimizer.second_momentum
    mean, mean_square = slots["mean"], slots["mean_square"]
    mean[...] = kept * mean + (1 - kept) * gradient
    mean_square[...] = second * mean_square + (1 - second) * gradient**2
    root = np.sqrt(mean_square / (1 - second**step)) + optimizer.eps
    return np.asarray(parameter * (1 - learning_rate * decay) - learning_rate * (mean / (1 - kept**step)) / root)

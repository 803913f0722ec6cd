"""The updates of optimisers of one's own, which every engine asks for parameter by parameter."""

from dataclasses import dataclass

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.program import Rates
from foveate.errors import TrainingError
from foveate.geometry import format_sizes
from foveate.graph import Optimizer
from foveate.graph.optimizers import Now


@dataclass(frozen=True, eq=False)
class Learning:
    """A parameter that learns: its gradient and slots, which are changed in place, and whether it decays."""

    value: FloatArray
    gradient: FloatArray
    slots: dict[str, FloatArray]
    decays: bool


def own_update(optimizer: Optimizer, learning: Learning, rates: Rates, step: int) -> FloatArray:
    """What the optimiser's `update` returns.

    Args:
        optimizer: an optimiser of one's own.
        learning: the parameter.
        rates: how far to go; the learning rate is the parameter's own.
        step: counts from 1.

    Raises:
        TrainingError: it is nothing, or has another shape or kind of number than the parameter; or it gives a slot
            another array.
    """
    momentum = getattr(optimizer, "momentum", None) if rates.momentum is None else rates.momentum
    now = Now(rates.learning_rate, momentum, learning.decays, step)
    slots = dict(learning.slots)
    given = optimizer.update(learning.value, learning.gradient, slots, now)
    for slot, array in learning.slots.items():
        if slots.get(slot) is not array:
            raise TrainingError(
                f'{type(optimizer).__name__}: update gives the slot "{slot}" another array, which nobody keeps; change '
                f'it in place, as in slots["{slot}"][...] = value'
            )
    if given is None:
        raise TrainingError(f"{type(optimizer).__name__}: update returns nothing; return the parameter's new value")
    result = np.asarray(given)
    if result.dtype.kind != "f":
        raise TrainingError(
            f"{type(optimizer).__name__}: update returns numbers of type {result.dtype}; a parameter needs float32"
        )
    if result.shape != learning.value.shape:
        raise TrainingError(
            f"{type(optimizer).__name__}: update returns the shape {format_sizes(result.shape) or 'of one number'}, "
            f"but the parameter has {format_sizes(learning.value.shape)}"
        )
    return result.astype(learning.value.dtype, copy=False)

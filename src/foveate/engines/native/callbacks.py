"""Callbacks of a run: a function of the numbers' addresses, and the run that calls it."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines.program import Rates, StepResult


@dataclass
class RunningState:
    """What a callback may know of its run, and what it stores there.

    `saved` is the session's store, by node, from forward to backward; `measured` has the results of losses by number.
    """

    seed: int = 0
    step: int = 0
    update: int = 0
    rates: Rates = field(default_factory=lambda: Rates(0.0))
    saved: dict[str, Any] = field(default_factory=dict)
    measured: dict[int, StepResult] = field(default_factory=dict)


CallbackFunction: TypeAlias = Callable[[RunningState, Sequence[int]], bool | None]
"""function(the run, the addresses of its operands in order); a loss says whether it is NaN or infinite"""


def view(address: int, shape: Sequence[int], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """NumPy's view of numbers that the session owns."""
    memory = memoryview((ctypes.c_char * (prod(shape) * np.dtype(dtype).itemsize)).from_address(address))
    return np.frombuffer(memory, dtype).reshape(shape)

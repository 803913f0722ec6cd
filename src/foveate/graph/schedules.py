"""Learning-rate schedules as descriptions: a rate, and perhaps a momentum, for each step."""

from dataclasses import dataclass
from math import cos, inf, pi
from typing import TypeAlias

from foveate.calls import Called, is_number
from foveate.errors import TrainingError


@dataclass(frozen=True)
class Constant(metaclass=Called):
    """The same learning rate at every step."""

    learning_rate: float

    def __post_init__(self) -> None:
        _check_rate("Constant", self.learning_rate)

    def at(self, step: int, steps: int) -> tuple[float, float | None]:
        """(learning rate, momentum or None for the optimiser's own) at `step` of `steps`."""
        return self.learning_rate, None


@dataclass(frozen=True)
class Cosine(metaclass=Called):
    """From `learning_rate` to nearly zero along half a cosine, after a linear warm-up.

    Loshchilov, Hutter: SGDR, 2016.

    >>> Cosine(0.1, warmup=0.0).at(50, 100)[0]
    0.05
    """

    learning_rate: float
    warmup: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("Cosine", self.learning_rate)
        _check_warmup("Cosine", self.warmup)

    def at(self, step: int, steps: int) -> tuple[float, float | None]:
        """(learning rate, None) at `step` of `steps`."""
        rising = round(self.warmup * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising, None
        return self.learning_rate * _half_cosine((step - rising) / max(1, steps - rising)), None


@dataclass(frozen=True)
class OneCycle(metaclass=Called):
    """Up to `learning_rate` and down to nearly zero, with the momentum going the opposite way.

    Args:
        learning_rate: the peak.
        warmup: fraction of the steps in which the learning rate rises.
        momentum: lowest (at the peak) and highest momentum, or None to leave the optimiser's alone.

    Smith, Topin: Super-convergence, 2017.
    """

    learning_rate: float
    warmup: float = 0.3
    momentum: tuple[float, float] | None = (0.85, 0.95)

    def __post_init__(self) -> None:
        _check_rate("OneCycle", self.learning_rate)
        if self.momentum is not None and not (
            isinstance(self.momentum, tuple | list)
            and len(self.momentum) == 2
            and all(map(is_number, self.momentum))
            and 0 <= self.momentum[0] <= self.momentum[1] < 1
        ):
            raise TrainingError(
                f"OneCycle: momentum is {self.momentum}; give the lowest and the highest, both at least 0 and "
                "below 1, or None"
            )
        _check_warmup("OneCycle", self.warmup)

    def at(self, step: int, steps: int) -> tuple[float, float | None]:
        """(learning rate, momentum) at `step` of `steps`."""
        rising = round(self.warmup * steps)
        if step < rising:
            height = 1 - _half_cosine((step + 1) / rising)
            rate = self.learning_rate * (0.04 + 0.96 * height)
        else:
            height = _half_cosine((step - rising) / max(1, steps - rising))
            rate = self.learning_rate * height
        if self.momentum is None:
            return rate, None
        low, high = self.momentum
        return rate, high - (high - low) * height


Schedule: TypeAlias = Constant | Cosine | OneCycle
"""Any schedule."""


def _half_cosine(progress: float) -> float:
    """1 at 0, 0 at 1."""
    return round(0.5 * (1 + cos(pi * progress)), 15)


def _check_rate(owner: str, value: float) -> None:
    if not is_number(value) or not 0 < value < inf:
        raise TrainingError(f"{owner}: learning_rate is {value!r}; it must be a positive, finite number")


def _check_warmup(owner: str, value: float) -> None:
    if not 0 <= value < 1:
        raise TrainingError(f"{owner}: warmup is {value}; it must be a fraction of the steps, at least 0 and below 1")

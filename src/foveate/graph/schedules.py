"""Learning-rate schedules as descriptions: a rate, and perhaps a momentum, for each step."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import cos, inf, isfinite, pi
from typing import Any, TypeAlias

from foveate.calls import Called, is_number
from foveate.errors import TrainingError

Rate: TypeAlias = float | tuple[float, float | None]
"""A learning rate, with or without a momentum."""


class Schedule(metaclass=Called):
    """Base of every schedule: a frozen dataclass that says how far each step goes.

    Derive from it for a schedule of your own. Its options are recorded in the model's file under the name of its class;
    reading the file does not need the class.

    >>> @dataclass(frozen=True)
    ... class Halving(Schedule):
    ...     learning_rate: float
    ...     def at(self, step, steps):
    ...         return self.learning_rate * 0.5 ** (10 * step / steps)
    >>> Halving(0.8).at(20, 100)
    0.2
    """

    @abstractmethod
    def at(self, step: int, steps: int) -> Rate:
        """The learning rate at `step` (from 0) of `steps`, or (learning rate, momentum).

        If there is no momentum, or None, the optimiser's own is used.
        """

    def after(self, losses: Sequence[float]) -> "Schedule":
        """The schedule of the next epoch, for one that depends on what was measured (default: itself).

        Args:
            losses: the loss of each finished epoch: in validation, or in training if nothing is validated.
        """
        return self

    def rates(self, step: int, steps: int) -> tuple[float, float | None]:
        """What `at` says, as a learning rate and a momentum or None.

        Raises:
            TrainingError: they are not numbers that a step can use.
        """
        given: Any = self.at(step, steps)
        rate, momentum = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        if not is_number(rate) or not 0 <= rate < inf:
            raise TrainingError(
                f"{type(self).__name__}: the learning rate at step {step} of {steps} is {rate!r}; it must be a "
                "number of at least 0, or a pair of it and a momentum"
            )
        if momentum is not None and not (is_number(momentum) and 0 <= momentum < 1):
            raise TrainingError(
                f"{type(self).__name__}: the momentum at step {step} of {steps} is {momentum!r}; it must be at least "
                "0 and below 1, or None"
            )
        return float(rate), None if momentum is None else float(momentum)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate at every step, after a linear warm-up.

    Args:
        learning_rate: the rate.
        warmup: fraction of the steps in which the learning rate rises.

    >>> Constant(0.1).at(50, 100)
    (0.1, None)
    """

    learning_rate: float
    warmup: float = field(default=0.0, metadata={"since": "0.2"})

    def __post_init__(self) -> None:
        _check_rate("Constant", self.learning_rate)
        _check_warmup("Constant", self.warmup)

    def at(self, step: int, steps: int) -> tuple[float, float | None]:
        """(learning rate, None) at `step` of `steps`."""
        return self.learning_rate * _warm(self.warmup, step, steps), None


@dataclass(frozen=True)
class Step(Schedule):
    """A constant learning rate that is multiplied by `factor` now and then, after a linear warm-up.

    Args:
        learning_rate: the rate of the first stage.
        every: fraction of the steps after which the rate changes, again and again; 0.25 means at 25, 50 and 75 %.
        milestones: instead, the fractions of the steps at which it changes; epochs 30 and 60 of 90 are (1/3, 2/3).
        factor: what the rate is multiplied by.
        warmup: fraction of the steps in which the learning rate rises.

    >>> schedule = Step(0.1, milestones=(0.5, 0.75))
    >>> [round(schedule.at(step, 100)[0], 6) for step in (0, 49, 50, 75)]
    [0.1, 0.1, 0.01, 0.001]
    """

    learning_rate: float
    every: float | None = None
    milestones: tuple[float, ...] = ()
    factor: float = 0.1
    warmup: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("Step", self.learning_rate)
        _check_factor("Step", self.factor)
        _check_warmup("Step", self.warmup)
        if not isinstance(self.milestones, tuple | list):
            raise TrainingError(f"Step: milestones is {self.milestones!r}; give fractions such as (0.5, 0.75)")
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if (self.every is None) == (not self.milestones):
            raise TrainingError(
                "Step: give either every or milestones, such as Step(0.1, milestones=(0.5, 0.75)) or "
                "Step(0.1, every=0.25)"
            )
        for name, value in (("every", self.every), *(("milestones", each) for each in self.milestones)):
            if value is not None and (not is_number(value) or not 0 < value < 1):
                raise TrainingError(
                    f"Step: {name} has {value!r}; it must be a fraction of the training, above 0 and below 1: epoch 30 "
                    "of 90 is 1/3"
                )

    def at(self, step: int, steps: int) -> tuple[float, float | None]:
        """(learning rate, None) at `step` of `steps`."""
        if self.every is None:
            changes = sum(step >= round(each * steps) for each in self.milestones)
        else:
            changes = step // max(1, round(self.every * steps))
        return self.learning_rate * self.factor**changes * _warm(self.warmup, step, steps), None


@dataclass(frozen=True)
class Cosine(Schedule):
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
class OneCycle(Schedule):
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


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """A constant learning rate that is multiplied by `factor` when the loss has stopped falling.

    That is the loss in validation, or in training if nothing is validated. What happens depends on the losses of the
    finished epochs alone, so resumed training goes on as if it had never stopped.

    Args:
        learning_rate: the rate to begin with.
        factor: what the rate is multiplied by, below 1.
        patience: epochs without a better loss that are let pass; the next one reduces the rate.
        threshold: a loss is better if it is below the best one by more than this fraction of it.
        cooldown: epochs after a reduction that do not count.
        minimum: the lowest learning rate.
        warmup: fraction of the steps in which the learning rate rises.

    >>> schedule = ReduceOnPlateau(0.1, patience=1)
    >>> round(schedule.after([2.0, 1.5, 1.5, 1.5]).at(40, 100)[0], 6)
    0.01
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    minimum: float = 0.0
    warmup: float = 0.0

    def __post_init__(self) -> None:
        name = "ReduceOnPlateau"
        _check_rate(name, self.learning_rate)
        _check_factor(name, self.factor)
        _check_warmup(name, self.warmup)
        if not self.factor < 1:
            raise TrainingError(f"{name}: factor is {self.factor}; it must be below 1, such as 0.1")
        for option, value in (("patience", self.patience), ("cooldown", self.cooldown)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise TrainingError(f"{name}: {option} is {value!r}; it must be an int of at least 0 epochs")
        for option, number in (("threshold", self.threshold), ("minimum", self.minimum)):
            if not is_number(number) or not 0 <= number < inf:
                raise TrainingError(f"{name}: {option} is {number!r}; it must be a number of at least 0")

    def at(self, step: int, steps: int) -> tuple[float, float | None]:
        """(learning rate, None) at `step` of `steps`."""
        return self.learning_rate * _warm(self.warmup, step, steps), None

    def after(self, losses: Sequence[float]) -> "ReduceOnPlateau":
        """The schedule with the learning rate to which these losses lead."""
        rate, best, waited, resting = self.learning_rate, inf, 0, 0
        for loss in losses:
            if isfinite(loss) and loss < best * (1 - self.threshold):
                best, waited = loss, 0
            else:
                waited += 1
            if resting:
                resting, waited = resting - 1, 0
            if waited > self.patience:
                # Never raises a rate that began below the minimum.
                rate = min(rate, max(rate * self.factor, self.minimum))
                resting, waited = self.cooldown, 0
        return replace(self, learning_rate=rate)


def _half_cosine(progress: float) -> float:
    """1 at 0, 0 at 1."""
    return round(0.5 * (1 + cos(pi * progress)), 15)


def _warm(warmup: float, step: int, steps: int) -> float:
    """The share of the rate at `step`: it rises in a straight line over the first steps, then it is 1."""
    rising = round(warmup * steps)
    return (step + 1) / rising if step < rising else 1.0


def _check_rate(owner: str, value: float) -> None:
    if not is_number(value) or not 0 < value < inf:
        raise TrainingError(f"{owner}: learning_rate is {value!r}; it must be a positive, finite number")


def _check_factor(owner: str, value: float) -> None:
    if not is_number(value) or not 0 < value < inf:
        raise TrainingError(f"{owner}: factor is {value!r}; it must be a positive, finite number, such as 0.1")


def _check_warmup(owner: str, value: float) -> None:
    if not is_number(value) or not 0 <= value < 1:
        raise TrainingError(f"{owner}: warmup is {value}; it must be a fraction of the steps, at least 0 and below 1")

"""The learning-rate range test: a short training in which the learning rate grows until the loss explodes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.calls import is_number
from foveate.engines import State
from foveate.engines.program import StepOptions
from foveate.engines.request import single_value_normalization
from foveate.errors import TrainingError
from foveate.graph import Loss, Optimizer
from foveate.progress import Bar
from foveate.training.feed import Feed
from foveate.training.programs import Programs
from foveate.training.recipe import Recipe
from foveate.training.updates import grouped, part_of, program_of, shares_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOWER, HIGHER = 10_000, 100
"""How many times lower than the optimiser's usual learning rate the test begins, and how many times higher it ends."""

SMOOTHING = 0.04
"""The width of the window that smooths the losses, as a fraction of the steps: the deviation of a Gaussian."""

EXPLODED = 2.0
"""How many times the loss at the beginning ends the test."""

RECENT = 5
"""The steps whose mean loss is compared: single bad batches do not count."""

NEARLY = 0.05
"""Losses are nearly the lowest if they lie above it by less than this share of the whole descent."""

FEWEST = 10
"""Steps without which no curve can be read."""


@dataclass(frozen=True, eq=False)
class RateTest:
    """The losses of a short training whose learning rate grew from step to step.

    Args:
        rates: (S,) the learning rate of each step.
        losses: (S,) the loss of each step's batch, before the step.
        smoothed: (S,) the losses averaged over neighbouring steps.
        suggestion: the middle of the learning rates with which the smoothed loss was nearly lowest: a good peak for
            `OneCycle`.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    suggestion: float

    def __str__(self) -> str:
        return f"learning rate {self.suggestion:.2g}, of {len(self.rates)} up to {self.rates[-1]:.2g}"

    def __repr__(self) -> str:
        return f"RateTest({self})"

    def plot(self) -> "Figure":
        """The loss over the learning rate as a matplotlib figure; `savefig("rates.png")` of it writes a file."""
        from foveate.training.drawing.rates import draw_rates

        return draw_rates(self.rates, self.losses, self.smoothed, self.suggestion)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        arrays = {name: getattr(self, name).tolist() for name in ("rates", "losses", "smoothed")}
        return {"suggestion": self.suggestion, **arrays}


@dataclass(frozen=True)
class Trial:
    """How a range test trains: the recipe, the loss and the weight of each output, the frozen parameters."""

    recipe: Recipe
    losses: Mapping[str, tuple[Loss, float]]
    frozen: frozenset[str]


def rates_between(optimizer: Optimizer, lowest: float | None, highest: float | None, steps: int) -> NDArray[np.float64]:
    """Learning rates that grow by the same factor from step to step.

    Raises:
        TrainingError: the ends are not positive numbers in this order, or there are too few steps.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < FEWEST:
        raise TrainingError(f"steps is {steps!r}; it must be an int of at least {FEWEST}, and 100 is usual")
    usual = optimizer.usual_learning_rate / LOWER, optimizer.usual_learning_rate * HIGHER
    ends = (usual[0] if lowest is None else lowest, usual[1] if highest is None else highest)
    if not all(map(is_number, ends)) or not 0 < ends[0] < ends[1] < inf:
        raise TrainingError(
            f"the learning rate cannot grow from {ends[0]!r} to {ends[1]!r}; give a positive lowest and a higher "
            f"highest, such as {usual[0]:g} and {usual[1]:g}"
        )
    return np.geomspace(*ends, steps)


def range_test(
    state: State, programs: Programs, feed: Feed, trial: Trial, rates: NDArray[np.float64], bar: Bar
) -> RateTest:
    """Train `state` for one step with each of the growing `rates`, until the loss or the gradients explode.

    Args:
        state: trained in place, so a copy.
        programs: compiled programs for its graph.
        feed: the data.
        trial: how to train.
        rates: the learning rate of each step.
        bar: shows how far the test is.

    Raises:
        TrainingError: the loss exploded before there was anything to see.
    """
    losses: list[float] = []
    # What overflows ends the test, so NumPy need not warn of it.
    with np.errstate(over="ignore", invalid="ignore"):
        for step, (rate, (group, epoch)) in enumerate(zip(rates, _groups(state, feed, trial), strict=False)):
            losses.append(_update(state, programs, feed, trial, group, epoch, step, float(rate)))
            bar.move(1)
            exploded = len(losses) > RECENT and sum(losses[-RECENT:]) > EXPLODED * sum(losses[:RECENT])
            if exploded or not isfinite(losses[-1]):
                break
    found = np.asarray([loss for loss in losses if isfinite(loss)])
    if len(found) < FEWEST:
        raise TrainingError(
            f"the loss exploded in step {len(losses)}, at a learning rate of {rates[len(losses) - 1]:.3g}; begin with "
            f"a lower one: lowest={rates[0] / 1000:.0e}"
        )
    curve = smooth(found, SMOOTHING * len(rates))
    return RateTest(rates[: len(found)], found, curve, suggested(rates[: len(found)], curve))


def _update(
    state: State,
    programs: Programs,
    feed: Feed,
    trial: Trial,
    group: Sequence[NDArray[np.int64]],
    epoch: int,
    step: int,
    rate: float,
) -> float:
    """Train on the batches of one update; returns their mean loss before, infinite if the gradients were."""
    recipe, shares, loss = trial.recipe, shares_of(feed, trial.losses, group), 0.0
    for number, indices in enumerate(group):
        change = partial(recipe.augmentation.apply, indices=indices, seed=recipe.seed, epoch=epoch)
        program = program_of(programs, recipe, trial.losses, trial.frozen, len(indices))
        options: StepOptions = {"learning_rate": rate}
        options |= part_of(recipe, shares, number, step)
        inputs, targets = feed.inputs(indices, change), feed.loss_targets(indices)
        result = program.step(state, inputs, targets, **options)
        if not result.is_finite:
            return inf
        loss += result.loss * shares[number]
    return loss


def _groups(state: State, feed: Feed, trial: Trial) -> Iterator[tuple[Sequence[NDArray[np.int64]], int]]:
    """The batches of each update with their epoch, for ever."""
    merge = single_value_normalization(state.graph, 1, trial.frozen) is not None
    recipe, epoch = trial.recipe, 0
    while True:
        batches = feed.batches(recipe.batch_size, seed=recipe.seed, epoch=epoch, merge_single=merge)
        for group in grouped(batches, recipe):
            yield group, epoch
        epoch += 1


def smooth(losses: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Losses averaged over neighbouring steps with the weights of a Gaussian of this deviation.

    Unlike a running mean, the curve does not lag behind.

    >>> smooth(np.array([1.0, 1.0, 4.0, 1.0, 1.0]), 0.5).round(2).tolist()
    [1.0, 1.32, 3.36, 1.32, 1.0]
    """
    steps = np.arange(len(losses))
    weights = np.exp(-(((steps[:, None] - steps) / width) ** 2) / 2)
    averages: NDArray[np.float64] = weights @ losses / weights.sum(axis=1)
    return averages


def suggested(rates: NDArray[np.float64], curve: NDArray[np.float64]) -> float:
    """The geometric middle of the stretch of learning rates around the lowest loss in which it is nearly lowest.

    The steepest descent, which others suggest, often lies several times below the best peak of a one-cycle schedule.
    `python -m benchmarks rates` compares the middle with fixed rates.

    >>> round(suggested(np.geomspace(0.001, 1, 7), np.array([2, 1.9, 1, 0.2, 0.2, 0.9, 3])), 4)
    0.0562
    """
    lowest = int(curve.argmin())
    near = curve <= curve[lowest] + NEARLY * (float(curve[: lowest + 1].max()) - curve[lowest])
    first = lowest - int(np.argmin(near[lowest::-1])) + 1 if not near[: lowest + 1].all() else 0
    last = lowest + int(np.argmin(near[lowest:])) - 1 if not near[lowest:].all() else len(near) - 1
    return float(np.sqrt(rates[first] * rates[last]))

"""How batches make updates: which belong together, the program that runs them, and the share of each."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.engines import Program
from foveate.engines.program import StepOptions
from foveate.graph import Loss
from foveate.training.feed import Feed
from foveate.training.programs import Programs
from foveate.training.recipe import Recipe

Batch = TypeVar("Batch")


def grouped(batches: Sequence[Batch], recipe: Recipe) -> list[Sequence[Batch]]:
    """An epoch's batches, those of each update together.

    >>> grouped("abcde", Recipe(accumulate=2))
    ['ab', 'cd', 'e']
    """
    return [batches[begin : begin + recipe.accumulate] for begin in range(0, len(batches), recipe.accumulate)]


def program_of(
    programs: Programs,
    recipe: Recipe,
    losses: Mapping[str, tuple[Loss, float]],
    frozen: frozenset[str],
    samples: int,
) -> Program:
    """The program that trains on a batch of `samples`; `losses` has the loss of each output, and its weight."""
    return programs.get(
        batch_size=samples,
        mode="training",
        loss=losses,
        optimizer=recipe.optimizer,
        freeze=sorted(frozen),
        learning_rate_factors=recipe.learning_rate_factors,
        clip_norm=recipe.clip_norm,
        accumulate=recipe.accumulate > 1,
    )


def shares_of(
    feed: Feed, losses: Mapping[str, tuple[Loss, float]], group: Sequence[NDArray[np.int64]]
) -> Sequence[float]:
    """By how much each batch of an update counts in its mean; they sum to 1.

    So the update is that of one large batch, whatever is ignored in each and whatever weights classes have. If there
    are several losses, each is a mean over something else, and batches count by their samples.
    """
    if len(group) == 1:
        return [1.0]
    weights = [feed.weight(losses, indices) for indices in group]
    if not sum(weights):
        weights = [float(len(indices)) for indices in group]
    return [weight / sum(weights) for weight in weights]


def part_of(recipe: Recipe, shares: Sequence[float], number: int, update: int) -> StepOptions:
    """What the step of the batch of that number is told if several make an update: its share, its place."""
    if recipe.accumulate == 1:
        return {}
    last = number == len(shares) - 1
    return {"share": shares[number], "first": number == 0, "last": last, "update": update}

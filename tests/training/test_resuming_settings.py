"""Training with each setting that has a memory of its own goes on to the same bits wherever it was stopped."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import foveate as fv
from foveate.training import Progress, Recipe, RunFolder, fit
from tests.training.conftest import blobs
from tests.training.test_loop import Seen, assert_same

EPOCHS = 5
RECIPE = Recipe(epochs=EPOCHS, batch_size=8, schedule=fv.OneCycle(0.05))


@dataclass(frozen=True)
class Slower(fv.Schedule):
    learning_rate: float

    def at(self, step, steps):
        return self.learning_rate / (1 + step)


@dataclass(frozen=True)
class Own(fv.Optimizer):
    slots = ("mean", "largest")
    kept: float = 0.8

    def update(self, parameter, gradient, slots, now):
        slots["mean"][...] = self.kept * slots["mean"] + (1 - self.kept) * gradient
        np.maximum(slots["largest"], np.abs(gradient), out=slots["largest"])
        return parameter - now.learning_rate / now.step**0.5 * slots["mean"] / (slots["largest"] + 1e-3)


SETTINGS = {
    "plateau": replace(RECIPE, schedule=fv.ReduceOnPlateau(0.3, factor=0.3, patience=0, cooldown=1)),
    "own schedule": replace(RECIPE, schedule=Slower(0.1)),
    "own optimiser": replace(RECIPE, optimizer=Own()),
    "Lion": replace(RECIPE, optimizer=fv.Lion(), schedule=fv.OneCycle(0.003)),
    "average": replace(RECIPE, ema=0.7, keep_best=False),
    "accumulation": replace(RECIPE, accumulate=3, batch_size=3, optimizer=fv.AdamW(), schedule=fv.OneCycle(0.01)),
    "clipping": replace(RECIPE, clip_norm=0.3),
    "early stopping": replace(RECIPE, schedule=fv.Constant(0.4), patience=1),
    "best epoch": replace(RECIPE, schedule=fv.Step(0.05, milestones=(0.4,), factor=60)),
    "all": replace(
        RECIPE, ema=0.7, accumulate=2, batch_size=4, clip_norm=1.0, optimizer=Own(), patience=3,
        schedule=fv.ReduceOnPlateau(0.3, factor=0.3, patience=0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("step", [2, 4, 7, 13])
@pytest.mark.parametrize("recipe", SETTINGS.values(), ids=SETTINGS)
def test_it_goes_on_to_the_same_bits(engine, make_job, tmp_path, recipe, step):
    validation, folder = blobs(9, seed=1), RunFolder(tmp_path)
    whole = make_job(engine, recipe=recipe, validation=validation)
    expected = fit(whole, Progress())
    first = fit(make_job(engine, recipe=recipe, validation=validation, folder=folder), Seen(interrupt_at=step))
    assert first.interrupted or first.stopped
    second = make_job(engine, recipe=recipe, validation=validation, folder=folder)
    resumed = fit(second, Progress(), resume=True)
    assert_same(second, whole)
    rows = [[replace(row, seconds=0, images_per_second=0) for row in each.epochs] for each in (resumed, expected)]
    assert rows[0] == rows[1]
    assert (resumed.best, resumed.stopped) == (expected.best, expected.stopped)


def test_a_plateau_lowers_the_rate_of_the_epochs_that_follow(engine, make_job):
    recipe = replace(RECIPE, schedule=fv.ReduceOnPlateau(1e-30, factor=0.5, patience=1, threshold=0.999))
    history = fit(make_job(engine, recipe=recipe, validation=blobs(9, seed=1)), Progress())
    assert [row.learning_rate for row in history.epochs] == [1e-30, 1e-30, 1e-30, 0.5e-30, 0.5e-30]

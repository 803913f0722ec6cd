"""Training with each setting that has a memory of its own goes on to the same bits wherever it was stopped."""

from dataclasses import dataclass, replace

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


SETTINGS = {
    "plateau": replace(RECIPE, schedule=fv.ReduceOnPlateau(0.3, factor=0.3, patience=0, cooldown=1)),
    "own schedule": replace(RECIPE, schedule=Slower(0.1)),
}


@pytest.mark.parametrize("step", [2, 4, 7, 13])
@pytest.mark.parametrize("recipe", SETTINGS.values(), ids=SETTINGS)
def test_it_goes_on_to_the_same_bits(engine, make_job, tmp_path, recipe, step):
    validation, folder = blobs(9, seed=1), RunFolder(tmp_path)
    whole = make_job(engine, recipe=recipe, validation=validation)
    expected = fit(whole, Progress())
    fit(make_job(engine, recipe=recipe, validation=validation, folder=folder), Seen(interrupt_at=step))
    second = make_job(engine, recipe=recipe, validation=validation, folder=folder)
    resumed = fit(second, Progress(), resume=True)
    assert_same(second, whole)
    rows = [[replace(row, seconds=0, images_per_second=0) for row in each.epochs] for each in (resumed, expected)]
    assert rows[0] == rows[1]


def test_a_plateau_lowers_the_rate_of_the_epochs_that_follow(engine, make_job):
    recipe = replace(RECIPE, schedule=fv.ReduceOnPlateau(1e-30, factor=0.5, patience=1, threshold=0.999))
    history = fit(make_job(engine, recipe=recipe, validation=blobs(9, seed=1)), Progress())
    assert [row.learning_rate for row in history.epochs] == [1e-30, 1e-30, 1e-30, 0.5e-30, 0.5e-30]

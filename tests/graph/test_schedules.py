"""Schedules against PyTorch's, and those of one's own."""

import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import foveate as fv
from foveate.training import Recipe


def theirs(scheduler_of: Any, steps: int, rate: float) -> list[float]:
    """What a PyTorch scheduler sets for each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler, seen = scheduler_of(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return seen


def rates(schedule: fv.Schedule, steps: int) -> list[float]:
    return [schedule.rates(step, steps)[0] for step in range(steps)]


@pytest.mark.parametrize(("every", "size"), [(0.25, 25), (0.1, 10), (1 / 3, 33)])
def test_a_step_schedule_that_changes_again_and_again_is_pytorchs_step_lr(every: float, size: int):
    expected = theirs(lambda o: torch.optim.lr_scheduler.StepLR(o, size, gamma=0.3), 100, 0.2)
    assert rates(fv.Step(0.2, every=every, factor=0.3), 100) == pytest.approx(expected)


def test_a_step_schedule_with_milestones_is_pytorchs_multi_step_lr():
    expected = theirs(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [30, 60, 80], gamma=0.2), 90, 0.1)
    assert rates(fv.Step(0.1, milestones=(1 / 3, 2 / 3, 8 / 9), factor=0.2), 90) == pytest.approx(expected)


@pytest.mark.parametrize(
    "schedule",
    [
        fv.Constant(0.3, warmup=0.1),
        fv.Cosine(0.3, warmup=0.1),
        fv.Step(0.3, every=0.5, warmup=0.1),
        fv.ReduceOnPlateau(0.3, warmup=0.1),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_every_warm_up_is_pytorchs_linear_rise(schedule: fv.Schedule):
    scheduler = torch.optim.lr_scheduler.LinearLR
    expected = theirs(lambda o: scheduler(o, start_factor=0.1, total_iters=9), 11, 0.3)
    assert rates(schedule, 100)[:11] == pytest.approx(expected)


@given(
    st.lists(st.floats(0.1, 10).map(lambda value: round(value, 2)), min_size=1, max_size=40),
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([0.0, 1e-4, 0.1]),
    st.sampled_from([0.0, 0.01]),
)
def test_a_plateau_is_seen_as_by_pytorchs_reduce_lr_on_plateau(losses, patience, cooldown, threshold, minimum):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=minimum
    )
    schedule = fv.ReduceOnPlateau(
        0.4, factor=0.5, patience=patience, threshold=threshold, cooldown=cooldown, minimum=minimum
    )
    for count, loss in enumerate(losses, 1):
        scheduler.step(loss)
        assert schedule.after(losses[:count]).at(0, 1)[0] == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-8)


def test_a_loss_that_is_no_number_is_no_better_one():
    assert fv.ReduceOnPlateau(0.1, patience=0).after([float("nan")]).learning_rate == pytest.approx(0.01)


@dataclass(frozen=True)
class Halving(fv.Schedule):
    learning_rate: float
    ways: tuple[int, ...] = (1, 2)

    def at(self, step, steps):
        return self.learning_rate * 0.5 ** (step // 10)


def test_a_schedule_of_ones_own_is_recorded_by_the_name_of_its_class():
    assert Halving(0.4).rates(20, 30) == (0.1, None)
    plain = Recipe(schedule=Halving(0.4)).to_json()
    assert plain["schedule"] == {"type": "Halving", "learning_rate": 0.4, "ways": [1, 2]}


def test_an_option_that_is_newer_than_the_first_files_is_recorded_only_if_it_is_used():
    assert Recipe(schedule=fv.Constant(0.1)).to_json()["schedule"] == {"type": "Constant", "learning_rate": 0.1}
    assert Recipe(schedule=fv.Constant(0.1, warmup=0.5)).to_json()["schedule"]["warmup"] == 0.5


@pytest.mark.parametrize(
    ("given_rate", "sentence"),
    [
        (-1.0, r"Odd: the learning rate at step 3 of 9 is -1\.0; it must be a number of at least 0"),
        (None, r"Odd: the learning rate at step 3 of 9 is None"),
        ((0.1, 1.5), r"Odd: the momentum at step 3 of 9 is 1\.5; it must be at least 0 and below 1, or None"),
    ],
)
def test_rates_that_no_step_can_use_are_refused(given_rate: Any, sentence: str):
    class Odd(fv.Schedule):
        def at(self, step, steps):
            return given_rate

    with pytest.raises(fv.TrainingError, match=f"^{sentence}"):
        Odd().rates(3, 9)


class NotFrozen(fv.Schedule):
    def at(self, step, steps):
        return 0.1


@dataclass(frozen=True)
class OfObjects(fv.Schedule):
    table: Any = field(default_factory=object)

    def at(self, step, steps):
        return 0.1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (NotFrozen, r"NotFrozen must be a frozen dataclass derived from foveate\.Schedule: @dataclass\(frozen=True\)"),
        (OfObjects, r"OfObjects: table is <object object at .*>, which no file can hold; make it of numbers"),
    ],
)
def test_fit_refuses_a_schedule_that_no_file_could_record(make: Any, sentence: str, tiny_data: fv.Dataset):
    with pytest.raises(fv.TrainingError, match=f"^{sentence}"):
        fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 2, 2))).fit(tiny_data, schedule=make())


@pytest.fixture
def tiny_data() -> fv.Dataset:
    import numpy as np

    return fv.Dataset(np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 0, 1]), ("a", "b"))


def test_a_schedule_must_say_its_rate():
    class NoRate(fv.Schedule):
        pass

    with pytest.raises(fv.CallError, match=r"^NoRate derives from Schedule and must define at$"):
        NoRate()  # type: ignore[abstract]
    with pytest.raises(fv.CallError, match="Schedule is a base to derive from; a derived class must define at"):
        fv.Schedule()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: fv.Step(0.1), "Step: give either every or milestones, such as Step(0.1, milestones=(0.5, 0.75))"),
        (lambda: fv.Step(0.1, every=0.5, milestones=(0.5,)), "Step: give either every or milestones"),
        (lambda: fv.Step(0.1, every=30), "Step: every has 30; it must be a fraction of the training, above 0"),
        (lambda: fv.Step(0.1, milestones=(0.5, 60)), "Step: milestones has 60; it must be a fraction of the training"),
        (lambda: fv.Step(0.1, milestones=0.5), "Step: milestones is 0.5; give fractions such as (0.5, 0.75)"),
        (lambda: fv.Step(0.1, every=0.5, factor=0), "Step: factor is 0; it must be a positive, finite number"),
        (lambda: fv.ReduceOnPlateau(0.1, factor=1.0), "ReduceOnPlateau: factor is 1.0; it must be below 1"),
        (lambda: fv.ReduceOnPlateau(0.1, patience=-1), "ReduceOnPlateau: patience is -1; it must be an int of at"),
        (lambda: fv.ReduceOnPlateau(0.1, cooldown=1.5), "ReduceOnPlateau: cooldown is 1.5; it must be an int of at"),
        (lambda: fv.ReduceOnPlateau(0.1, minimum=-1), "ReduceOnPlateau: minimum is -1; it must be a number of at"),
        (lambda: fv.Constant(0.1, warmup=1.0), "Constant: warmup is 1.0; it must be a fraction of the steps"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(make: Any, sentence: str):
    with pytest.raises(fv.TrainingError, match=f"^{re.escape(sentence)}"):
        make()

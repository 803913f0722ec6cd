"""Losses, optimisers, schedules and initialisers as small frozen descriptions."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import foveate as fv
from foveate.graph import Schedule, initializers

# Options


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "SGD momentum": (
        lambda: fv.SGD(momentum=1.0),
        fv.TrainingError,
        "SGD: momentum is 1.0; it must be at least 0 and below 1",
    ),
    "SGD negative momentum": (
        lambda: fv.SGD(momentum=-0.1),
        fv.TrainingError,
        "SGD: momentum is -0.1; it must be at least 0 and below 1",
    ),
    "SGD weight decay": (
        lambda: fv.SGD(weight_decay=-1e-4),
        fv.TrainingError,
        "SGD: weight_decay is -0.0001; it must be at least 0 and finite",
    ),
    "SGD weight decay not a number": (
        lambda: fv.SGD(weight_decay=float("nan")),
        fv.TrainingError,
        "SGD: weight_decay is nan; it must be at least 0 and finite",
    ),
    "AdamW momentum": (
        lambda: fv.AdamW(momentum=1.5),
        fv.TrainingError,
        "AdamW: momentum is 1.5; it must be at least 0 and below 1",
    ),
    "AdamW second momentum": (
        lambda: fv.AdamW(second_momentum=1.0),
        fv.TrainingError,
        "AdamW: second_momentum is 1.0; it must be at least 0 and below 1",
    ),
    "AdamW eps": (
        lambda: fv.AdamW(eps=0.0),
        fv.TrainingError,
        "AdamW: eps is 0.0; it must be positive and finite (1e-8 is usual)",
    ),
    "AdamW weight decay": (
        lambda: fv.AdamW(weight_decay=-1.0),
        fv.TrainingError,
        "AdamW: weight_decay is -1.0; it must be at least 0 and finite",
    ),
    "label smoothing 1": (
        lambda: fv.CrossEntropy(label_smoothing=1.0),
        fv.LayerError,
        "CrossEntropy: label_smoothing is 1.0; it must be at least 0 and below 1",
    ),
    "label smoothing negative": (
        lambda: fv.CrossEntropy(label_smoothing=-0.1),
        fv.LayerError,
        "CrossEntropy: label_smoothing is -0.1; it must be at least 0 and below 1",
    ),
    "a constant rate of 0": (
        lambda: fv.Constant(0.0),
        fv.TrainingError,
        "Constant: learning_rate is 0.0; it must be a positive, finite number",
    ),
    "a negative cosine rate": (
        lambda: fv.Cosine(-0.1),
        fv.TrainingError,
        "Cosine: learning_rate is -0.1; it must be a positive, finite number",
    ),
    "a one-cycle rate that is no number": (
        lambda: fv.OneCycle(float("nan")),
        fv.TrainingError,
        "OneCycle: learning_rate is nan; it must be a positive, finite number",
    ),
    "cosine warm-up": (
        lambda: fv.Cosine(0.1, warmup=1.0),
        fv.TrainingError,
        "Cosine: warmup is 1.0; it must be a fraction of the steps, at least 0 and below 1",
    ),
    "one-cycle warm-up": (
        lambda: fv.OneCycle(0.1, warmup=-0.2),
        fv.TrainingError,
        "OneCycle: warmup is -0.2; it must be a fraction of the steps, at least 0 and below 1",
    ),
}


@pytest.mark.parametrize(("make", "error", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_number_is_refused_in_a_sentence(make: Any, error: type[Exception], sentence: str):
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        make()


@pytest.mark.parametrize(
    "momentum", [(2.0, -1.0), (0.95, 0.85), (0.85, 1.0), (0.9,)], ids=["out of range", "swapped", "1", "one number"]
)
def test_a_one_cycle_momentum_is_a_lowest_and_a_highest_share(momentum: Any):
    with pytest.raises(fv.TrainingError, match="momentum"):
        fv.OneCycle(0.1, momentum=momentum)


def test_descriptions_are_frozen_and_equal_by_value():
    assert fv.SGD(momentum=0.8) == fv.SGD(momentum=0.8) != fv.SGD(momentum=0.9)
    assert len({fv.AdamW(), fv.AdamW(), fv.CrossEntropy(), fv.CrossEntropy(label_smoothing=0.0)}) == 2
    with pytest.raises(AttributeError):
        fv.SGD().momentum = 0.5  # type: ignore[misc]


# Schedules


def rates(schedule: Schedule, steps: int) -> list[float]:
    return [schedule.at(step, steps)[0] for step in range(steps)]


def theirs(scheduler_of: Any, steps: int, learning_rate: float) -> list[float]:
    """What a PyTorch scheduler sets for each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=learning_rate)
    scheduler = scheduler_of(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return seen


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_cosine_without_warm_up_is_pytorchs_cosine_annealing(steps: int):
    expected = theirs(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=steps), steps, 0.3)
    assert rates(fv.Cosine(0.3), steps) == pytest.approx(expected)


@pytest.mark.parametrize(("steps", "warmup", "rising"), [(20, 0.25, 5), (100, 0.1, 10), (7, 0.3, 2)])
def test_the_warm_up_of_the_cosine_is_pytorchs_linear_rise(steps: int, warmup: float, rising: int):
    scheduler = torch.optim.lr_scheduler.LinearLR
    expected = theirs(lambda o: scheduler(o, start_factor=1 / rising, total_iters=rising - 1), rising, 0.3)
    assert rates(fv.Cosine(0.3, warmup=warmup), steps)[:rising] == pytest.approx(expected)


@pytest.mark.parametrize(("steps", "warmup", "rising"), [(20, 0.25, 5), (100, 0.1, 10)])
def test_after_its_warm_up_the_cosine_is_one_over_the_steps_that_are_left(steps: int, warmup: float, rising: int):
    assert rates(fv.Cosine(0.3, warmup=warmup), steps)[rising:] == pytest.approx(rates(fv.Cosine(0.3), steps - rising))


@pytest.mark.parametrize(
    ("schedule", "step", "rate"),
    [
        (fv.Constant(0.1), 0, 0.1),
        (fv.Constant(0.1), 99, 0.1),
        (fv.Cosine(0.1), 0, 0.1),
        (fv.Cosine(0.1), 50, 0.05),
        (fv.Cosine(0.1, warmup=0.1), 0, 0.01),
        (fv.Cosine(0.1, warmup=0.1), 9, 0.1),
        (fv.Cosine(0.1, warmup=0.1), 10, 0.1),
        (fv.Cosine(0.1, warmup=0.1), 55, 0.05),
        (fv.OneCycle(0.1), 29, 0.1),
        (fv.OneCycle(0.1), 30, 0.1),
        (fv.OneCycle(0.1), 65, 0.05),
        (fv.OneCycle(0.1), 14, 0.1 * 0.52),
    ],
    ids=str,
)
def test_a_schedule_of_a_hundred_steps_gives(schedule: Schedule, step: int, rate: float):
    assert schedule.at(step, 100)[0] == pytest.approx(rate)


@pytest.mark.parametrize("steps", [10, 100, 1000])
def test_a_one_cycle_rises_once_falls_once_and_ends_near_zero(steps: int):
    seen = rates(fv.OneCycle(0.2, warmup=0.3), steps)
    peak = seen.index(max(seen))
    assert max(seen) == 0.2
    assert abs(peak - 0.3 * steps) <= 1
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert 0.2 / 25 <= seen[0] < 0.2
    assert 0 < seen[-1] < 0.2 * 10 / steps


@pytest.mark.parametrize("steps", [10, 100])
def test_the_fall_of_a_one_cycle_is_pytorchs_but_for_its_floor_and_one_step(steps: int):
    """PyTorch's peak is one step and its last step the floor; foveate's falls over one step more, to nearly zero."""
    schedule = torch.optim.lr_scheduler.OneCycleLR
    expected = theirs(
        lambda o: schedule(o, max_lr=0.2, total_steps=steps + 1, pct_start=0.3, final_div_factor=1e12), steps, 0.2
    )
    ours = rates(fv.OneCycle(0.2, warmup=0.3), steps)
    falling = round(0.3 * steps)
    assert ours[falling:] == pytest.approx(expected[falling:], abs=0.2 * 2 / steps)


@pytest.mark.parametrize("steps", [10, 100])
def test_the_momentum_of_a_one_cycle_goes_the_other_way(steps: int):
    seen = [fv.OneCycle(0.2, momentum=(0.8, 0.95)).at(step, steps) for step in range(steps)]
    falling = seen[round(0.3 * steps) :]
    lowest = min(momentum for _, momentum in seen if momentum is not None)
    assert lowest == pytest.approx(0.8)
    assert [momentum for rate, momentum in falling] == pytest.approx([0.95 - 0.15 * rate / 0.2 for rate, _ in falling])
    assert seen[-1][1] == pytest.approx(0.95, abs=0.15 * 10 / steps)


@pytest.mark.parametrize(
    "schedule", [fv.Constant(0.1), fv.Cosine(0.1, warmup=0.2), fv.OneCycle(0.1, momentum=None)], ids=repr
)
def test_other_schedules_leave_the_optimisers_momentum_alone(schedule: Schedule):
    assert {schedule.at(step, 50)[1] for step in range(50)} == {None}


@given(st.integers(1, 500), st.floats(0, 0.99), st.floats(1e-6, 10))
def test_no_schedule_leaves_the_range_from_zero_to_its_rate(steps: int, warmup: float, rate: float):
    schedules = (fv.Cosine(rate, warmup=warmup), fv.OneCycle(rate, warmup=warmup))
    seen = [schedule.at(step, steps)[0] for schedule in schedules for step in {0, steps // 2, steps - 1}]
    assert min(seen) > 0
    assert max(seen) <= rate * (1 + 1e-12)


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_a_one_cycle_momentum_stays_between_its_ends(steps: int, warmup: float):
    schedule = fv.OneCycle(1.0, warmup=warmup, momentum=(0.8, 0.9))
    seen = [schedule.at(step, steps)[1] for step in {0, steps // 2, steps - 1}]
    assert all(momentum is not None and 0.8 - 1e-12 <= momentum <= 0.9 + 1e-12 for momentum in seen)


# Initialisers


def rule_of(*layers: Any, name: str = "conv1.weight") -> str:
    return initializers(fv.Sequential(*layers).build((4, 8, 8)))[name]


def conv(**options: Any) -> fv.Conv2d:
    return fv.Conv2d(4, 3, padding=1, **options)


@pytest.mark.parametrize(
    ("followers", "rule"),
    [
        ([fv.ReLU()], "he"),
        ([fv.LeakyReLU()], "he"),
        ([fv.ELU()], "he"),
        ([fv.Tanh()], "xavier"),
        ([fv.Sigmoid()], "xavier"),
        ([], "xavier"),
        ([conv(), fv.ReLU()], "xavier"),
        ([fv.BatchNorm2d(), fv.ReLU()], "he"),
        ([fv.BatchNorm2d(), fv.MaxPool2d(2), fv.Dropout(), fv.ReLU()], "he"),
        ([fv.GlobalAvgPool2d(), fv.Linear(3), fv.ReLU()], "xavier"),
        ([fv.Flatten(), fv.ReLU()], "he"),
        ([fv.Pad(((0, 0), (1, 1), (1, 1))), fv.ReLU()], "he"),
        ([fv.Tanh(), fv.ReLU()], "xavier"),
    ],
    ids=str,
)
def test_weights_start_by_he_where_a_rectifier_follows_and_by_xavier_elsewhere(followers: list[fv.Layer], rule: str):
    assert rule_of(conv(), *followers) == rule


def test_the_rectifier_after_an_addition_counts_for_the_block():
    graph = fv.Residual(conv(), fv.BatchNorm2d(), after=fv.ReLU()).build((4, 8, 8))
    assert initializers(graph)["residual1.conv1.weight"] == "he"


def test_the_last_linear_layer_starts_by_xavier():
    graph = fv.Sequential(fv.Linear(8), fv.ReLU(), fv.Linear(3)).build((5,))
    assert initializers(graph) == {
        "linear1.weight": "he",
        "linear1.bias": "zeros",
        "linear2.weight": "xavier",
        "linear2.bias": "zeros",
    }


@pytest.mark.parametrize("rule", ["he", "xavier", "zeros", "ones"])
def test_an_initializer_that_is_named_is_used(rule: str):
    assert rule_of(conv(initializer=rule), fv.Tanh()) == rule


def test_normalisation_starts_as_the_identity():
    graph = fv.Sequential(fv.BatchNorm2d()).build((4, 8, 8))
    assert initializers(graph) == {"bn1.weight": "ones", "bn1.bias": "zeros"}


@dataclass(frozen=True)
class Pieces(fv.Layer):
    """A rectifier with weights of its own, as Maxout is."""

    label = "pieces"
    rectifies = True

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return input_shapes[0]

    def parameters(self, input_shapes: Sequence[tuple[int, ...]]) -> dict[str, fv.Parameter]:
        return {"weight": fv.Parameter((2, *input_shapes[0]), "auto", decay=True)}


def test_the_weights_of_a_rectifier_itself_start_by_he():
    assert initializers(fv.Sequential(Pieces()).build((4,))) == {"pieces1.weight": "he"}

"""Metrics of one and of several outputs, and metrics of one's own."""

import json
from typing import ClassVar

import numpy as np
import pytest

from foveate import DataError
from foveate.tasks import (
    Classification,
    Head,
    Metric,
    Metrics,
    MultiLabel,
    Output,
    Regression,
    Segmentation,
    Task,
    beats,
)

KIND = Head(Classification(("cat", "dog")), Output("kind", (2,)))
AGE = Head(Regression(("years",)), Output("age", (1,)))


class Largest(Metric):
    """The largest answer there was."""

    better: ClassVar = {"largest": "lower"}

    def __init__(self, start=0.0):
        self.largest = start

    def update(self, answers, targets):
        self.largest = max(self.largest, float(answers.max()))

    def numbers(self):
        return {"largest": self.largest}


class Accuracy(Largest):
    better: ClassVar = {"accuracy": "higher"}


class Sideways(Largest):
    better: ClassVar = {"largest": "sideways"}


def test_one_output():
    metrics = Metrics((KIND,))
    assert metrics.headline == ("accuracy", "higher")
    metrics.update({"kind": np.log([[0.75, 0.25]])}, {"kind": np.array([0])})
    metrics.update({"kind": np.log([[0.75, 0.25], [0.25, 0.75]])}, {"kind": np.array([1, 1])})
    found = metrics.result()
    assert found.samples == 3
    assert found.value == found["accuracy"] == pytest.approx(2 / 3)
    assert found.better == {"accuracy": "higher", "calibration_error": "lower"}
    assert str(found) == "accuracy 0.6667, calibration_error 0.08333"
    with pytest.raises(KeyError, match="nothing called 'mae' was measured; there is accuracy, calibration_error"):
        found["mae"]


def test_the_result_is_plain_data():
    metrics = Metrics((KIND,))
    metrics.update({"kind": np.log([[0.75, 0.25]])}, {"kind": np.array([0])})
    described = metrics.result().to_json()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described == {
        "samples": 1,
        "headline": "accuracy",
        "numbers": {"accuracy": 1.0, "calibration_error": 0.25},
        "better": {"accuracy": "higher", "calibration_error": "lower"},
        "each": {"accuracy": {"cat": 1.0, "dog": None}},
        "tables": {"confusion": [[1, 0], [0, 0]]},
    }


def test_a_result_stays_as_it_was():
    metrics = Metrics((KIND,))
    before = metrics.result()
    metrics.update({"kind": np.log([[0.75, 0.25]])}, {"kind": np.array([0])})
    assert before.samples == 0
    assert before.value is None
    assert before.tables["confusion"].sum() == 0
    assert str(before) == "accuracy undetermined, calibration_error undetermined"


def test_several_outputs():
    metrics = Metrics((AGE, KIND))
    assert metrics.headline == ("age mae", "lower")
    metrics.update(
        {"kind": np.log([[0.75, 0.25]]), "age": np.array([[3.0]])},
        {"kind": np.array([0]), "age": np.array([[5.0]])},
    )
    found = metrics.result()
    assert found.samples == 1
    assert list(found.numbers) == ["age mae", "age rmse", "age r2", "kind accuracy", "kind calibration_error"]
    assert found.value == found["age mae"] == 2
    assert found.each["kind accuracy"] == {"cat": 1, "dog": None}
    assert list(found.tables) == ["kind confusion"]


@pytest.mark.parametrize(
    ("head", "numbers"),
    [
        (KIND, ["accuracy", "calibration_error"]),
        (
            Head(Classification(tuple("abcdef")), Output("fc", (6,))),
            ["accuracy", "top5_accuracy", "calibration_error"],
        ),
        (AGE, ["mae", "rmse", "r2"]),
        (
            Head(MultiLabel(("a",)), Output("fc", (1,))),
            ["average_precision", "precision", "recall", "f1", "exact_match"],
        ),
        (Head(Segmentation(("a", "b"), 255), Output("conv", (2, 3, 3))), ["mean_iou", "pixel_accuracy"]),
    ],
)
def test_what_each_task_measures(head, numbers):
    metrics = Metrics((head,))
    found = metrics.result()
    assert list(found.numbers) == list(found.better) == numbers
    assert metrics.headline == (found.headline, found.better[found.headline])
    assert found.headline == numbers[0]


def test_segmentation_ignores_in_its_metrics_what_it_is_told_to():
    metrics = Metrics((Head(Segmentation(("a", "b"), 255), Output("conv", (2, 3))),))
    values = np.array([[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    metrics.update({"conv": values}, {"conv": np.array([[0, 255, 255]], np.uint8)})
    assert metrics.result()["pixel_accuracy"] == 1


def test_outputs_that_are_no_numbers_are_told():
    with pytest.raises(DataError, match="output age is NaN or infinite for 1 of 1 samples"):
        Metrics((AGE,)).update({"age": np.array([[np.nan]])}, {"age": np.array([[1.0]])})


def test_metrics_of_ones_own():
    metrics = Metrics((KIND,), [Largest])
    metrics.update({"kind": np.log([[0.75, 0.25]])}, {"kind": np.array([0])})
    assert metrics.result()["largest"] == 0.75
    assert metrics.result().better["largest"] == "lower"
    assert Metrics((KIND,), [Largest]).result()["largest"] == 0
    several = Metrics((KIND, AGE), {"age": [lambda: Largest(7.0)]})
    assert several.result()["age largest"] == 7


def test_a_number_of_ones_own_that_is_none_is_none():
    metrics = Metrics((KIND,), [lambda: Largest(float("inf"))])
    assert metrics.result()["largest"] is None


@pytest.mark.parametrize(
    ("used", "own", "message"),
    [
        (
            (KIND, AGE),
            [Largest],
            r"the network has 2 outputs; say which one your metrics are for: \{'kind': \[\.\.\.\]\}",
        ),
        ((KIND, AGE), {"sex": [Largest]}, "the network has no output sex to measure; it has kind, age"),
        ((KIND,), [Largest, Largest], "two metrics measure 'largest'; give the one in Largest another name"),
        ((KIND,), [Accuracy], "two metrics measure 'accuracy'; give the one in Accuracy another name"),
        ((KIND,), [Sideways], r"Sideways: better\['largest'\] is 'sideways', not \"higher\" or \"lower\""),
    ],
)
def test_metrics_of_ones_own_that_cannot_be_used(used, own, message):
    with pytest.raises(DataError, match=message):
        Metrics(used, own)


def test_a_headline_that_nothing_measures():
    class Misnamed(Classification):
        headline = "precision"

    with pytest.raises(DataError, match="headline of Misnamed is 'precision', but its metrics measure accuracy, calib"):
        Metrics((Head(Misnamed(("a", "b")), Output("fc", (2,))),))


@pytest.mark.parametrize(
    ("value", "other", "direction", "better"),
    [
        (0.2, 0.1, "higher", True),
        (0.1, 0.2, "higher", False),
        (0.1, 0.2, "lower", True),
        (0.1, 0.1, "lower", False),
        (0.1, 0.1, "higher", False),
        (0.1, None, "higher", True),
        (None, 0.1, "lower", False),
        (None, None, "higher", False),
    ],
)
def test_which_is_better(value, other, direction, better):
    assert beats(value, other, direction) is better


def test_a_result_beats_another_by_its_headline():
    def measured(answer):
        metrics = Metrics((AGE,))
        metrics.update({"age": np.array([[answer]])}, {"age": np.array([[5.0]])})
        return metrics.result()

    assert measured(4.5).beats(measured(3.0))
    assert not measured(3.0).beats(measured(4.5))
    assert measured(3.0).beats(None)


def test_a_task_is_no_task_without_its_methods():
    with pytest.raises(TypeError, match=r"^Task is a base to derive from; a derived class must define answers, check_"):
        Task()

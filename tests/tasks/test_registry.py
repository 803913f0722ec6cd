"""Tasks as plain data, and tasks of one's own."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from foveate import DataError, MeanSquaredError
from foveate.tasks import (
    Classification,
    Head,
    Metrics,
    MultiLabel,
    Output,
    Regression,
    RegressionErrors,
    Segmentation,
    Several,
    Task,
    from_json,
    register,
)

TASKS = [
    Classification(("cat", "dog")),
    MultiLabel(("a", "b"), 0.25),
    Regression(("weight",)),
    Segmentation(("background", "road")),
    Segmentation(("background", "road"), 255),
]


class OwnTask(Task):
    """What the tasks of one's own in this file share."""

    headline = "mae"

    def fitting_losses(self, output):
        return ("MeanSquaredError",)

    def default_loss(self, output):
        return MeanSquaredError()

    def check_output(self, output):
        if output.shape != (1,):
            raise DataError("one number")

    def check_targets(self, targets, count, output=None):
        return np.reshape(targets, (count, 1))

    def decode(self, values, output):
        return values

    def answers(self, decoded):
        return [[("count", float(row[0]))] for row in decoded]

    def metrics(self, output):
        return [RegressionErrors(("count",))]


def count_task(kind="count_things"):
    """A new class each time, as a notebook's cell defines it."""

    @dataclass(frozen=True)
    class Count(OwnTask):
        things: tuple[tuple[str, int], ...]

    Count.kind = kind
    return Count


@pytest.mark.parametrize("task", [*TASKS, Several({"a": TASKS[0], "b": (TASKS[2], 0.5)})])
def test_there_and_back(task):
    described = json.loads(json.dumps(task.to_json()))
    assert described == task.to_json()
    assert from_json(described) == task


def test_how_files_describe_tasks():
    assert TASKS[0].to_json() == {"kind": "classification", "classes": ["cat", "dog"]}
    assert TASKS[1].to_json() == {"kind": "multi_label", "labels": ["a", "b"], "threshold": 0.25}
    assert TASKS[2].to_json() == {"kind": "regression", "names": ["weight"]}
    assert TASKS[4].to_json() == {"kind": "segmentation", "classes": ["background", "road"], "ignore_index": 255}
    assert Several({"a": (TASKS[2], 0.5)}).to_json() == {
        "kind": "several",
        "outputs": {"a": {"task": {"kind": "regression", "names": ["weight"]}, "weight": 0.5}},
    }


CLASSES = {"kind": "classification", "classes": ["a"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, 'a task is described by a JSON object with its "kind", but this one is not'),
        ([CLASSES], "a task is described by a JSON object"),
        ({"classes": ["a"]}, "a task is described by a JSON object"),
        ({"kind": ["classification"]}, "a task is described by a JSON object"),
        ({"kind": "clasification"}, "there is no task of kind 'clasification'. Nearest: classification.*If it is"),
        ({"kind": "x" * 999}, "there is no task of kind 'x{40}'"),
        ({"kind": "os.system"}, "there is no task of kind 'os.system'"),
        (CLASSES | {"colour": 1}, "the task classification has no option 'colour'; it has classes"),
        ({"kind": "classification"}, "Classification: classes is missing"),
        ({"kind": "classification", "classes": [1]}, r"classes are \(1,\); give the name of each class"),
        ({"kind": "classification", "classes": ["a", "a"]}, 'two classes are called "a"'),
        ({"kind": "multi_label", "labels": ["a"], "threshold": 7}, "threshold is 7; it must be above 0"),
        ({"kind": "segmentation", "classes": ["a", "b"], "ignore_index": "x"}, "ignore_index is 'x'"),
        ({"kind": "several"}, 'are described by a "kind" and "outputs" only'),
        ({"kind": "several", "outputs": []}, 'are described by a "kind" and "outputs" only'),
        ({"kind": "several", "outputs": {}, "x": 1}, 'are described by a "kind" and "outputs" only'),
        ({"kind": "several", "outputs": {}}, "outputs are {}; give the name of each output"),
        ({"kind": "several", "outputs": {"a": CLASSES}}, 'the output a is described by a "task" and a "weight" only'),
        (
            {"kind": "several", "outputs": {"a": 5}},
            'the output a is described by a "task" and a "weight" only, but',
        ),
        ({"kind": "several", "outputs": {"a": {"task": CLASSES, "weight": -1}}}, "the weight of the output a is -1"),
        (
            {"kind": "several", "outputs": {"a": {"task": {"kind": "several", "outputs": {}}, "weight": 1}}},
            "there is no task of kind 'several'",
        ),
    ],
)
def test_what_is_no_task(data, message):
    with pytest.raises(DataError, match=message):
        from_json(data)


def test_a_task_of_ones_own():
    count = register(count_task())
    task = count((("apples", 1), ("pears", 2)))
    assert from_json(json.loads(json.dumps(task.to_json()))) == task
    head = Head(task, Output("fc", (1,)))
    metrics = Metrics((head,))
    metrics.update({"fc": np.array([[3.0]])}, {"fc": head.check_targets([5], 1)})
    assert metrics.result().value == 2
    assert head.loss() == MeanSquaredError()
    targets = np.ones(1)
    assert head.loss_targets(targets) is targets
    with pytest.raises(DataError, match="one number"):
        Head(task, Output("fc", (2,)))


def test_the_same_class_defined_again_replaces_itself():
    register(count_task())
    again = register(count_task())
    assert type(from_json({"kind": "count_things", "things": []})) is again


@pytest.mark.parametrize("kind", ["classification", "several"])
def test_a_kind_that_is_taken(kind):
    with pytest.raises(DataError, match=f'there is already a task of kind "{kind}"; choose another kind for Count'):
        register(count_task(kind))


@pytest.mark.parametrize("kind", [None, "", "two words", 5])
def test_a_kind_that_is_no_word(kind):
    with pytest.raises(DataError, match=f"Count has the kind {kind!r}; give it a word by which files know it: kind = "):
        register(count_task(kind))


def test_a_task_that_is_no_dataclass():
    with pytest.raises(DataError, match=r"OwnTask is not a dataclass; write @dataclass\(frozen=True\) above it, below"):
        register(OwnTask)

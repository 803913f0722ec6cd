"""Networks of several outputs, and what models ask of each output."""

import pickle
from copy import deepcopy

import numpy as np
import pytest

from foveate import (
    BinaryCrossEntropy,
    CrossEntropy,
    DataError,
    GraphBuilder,
    Linear,
    MeanSquaredError,
    Sequential,
    Softmax,
    TrainingError,
)
from foveate.tasks import Classification, Head, MultiLabel, Output, Regression, Several, heads

KIND, AGE = Classification(("cat", "dog")), Regression(("years",))
BOTH = Several({"kind": KIND, "age": (AGE, 0.1)})


def two_outputs():
    builder = GraphBuilder()
    data = builder.input((4,), "data")
    return builder.build(builder.add(Linear(1), data, name="age"), builder.add(Linear(2), data, name="kind"))


def test_tasks_and_weights():
    assert BOTH.tasks == {"kind": KIND, "age": AGE}
    assert BOTH.weights == {"kind": 1.0, "age": 0.1}
    assert Several({"kind": KIND, "age": (AGE, 1)}) != BOTH


@pytest.mark.parametrize("copy", [deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("task", [BOTH, KIND, Head(KIND, Output("fc", (2,)), 2.0)])
def test_copies_are_equal(copy, task):
    assert copy(task) == task


@pytest.mark.parametrize(
    ("by_output", "message"),
    [
        ([KIND], r"Several takes a task for each output, by the output's name, but got \[Classification"),
        ({}, r"outputs are \{\}; give the name of each output"),
        ({"kind": "cat"}, r"the output kind needs a task, or \(task, weight\), but has 'cat'"),
        ({"kind": (KIND,)}, "the output kind needs a task"),
        ({"kind": BOTH}, r"the output kind needs a task, or \(task, weight\), but has Several"),
        ({"kind": (KIND, 0)}, r"the weight of the output kind is 0; it must be a positive number, at most 1e\+09"),
        ({"kind": (KIND, float("nan"))}, "the weight of the output kind is nan"),
        ({"kind": (KIND, 10**400)}, "the weight of the output kind is 10000"),
        ({"kind": (KIND, "1")}, "the weight of the output kind is '1'"),
        ({"kind": (KIND, True)}, "the weight of the output kind is True"),
    ],
)
def test_what_is_no_task_for_each_output(by_output, message):
    with pytest.raises(DataError, match=message):
        Several(by_output)


def test_targets_of_each_output():
    checked = BOTH.check_targets({"age": [3.5, 4], "kind": [0, 1]}, 2)
    assert {name: values.tolist() for name, values in checked.items()} == {"kind": [0, 1], "age": [[3.5], [4]]}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 1], r"mapping with an entry for each output \(kind, age\), but there is list"),
        ({}, "but there is none"),
        ({"kind": [0, 1]}, "but there is kind"),
        ({"kind": [0, 5], "age": [1, 2]}, "output kind: sample 1 has the label 5"),
    ],
)
def test_targets_that_cannot_be_used(targets, message):
    with pytest.raises(DataError, match=message):
        BOTH.check_targets(targets, 2)


def test_heads_are_in_the_order_of_the_tasks():
    assert heads(BOTH, two_outputs()) == (
        Head(KIND, Output("kind", (2,)), 1.0),
        Head(AGE, Output("age", (1,)), 0.1),
    )


def test_the_head_of_a_single_task():
    graph = Sequential(Linear(2), Softmax()).build((4,))
    assert heads(KIND, graph) == (Head(KIND, Output("softmax1", (2,), "softmax")),)
    assert heads(Several({"softmax1": KIND}), graph) == heads(KIND, graph)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (KIND, r"the network has 2 outputs \(age, kind\), but only one task; give each its own: Several\("),
        (Several({"kind": KIND}), r"the network's output age has no task; add it to Several"),
        (Several({"kind": KIND, "ages": AGE}), r"the network has no output ages\. Nearest: age"),
        (
            Several({"kind": AGE, "age": AGE}),
            r"the network's output kind is 2, but there is 1 value \(years\); make",
        ),
    ],
)
def test_tasks_and_outputs_that_do_not_belong_together(task, message):
    with pytest.raises(DataError, match=message):
        heads(task, two_outputs())


def test_one_number_is_enough_for_two_classes():
    assert [head.output.shape for head in heads(Several({"kind": KIND, "age": KIND}), two_outputs())] == [(2,), (1,)]


def test_a_head_knows_its_loss():
    head = heads(BOTH, two_outputs())[0]
    assert head.name == "kind"
    assert head.loss() == CrossEntropy()
    assert head.loss(CrossEntropy(0.1)) == CrossEntropy(0.1)
    with pytest.raises(TrainingError, match="but its loss is MeanSquaredError"):
        head.loss(MeanSquaredError())
    with pytest.raises(TrainingError, match="already ends with softmax; train the network without that layer"):
        Head(KIND, Output("fc", (2,), "softmax")).loss()


def test_a_head_does_what_its_task_does_for_its_output():
    head = Head(MultiLabel(("a", "b")), Output("fc", (2,), "sigmoid"))
    targets = head.check_targets([[0, 1]], 1)
    assert head.loss_targets(targets).dtype == np.float32
    values = np.array([[0.25, 0.75]])
    assert head.decode(values).tolist() == [[0.25, 0.75]]
    assert head.answers(values) == [[("b", 0.75)]]
    np.testing.assert_allclose(head.compared(BinaryCrossEntropy(), values), [[-np.log(3), np.log(3)]])
    assert Head(KIND, Output("fc", (1,))).loss() == BinaryCrossEntropy()

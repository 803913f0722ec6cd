"""Multi-label: outputs, losses, targets and answers."""

import numpy as np
import pytest

from foveate import BinaryCrossEntropy, CrossEntropy, DataError, TrainingError
from foveate.tasks import MultiLabel, Output

TASK = MultiLabel(("indoors", "people"))
OUTPUT = Output("fc", (2,))


@pytest.mark.parametrize("threshold", [0, 1, -0.5, float("nan")])
def test_a_threshold_out_of_range(threshold):
    with pytest.raises(DataError, match=f"MultiLabel: threshold is {threshold}; it must be above 0 and below 1"):
        MultiLabel(("a",), threshold)


@pytest.mark.parametrize("threshold", ["0.5", None, True])
def test_a_threshold_that_is_no_number(threshold):
    with pytest.raises(DataError, match=f"MultiLabel: threshold is {threshold!r}; it must be a number between 0 and 1"):
        MultiLabel(("a",), threshold)


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_outputs_that_fit(activation):
    TASK.check_output(Output("fc", (2,), activation))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            Output("fc", (3,)),
            r"output fc is 3, but there are 2 labels \(indoors, people\); make its last",
        ),
        (Output("conv", (2, 7, 7)), "output conv is 2x7x7, but there are 2 labels"),
        (
            Output("fc", (2,), "softmax"),
            "output fc ends with a softmax, which lets only one label win; leave",
        ),
        (Output("fc", (2,), "log_softmax"), "output fc ends with a softmax"),
    ],
)
def test_outputs_that_do_not_fit(output, message):
    with pytest.raises(DataError, match=message):
        TASK.check_output(output)


def test_losses():
    assert TASK.default_loss(OUTPUT) == BinaryCrossEntropy()
    TASK.check_loss(BinaryCrossEntropy(), OUTPUT)
    with pytest.raises(TrainingError, match="MultiLabel, which is trained with BinaryCrossEntropy or Focal, but "):
        TASK.check_loss(CrossEntropy(), OUTPUT)
    with pytest.raises(TrainingError, match="already ends with sigmoid"):
        TASK.check_loss(BinaryCrossEntropy(), Output("fc", (2,), "sigmoid"))


@pytest.mark.parametrize("kind", [bool, int, float])
def test_targets(kind):
    targets = TASK.check_targets(np.array([[0, 1], [1, 1], [0, 0]], kind), 3)
    assert targets.dtype == np.uint8
    assert targets.tolist() == [[0, 1], [1, 1], [0, 0]]
    for_loss = TASK.loss_targets(targets, OUTPUT)
    assert for_loss.dtype == np.float32
    assert for_loss.tolist() == targets.tolist()


def test_a_row_will_do_for_one_label():
    assert MultiLabel(("rain",)).check_targets([0, 1], 2).tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1], r"targets have the shape 2; give 0 or 1 for each of 2 labels: 2x2"),
        ([[0, 1]], "there are 2 samples, but 1 targets; each sample needs one"),
        ([[0, 1, 0]] * 2, "targets have the shape 2x3; give 0 or 1"),
        ([[0, 1], [0, 0.5]], r'sample 1 has 0\.5 for the label "people"; it must be 0 \(without\) or 1 \(with\)'),
        ([[0, 1], [np.nan, 0]], 'sample 1 has nan for the label "indoors"'),
        ([["a", "b"]] * 2, "targets must be numbers, but they are strings; give 0 or 1"),
    ],
)
def test_targets_that_cannot_be_used(values, message):
    with pytest.raises(DataError, match=message):
        TASK.check_targets(values, 2)


def test_answers_are_what_lies_above_the_threshold():
    task = MultiLabel(("a", "b", "c"), threshold=0.25)
    decoded = np.array([[0.5, 0.75, 0.25], [0.1, 0.2, 0.0]])
    assert task.answers(decoded) == [[("b", 0.75), ("a", 0.5)], []]

"""Regression: outputs, losses, targets and answers."""

import numpy as np
import pytest

from foveate import CrossEntropy, DataError, MeanSquaredError, TrainingError
from foveate.tasks import Output, Regression

TASK = Regression(("weight", "length"))
OUTPUT = Output("fc", (2,))


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_any_last_layer_fits(activation):
    output = Output("fc", (2,), activation)
    TASK.check_output(output)
    TASK.check_loss(MeanSquaredError(), output)
    values = np.array([[0.25, 0.75]])
    assert TASK.decode(values, output).tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize("shape", [(3,), (2, 1, 1)])
def test_outputs_that_do_not_fit(shape):
    with pytest.raises(DataError, match=r"output fc is \w+, but there are 2 values \(weight, length\); make its last"):
        TASK.check_output(Output("fc", shape))


def test_losses():
    assert TASK.default_loss(OUTPUT) == MeanSquaredError()
    with pytest.raises(
        TrainingError,
        match="Regression, which is trained with MeanSquaredError or L1 or Huber, but ",
    ):
        TASK.check_loss(CrossEntropy(), OUTPUT)


def test_targets():
    targets = TASK.check_targets([[1, 2], [3, 4]], 2)
    assert targets.dtype == np.float64
    assert targets.tolist() == [[1, 2], [3, 4]]
    assert TASK.loss_targets(targets, OUTPUT) is targets
    assert Regression(("age",)).check_targets([1.5, 2], 2).tolist() == [[1.5], [2]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], "targets have the shape 2; give a number for each of 2 values: 2x2"),
        ([[1, 2, 3]] * 2, "targets have the shape 2x3"),
        ([[1, 2]] * 3, "there are 2 samples, but 3 targets"),
        ([[1, 2], [3, np.nan]], 'sample 1 has nan for "length"; fix or remove it'),
        ([[-np.inf, 2], [3, 4]], 'sample 0 has -inf for "weight"'),
        ([[1e39, 2], [3, 4]], r'sample 0 has 1e\+39 for "weight"; .* finite and at most 3\.4e\+38 in magnitude'),
    ],
)
def test_targets_that_cannot_be_used(values, message):
    with pytest.raises(DataError, match=message):
        TASK.check_targets(values, 2)


def test_answers_name_each_value():
    assert TASK.answers(np.array([[3.25, 40.0]], np.float32)) == [[("weight", 3.25), ("length", 40.0)]]

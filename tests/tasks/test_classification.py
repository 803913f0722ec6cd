"""Classification: outputs, losses, targets and answers."""

import numpy as np
import pytest

from foveate import BinaryCrossEntropy, CrossEntropy, DataError, MeanSquaredError, TrainingError
from foveate.tasks import Classification, Output

TASK = Classification(("cat", "dog", "fish"))
PAIR = Classification(("no", "yes"))
OUTPUT = Output("fc", (3,))
SINGLE = Output("fc", (1,))


@pytest.mark.parametrize("activation", ["none", "softmax", "log_softmax"])
def test_outputs_that_fit(activation):
    TASK.check_output(Output("fc", (3,), activation))


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_one_output_fits_two_classes(activation):
    PAIR.check_output(Output("fc", (1,), activation))


@pytest.mark.parametrize(
    ("task", "output", "message"),
    [
        (TASK, Output("conv", (3, 7, 7)), "output conv is 3x7x7, not one number for each class; end it with Flatten"),
        (
            TASK,
            Output("fc", (1000,)),
            r"has 1,000 outputs, but there are 3 class names \(cat, dog, fish\); make",
        ),
        (TASK, SINGLE, "the network has 1 output, but there are 3 class names"),
        (TASK, Output("fc", (3,), "sigmoid"), "output fc ends with Sigmoid, but one of 3 classes is right; leave that"),
        (PAIR, Output("fc", (2,), "sigmoid"), "one of 2 classes is right; .* use MultiLabel"),
        (PAIR, Output("fc", (1,), "softmax"), "output fc is a softmax over one number, which is always 1; leave"),
        (PAIR, Output("fc", (1,), "log_softmax"), "output fc is a softmax over one number"),
    ],
)
def test_outputs_that_do_not_fit(task, output, message):
    with pytest.raises(DataError, match=message):
        task.check_output(output)


def test_losses_that_fit():
    assert TASK.default_loss(OUTPUT) == CrossEntropy()
    TASK.check_loss(CrossEntropy(label_smoothing=0.1), OUTPUT)
    assert PAIR.default_loss(SINGLE) == BinaryCrossEntropy()
    PAIR.check_loss(BinaryCrossEntropy(), SINGLE)
    assert PAIR.default_loss(Output("fc", (2,))) == CrossEntropy()


@pytest.mark.parametrize(
    ("task", "loss", "output", "message"),
    [
        (
            TASK,
            MeanSquaredError(),
            OUTPUT,
            "the output fc is for Classification, which is trained with CrossEntropy, but its loss is "
            "MeanSquaredError, which is for Regression; leave the loss out for CrossE",
        ),
        (
            PAIR,
            BinaryCrossEntropy(),
            Output("fc", (2,)),
            "its loss is BinaryCrossEntropy, which is for MultiLabel; leave",
        ),
        (
            PAIR,
            CrossEntropy(),
            SINGLE,
            "with BinaryCrossEntropy or Focal, but its loss is CrossEntropy, which is for Classification or Segm",
        ),
        (
            TASK,
            CrossEntropy(),
            Output("prob", (3,), "softmax"),
            "CrossEntropy applies the softmax itself, but the network's output prob already ends",
        ),
        (
            PAIR,
            BinaryCrossEntropy(),
            Output("fc", (1,), "sigmoid"),
            "already ends with sigmoid; train the",
        ),
    ],
)
def test_losses_that_do_not_fit(task, loss, output, message):
    with pytest.raises(TrainingError, match=message):
        task.check_loss(loss, output)


@pytest.mark.parametrize("values", [[0, 2, 1], (0, 2, 1), np.array([0, 2, 1], np.uint8)])
def test_class_indices(values):
    labels = TASK.check_targets(values, 3)
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 2, 1]
    assert TASK.loss_targets(labels, OUTPUT) is labels


def test_booleans_are_two_classes():
    assert PAIR.check_targets([True, False], 2).tolist() == [1, 0]


@pytest.mark.parametrize("kind", [bool, int, float])
def test_one_hot_rows_become_indices(kind):
    labels = TASK.check_targets(np.eye(3, dtype=kind)[[2, 0]], 2)
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0]


def test_shares_of_the_classes():
    shares = TASK.check_targets([[0.25, 0.75, 0], [1, 0, 0]], 2)
    assert shares.dtype == np.float32
    assert shares.tolist() == [[0.25, 0.75, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1], "there are 3 samples, but 2 labels; each sample needs one"),
        (1, "labels have the shape of one number; give one class index for each sample, or"),
        ([[0], [1, 2], [3]], "labels differ in length from sample to sample; give one class index"),
        (["cat", "dog", "cat"], "labels must be numbers, but they are strings; give one class index"),
        ([0, None, 1], "labels must be numbers, but they are of the type object"),
        ([0.0, 1.0, 2.0], r"labels must be whole numbers .*, but they are float64; .* convert them with astype\(int\)"),
        ([0, 3, 1], "sample 1 has the label 3, but the 3 classes are numbered 0 to 2$"),
        ([0, 1, -1], "sample 2 has the label -1, but"),
        (np.zeros((3, 2)), "labels have the shape 3x2; give one class index .*: 3 or 3x3"),
        (np.zeros((3, 3, 1)), "labels have the shape 3x3x1; give"),
        ([[1, 0, 0], [0.5, 0.6, 0], [1, 0, 0]], r"in sample 1 are from 0 to 0\.6 and sum to 1\.1; they must be"),
        ([[1, 0, 0], [1, 0, 0], [2, -1, 0]], "in sample 2 are from -1 to 2 and sum to 1; they must be at least 0"),
        ([[1, 0, 0], [True, True, False], [1, 0, 0]], "in sample 1 are from 0 to 1 and sum to 2"),
        ([[1, 0, 0], [np.nan, 1, 0], [1, 0, 0]], "in sample 1 are from nan to nan and sum to nan"),
    ],
)
def test_labels_that_cannot_be_used(values, message):
    with pytest.raises(DataError, match=message):
        TASK.check_targets(values, 3)


def test_booleans_that_are_no_fractions():
    with pytest.raises(DataError, match="in sample 0 are from 0 to 1 and sum to 2"):
        TASK.check_targets(np.array([[True, True, False]]), 1)


def test_the_binary_loss_gets_the_share_of_the_second_class():
    indices = PAIR.loss_targets(PAIR.check_targets([0, 1], 2), SINGLE)
    assert indices.dtype == np.float32
    assert indices.tolist() == [[0], [1]]
    shares = PAIR.loss_targets(PAIR.check_targets([[0.25, 0.75], [1, 0]], 2), SINGLE)
    assert shares.tolist() == [[0.75], [0]]


def test_answers_are_the_five_most_probable_in_order_and_ties_in_that_of_the_classes():
    task = Classification(tuple("abcdef"))
    answers = task.answers(np.array([[0.125, 0.25, 0.125, 0.25, 0.0, 0.25]]))
    assert answers == [[("b", 0.25), ("d", 0.25), ("f", 0.25), ("a", 0.125), ("c", 0.125)]]
    assert type(answers[0][0][1]) is float
    many = Classification(tuple(map(str, range(64))))
    assert [name for name, _ in many.answers(np.full((1, 64), 1 / 64))[0]] == ["0", "1", "2", "3", "4"]

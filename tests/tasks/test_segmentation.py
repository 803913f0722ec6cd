"""Segmentation: outputs, losses, targets and answers."""

import numpy as np
import pytest

from foveate import BinaryCrossEntropy, CrossEntropy, DataError, Dice, MeanSquaredError, TrainingError
from foveate.tasks import Output, Segmentation

TASK = Segmentation(("background", "cat", "dog"))
PAIR = Segmentation(("background", "road"))
OUTPUT = Output("conv9", (3, 2, 2))
SINGLE = Output("conv9", (1, 2, 2))


def test_one_class_is_no_segmentation():
    with pytest.raises(DataError, match=r"classes are \('road',\), only 1; give at least 2 names"):
        Segmentation(("road",))


@pytest.mark.parametrize("ignored", [0, 1])
def test_a_class_cannot_be_ignored(ignored):
    with pytest.raises(DataError, match=rf"ignore_index is {ignored}, which is the class .*\(0 to 1\), such as 255"):
        Segmentation(("background", "road"), ignored)


@pytest.mark.parametrize("ignored", ["255", 1.5, True, 2**31])
def test_what_is_ignored_is_a_whole_number(ignored):
    with pytest.raises(DataError, match=rf"ignore_index is {ignored!r}; it must be a whole number such as 255"):
        Segmentation(("background", "road"), ignored)


@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 8), (3, 2, 8, 8)])
@pytest.mark.parametrize("activation", ["none", "softmax", "log_softmax"])
def test_outputs_that_fit(shape, activation):
    TASK.check_output(Output("conv9", shape, activation))


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_one_channel_fits_two_classes(activation):
    PAIR.check_output(Output("conv9", (1, 2, 2), activation))


@pytest.mark.parametrize(
    ("task", "output", "message"),
    [
        (TASK, Output("fc", (3,)), "output fc is 3, not a map for each class; end it with a convolution of 3 filters"),
        (TASK, Output("x", (3, 1, 1, 1, 1)), "output x is 3x1x1x1x1, not a map for each class"),
        (
            TASK,
            Output("x", (4, 2, 2)),
            r"output x has 4 channels, but there are 3 classes \(background, cat, dog\)",
        ),
        (TASK, SINGLE, "output conv9 has 1 channel, but there are 3 classes"),
        (TASK, Output("x", (3, 2, 2), "sigmoid"), "output x ends with Sigmoid, but one of 3 classes is right"),
        (PAIR, Output("x", (1, 2, 2), "softmax"), "output x is a softmax over one number"),
        (
            Segmentation(("background", "road"), 255),
            SINGLE,
            r"output conv9 has one channel, so no target can be ignored \(ignore_index=255\); give it two",
        ),
    ],
)
def test_outputs_that_do_not_fit(task, output, message):
    with pytest.raises(DataError, match=message):
        task.check_output(output)


def test_losses():
    assert TASK.default_loss(OUTPUT) == CrossEntropy()
    assert PAIR.default_loss(SINGLE) == BinaryCrossEntropy()
    with pytest.raises(TrainingError, match="Segmentation, which is trained with CrossEntropy or Dice, but"):
        TASK.check_loss(MeanSquaredError(), OUTPUT)
    ignoring = Segmentation(TASK.classes, 255)
    assert ignoring.default_loss(OUTPUT) == CrossEntropy(ignore_index=255)
    for loss in (CrossEntropy(ignore_index=255), Dice(ignore_index=255)):
        ignoring.check_loss(loss, OUTPUT)
    TASK.check_loss(CrossEntropy(ignore_index=255), OUTPUT)


@pytest.mark.parametrize("loss", [CrossEntropy, Dice])
@pytest.mark.parametrize(("ignored", "does"), [(None, "ignores none"), (-100, "ignores -100")])
def test_the_loss_ignores_what_the_task_ignores(loss, ignored, does):
    with pytest.raises(
        TrainingError,
        match=f"the task ignores the target 255, but {loss.__name__} {does}; give it ignore_index=255, or leave the "
        "loss out",
    ):
        Segmentation(TASK.classes, 255).check_loss(loss(ignore_index=ignored), OUTPUT)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4), (2, 3, 4, 5)])
def test_masks_stay_in_their_integer_type(shape):
    masks = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) % 3
    checked = TASK.check_targets(masks, 2, Output("conv9", (3, *shape[1:])))
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked, masks)
    for_loss = TASK.loss_targets(checked, OUTPUT)
    assert for_loss.dtype == np.int64
    np.testing.assert_array_equal(for_loss, masks)


def test_the_binary_loss_gets_the_second_class():
    masks = PAIR.check_targets(np.array([[[True, False], [False, True]]]), 1)
    assert masks.dtype == np.uint8
    for_loss = PAIR.loss_targets(masks, SINGLE)
    assert for_loss.dtype == np.float32
    assert for_loss.tolist() == [[[[1, 0], [0, 1]]]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [0, 1],
            r"masks have the shape 2; give a class index for each position: \(N, H, W\), \(N, L\) or",
        ),
        (np.zeros((2, 1, 1, 1, 1), int), "masks have the shape 2x1x1x1x1"),
        (np.zeros((3, 2, 2), int), "there are 2 samples, but 3 masks"),
        (np.zeros((2, 4, 2), int), "a mask is 4x2, but the network's output conv9 has 2x2 positions; resize the masks"),
        (np.zeros((2, 2, 2)), r"masks must be whole numbers \(class indices\), but they are float64"),
        ([[[0, 0], [0, 0]], [[0, 255], [0, 0]]], "sample 1 has the class 255, but the 3 classes .*; for positions wit"),
        ([[[0, 0], [-1, 0]], [[0, 0], [0, 0]]], "sample 0 has the class -1"),
    ],
)
def test_masks_that_cannot_be_used(values, message):
    with pytest.raises(DataError, match=message):
        TASK.check_targets(values, 2, OUTPUT)


@pytest.mark.parametrize("ignored", [255, -100])
def test_a_target_that_is_ignored_is_no_class(ignored):
    task = Segmentation(TASK.classes, ignored)
    assert task.check_targets([[0, ignored, 2]], 1).tolist() == [[0, ignored, 2]]
    with pytest.raises(DataError, match=r"sample 0 has the class 7, but the 3 classes are numbered 0 to 2$"):
        task.check_targets([[0, ignored, 7]], 1)


@pytest.mark.parametrize(("classes", "kind"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_maps_have_the_smallest_type(classes, kind):
    task = Segmentation(tuple(map(str, range(classes))))
    values = np.zeros((1, classes, 2), np.float32)
    values[0, classes - 1, 1] = 1
    maps = task.decode(values, Output("conv9", (classes, 2)))
    assert maps.dtype == kind
    assert maps.tolist() == [[0, classes - 1]]


@pytest.mark.parametrize(("activation", "values"), [("none", [-1, 0, 1]), ("sigmoid", [0.25, 0.5, 0.75])])
def test_one_channel_of_two_classes(activation, values):
    output = Output("conv9", (1, 3), activation)
    given = np.array([[values]], np.float32)
    assert PAIR.decode(given, output).tolist() == [[0, 0, 1]]
    probabilities = PAIR.probabilities(given, output)
    assert probabilities.shape == (1, 2, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.argmax(axis=1).tolist() == [[0, 0, 1]]


def test_probabilities_are_over_the_channels():
    values = np.log([[[1.0, 2.0], [3.0, 2.0]]])
    expected = [[[0.25, 0.5], [0.75, 0.5]]]
    np.testing.assert_allclose(PAIR.probabilities(values, Output("conv9", (2, 2))), expected, rtol=1e-6)


def test_answers_are_shares_of_the_area():
    maps = np.array([[[2, 2], [0, 2]], [[1, 1], [0, 0]]], np.uint8)
    assert TASK.answers(maps) == [[("dog", 0.75), ("background", 0.25)], [("background", 0.5), ("cat", 0.5)]]

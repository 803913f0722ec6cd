"""Which losses fit which task, and losses of one's own by what they compare."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
import pytest

from foveate import CrossEntropy, Dice, TrainingError
from foveate.engines.targets import check_targets
from foveate.graph import Loss, built_in_losses
from foveate.tasks import Classification, MultiLabel, Output, Regression, Segmentation

PAIR, AREA = Classification(("a", "b")), Segmentation(("a", "b"))
BINARY = {"BinaryCrossEntropy", "Focal"}
CASES = {
    "classification": (PAIR, Output("fc", (2,)), {"CrossEntropy"}, {"classes", "distributions"}),
    "one logit": (PAIR, Output("fc", (1,)), BINARY, {"probabilities"}),
    "multi-label": (MultiLabel(("a",)), Output("fc", (1,)), BINARY, {"probabilities"}),
    "regression": (Regression(("a",)), Output("fc", (1,)), {"MeanSquaredError", "L1", "Huber"}, {"numbers"}),
    "segmentation": (AREA, Output("conv", (2, 4, 4)), {"CrossEntropy", "Dice"}, {"classes"}),
    "one channel": (AREA, Output("conv", (1, 4, 4)), BINARY, {"probabilities"}),
}
KINDS = ("classes", "distributions", "probabilities", "numbers")


def of_ones_own(kind):
    """A loss that says which targets it compares."""

    @dataclass(frozen=True)
    class OwnLoss(Loss):
        targets: ClassVar = (kind,)

    return OwnLoss()


def accepts(task, loss, output):
    try:
        task.check_loss(loss, output)
    except TrainingError:
        return False
    return True


@pytest.mark.parametrize("case", CASES)
def test_by_name(case):
    task, output, fitting, _ = CASES[case]
    assert {loss.__name__ for loss in built_in_losses() if accepts(task, loss(), output)} == fitting
    assert set(task.fitting_losses(output)) == fitting
    assert type(task.default_loss(output)).__name__ == task.fitting_losses(output)[0]


@pytest.mark.parametrize("case", CASES)
def test_of_ones_own_by_what_it_compares(case):
    task, output, _, kinds = CASES[case]
    assert {kind for kind in KINDS if accepts(task, of_ones_own(kind), output)} == kinds


@pytest.mark.parametrize("loss", [CrossEntropy(), Dice()])
@pytest.mark.parametrize("activation", ["softmax", "log_softmax"])
def test_none_applies_what_the_network_has_applied(loss, activation):
    with pytest.raises(
        TrainingError, match=f"applies the softmax itself, .* conv already ends with {activation}; train the network"
    ):
        AREA.check_loss(loss, Output("conv", (2, 4, 4), activation))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("loss", ["mse", CrossEntropy, None])
def test_what_is_no_loss(case, loss):
    task, output, _, _ = CASES[case]
    with pytest.raises(TrainingError, match=r"the loss is .*; it must be a Loss, such as \w+\(\), or be left out"):
        task.check_loss(loss, output)


@pytest.mark.parametrize("case", CASES)
def test_engines_take_what_a_task_hands_to_each_of_its_losses(case):
    task, output, fitting, _ = CASES[case]
    positions = output.shape[1:]
    checked = task.check_targets(np.arange(6 * prod(positions)).reshape(6, *positions) % 2, 6, output)
    for loss in built_in_losses():
        if loss.__name__ in fitting:
            taken = check_targets(loss(), task.loss_targets(checked, output), 6, output.shape, np.float32)
            np.testing.assert_array_equal(taken.ravel(), checked.ravel())


def test_engines_take_shares_of_classes():
    output = Output("fc", (2,))
    checked = PAIR.check_targets([[0.25, 0.75], [1, 0]], 2)
    taken = check_targets(CrossEntropy(), PAIR.loss_targets(checked, output), 2, output.shape, np.float32)
    assert taken.tolist() == [[0.25, 0.75], [1, 0]]


def test_engines_ignore_what_a_task_ignores():
    task, output = Segmentation(("a", "b"), 255), Output("conv", (2, 3))
    checked = task.check_targets(np.array([[0, 255, 1]], np.uint8), 1, output)
    taken = check_targets(task.default_loss(output), task.loss_targets(checked, output), 1, output.shape, np.float32)
    assert taken.tolist() == [[0, -1, 1]]

"""Which losses fit which task, by the losses' names, and losses of one's own by what they compare."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from foveate import TrainingError
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
NAMES = ("CrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "L1", "Huber", "Dice", "Focal")
KINDS = ("classes", "distributions", "probabilities", "numbers")


def of_foveate(name):
    """A loss of that name, as foveate has it or will."""
    return type(name, (), {"__module__": "foveate.graph.losses"})()


def of_ones_own(kind):
    """A loss that says which targets it compares."""

    @dataclass(frozen=True)
    class OwnLoss:
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
    assert {name for name in NAMES if accepts(task, of_foveate(name), output)} == fitting
    assert set(task.fitting_losses(output)) == fitting
    assert type(task.default_loss(output)).__name__ == task.fitting_losses(output)[0]


@pytest.mark.parametrize("case", CASES)
def test_of_ones_own_by_what_it_compares(case):
    task, output, _, kinds = CASES[case]
    assert {kind for kind in KINDS if accepts(task, of_ones_own(kind), output)} == kinds


@pytest.mark.parametrize("case", CASES)
def test_of_ones_own_that_does_not_say_what_it_compares(case):
    task, output, _, _ = CASES[case]
    assert not accepts(task, object(), output)


@pytest.mark.parametrize("name", ["CrossEntropy", "Dice"])
@pytest.mark.parametrize("activation", ["softmax", "log_softmax"])
def test_none_applies_what_the_network_has_applied(name, activation):
    with pytest.raises(
        TrainingError, match=f"{name} applies softmax or sigmoid by itself, .* conv has had its {activation} already"
    ):
        AREA.check_loss(of_foveate(name), Output("conv", (2, 4, 4), activation))

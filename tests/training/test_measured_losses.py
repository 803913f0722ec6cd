"""The loss that an evaluation measures, for every loss, against PyTorch in float64: outputs as large as float32 has."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor

import foveate as fv
from foveate.data import Dataset, Preprocessing
from foveate.engines import Engine
from foveate.graph import built_in_losses
from foveate.tasks import Classification, MultiLabel, Regression, Segmentation
from foveate.training import Programs, evaluate

CLASSES = ("a", "b", "c")
PLAIN = Preprocessing((3, 1, 1), (0.0,) * 3, (1.0,) * 3)
LARGEST = float(np.finfo(np.float32).max)

OUTPUTS = {
    "ordinary": [[1.0, 0.8, -2.0], [0.5, -1.5, 2.0]],
    "where exponentials end": [[88.0, -88.0, 104.0], [-104.0, 89.0, -710.0]],
    "large": [[1e4, -3e4, 2e4], [-1e6, 1e6, 5e5]],
    "tiny": [[1e-30, -1e-38, 0.0], [-1e-7, 1e-7, 0.0]],
    "the largest": [[LARGEST, -LARGEST, 0.0], [1.0, LARGEST, LARGEST]],
}


class Compared(NamedTuple):
    """A loss with its task, targets of two samples, and PyTorch's function of outputs and targets."""

    loss: fv.Loss
    task: Any
    targets: Any
    theirs: Callable[[Tensor, Tensor], Tensor]


def focal(x: Tensor, t: Tensor) -> Tensor:
    """(1 - p_t)^2 times the cross-entropy, from logarithms alone."""
    yes, no = F.logsigmoid(x), F.logsigmoid(-x)
    return -(t * torch.exp(2 * no) * yes + (1 - t) * torch.exp(2 * yes) * no).mean()


def dice(x: Tensor, t: Tensor) -> Tensor:
    """1 - (2 overlap + 1) / (sum + 1), the mean over classes and samples."""
    found, wanted = x.softmax(1).flatten(2), F.one_hot(t, 3).movedim(-1, 1).flatten(2)
    return 1 - ((2 * (found * wanted).sum(2) + 1) / ((found + wanted).sum(2) + 1)).mean()


LABELS, YES_OR_NO, NUMBERS = [0, 1], [[1, 0, 1], [0, 0, 1]], [[0.5, -3.0, 1e4], [2.0, 0.0, -1e30]]
COMPARED = {
    "cross-entropy": Compared(fv.CrossEntropy(), Classification(CLASSES), LABELS, F.cross_entropy),
    "cross-entropy, smoothed": Compared(
        fv.CrossEntropy(0.1), Classification(CLASSES), LABELS, lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1)
    ),
    "binary cross-entropy": Compared(
        fv.BinaryCrossEntropy(), MultiLabel(CLASSES), YES_OR_NO, F.binary_cross_entropy_with_logits
    ),
    "focal": Compared(fv.Focal(alpha=None), MultiLabel(CLASSES), YES_OR_NO, focal),
    "dice": Compared(fv.Dice(), Segmentation(CLASSES), np.reshape(LABELS, (2, 1, 1)), dice),
    "mean squared error": Compared(fv.MeanSquaredError(), Regression(CLASSES), NUMBERS, F.mse_loss),
    "L1": Compared(fv.L1(), Regression(CLASSES), NUMBERS, F.l1_loss),
    "Huber": Compared(fv.Huber(), Regression(CLASSES), NUMBERS, F.huber_loss),
}


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("name", COMPARED)
def test_it_is_pytorchs(engine: Engine, name: str, outputs: list[list[float]]):
    loss, task, targets, theirs = COMPARED[name]
    last = [] if isinstance(task, Segmentation) else [fv.Flatten()]
    graph = fv.Sequential(fv.Conv2d(3, 1, bias=False), *last).build((3, 1, 1), quiet=True)
    state = engine.new_state(graph)
    state.load("conv1.weight", np.eye(3).reshape(3, 3, 1, 1))
    values = np.array(outputs, np.float32).reshape(2, 3, 1, 1)
    found = evaluate(state, Programs(engine, graph), Dataset(values, np.asarray(targets), task), PLAIN, loss=loss)
    x = torch.tensor(values if last == [] else values.reshape(2, 3), dtype=torch.float64)
    wanted = torch.tensor(targets, dtype=torch.int64 if "classes" in loss.targets else torch.float64)
    expected = float(theirs(x, wanted))
    assert found.loss == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_every_loss_is_compared():
    assert {type(compared.loss) for compared in COMPARED.values()} == set(built_in_losses())

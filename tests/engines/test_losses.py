"""Losses beside PyTorch's, what counts as correct, and what a loss refuses."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, StepResult
from foveate.graph import Graph, Loss
from foveate.layers import Layer, Shape
from tests.support import Array, bound, normal, relative_error, single_layer

WEIGHT = np.array([1.0, 0.0, 2.5, 0.5, 1.25])

TORCH: dict[Loss, Callable[..., torch.Tensor]] = {
    fv.CrossEntropy(): F.cross_entropy,
    fv.CrossEntropy(0.1): lambda x, t, **o: F.cross_entropy(x, t, label_smoothing=0.1, **o),
    fv.BinaryCrossEntropy(): F.binary_cross_entropy_with_logits,
    fv.MeanSquaredError(): F.mse_loss,
}


def stepped(
    engine: Engine, loss: Loss, x: Array, targets: Any, sample_weight: Array | None = None
) -> tuple[StepResult, Array]:
    """One step of a network whose output is its input: the result, and the gradient of the output."""
    graph = single_layer(fv.Dropout(0.0), x.shape[1:])
    program = engine.compile(graph, batch_size=len(x), mode="training", loss=loss, keep=("input",))
    return program.step(engine.new_state(graph), x, targets, sample_weight=sample_weight), program.gradient("input")


def random_targets(loss: Loss, shape: Shape) -> Array:
    random = np.random.default_rng(4)
    if isinstance(loss, fv.CrossEntropy):
        return random.integers(0, shape[1], shape[0])
    return random.uniform(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 1), (5, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("loss", TORCH, ids=repr)
def test_a_loss_and_its_gradient_are_pytorchs(any_engine: Engine, loss: Loss, shape: Shape, weighted: bool):
    if isinstance(loss, fv.CrossEntropy) and len(shape) > 2:
        return
    x, targets = 3 * normal(shape), random_targets(loss, shape)
    tensor = torch.tensor(x, requires_grad=True)
    wanted = torch.tensor(targets if targets.dtype.kind == "i" else targets.astype(np.float64))
    each = TORCH[loss](tensor, wanted, reduction="none").reshape(5, -1).mean(1)
    weight = torch.tensor(WEIGHT if weighted else np.ones(5))
    expected = (each * weight).sum() / weight.sum()
    (gradient,) = torch.autograd.grad(expected, tensor)
    result, ours = stepped(any_engine, loss, x, targets, WEIGHT if weighted else None)
    limit = bound(any_engine, double=1e-12, single=1e-6)
    assert relative_error(result.loss, expected.detach()) <= limit
    assert relative_error(ours, gradient) <= limit


def test_the_mean_of_binary_cross_entropy_is_pytorchs_own(any_engine: Engine):
    x, targets = normal((4, 6)), np.eye(4, 6)
    expected = F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(targets))
    assert stepped(any_engine, fv.BinaryCrossEntropy(), x, targets)[0].loss == pytest.approx(float(expected), rel=1e-5)


def test_binary_cross_entropy_of_huge_logits_is_finite(any_engine: Engine):
    result, gradient = stepped(any_engine, fv.BinaryCrossEntropy(), np.array([[1e4, -1e4, 1e4]]), [[1, 1, 0]])
    assert result.loss == pytest.approx(2e4 / 3)
    assert gradient[0] == pytest.approx([0, -1 / 3, 1 / 3])


def test_a_sample_is_correct_when_each_of_its_outputs_is_on_its_side_of_zero(any_engine: Engine):
    x = np.array([[1.0, -1.0], [1.0, 1.0], [-2.0, 3.0], [-1.0, -1.0]])
    targets = np.array([[1, 0], [1, 0], [0, 0.9], [1, 1]])
    assert stepped(any_engine, fv.BinaryCrossEntropy(), x, targets)[0].correct == 2


def test_of_squared_errors_none_is_correct(any_engine: Engine):
    assert stepped(any_engine, fv.MeanSquaredError(), np.ones((3, 2)), np.ones((3, 2)))[0] == StepResult(0.0, 0)


@pytest.mark.parametrize("loss", [fv.BinaryCrossEntropy(), fv.MeanSquaredError()], ids=repr)
def test_a_single_output_takes_one_number_a_sample(any_engine: Engine, loss: Loss):
    x, targets = normal((4, 1)), np.array([0, 1, 1, 0])
    one, column = (stepped(any_engine, loss, x, t) for t in (targets, targets[:, None]))
    assert one[0] == column[0]
    assert np.array_equal(one[1], column[1])


@pytest.mark.parametrize("loss", [fv.BinaryCrossEntropy(), fv.MeanSquaredError()], ids=repr)
def test_a_network_learns_numbers(engine: Engine, loss: Loss):
    graph = fv.Sequential(fv.Conv2d(4, 3, padding=1), fv.ReLU(), fv.Flatten(), fv.Linear(2)).build((1, 4, 4))
    program = engine.compile(graph, batch_size=8, mode="training", loss=loss, optimizer=fv.SGD())
    state = engine.new_state(graph, fv.SGD())
    x, targets = normal((8, 1, 4, 4)), np.random.default_rng(0).integers(0, 2, (8, 2))
    losses = [program.step(state, x, targets, learning_rate=0.1).loss for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]


REFUSED: dict[str, tuple[Loss, Any, str]] = {
    "binary, class indices": (
        fv.BinaryCrossEntropy(),
        [0, 1],
        "BinaryCrossEntropy compares each output with its target: targets must have the shape 2x3 (batch first), but "
        "they have 2",
    ),
    "squared, one number": (
        fv.MeanSquaredError(),
        1.0,
        "MeanSquaredError compares each output with its target: targets must have the shape 2x3 (batch first), but "
        "they have no axes",
    ),
    "binary, above 1": (
        fv.BinaryCrossEntropy(),
        [[0, 1, 2], [0, 0, 0]],
        "BinaryCrossEntropy needs targets from 0 to 1, but there is 2",
    ),
    "binary, below 0": (
        fv.BinaryCrossEntropy(),
        [[0, 1, -0.5], [0, 0, 0]],
        "BinaryCrossEntropy needs targets from 0 to 1, but there is -0.5",
    ),
    "squared, not a number": (
        fv.MeanSquaredError(),
        [[0, 1, np.nan], [0, 0, 0]],
        "MeanSquaredError needs finite targets, but some are NaN or infinite",
    ),
    "squared, words": (
        fv.MeanSquaredError(),
        [["a", "b", "c"], ["d", "e", "f"]],
        "MeanSquaredError needs numbers as targets, but they are <U1",
    ),
    "classes, numbers": (
        fv.CrossEntropy(),
        [0.5, 1.0],
        "labels must be whole numbers (class indices), but they are float64",
    ),
}


@pytest.mark.parametrize(("loss", "targets", "sentence"), REFUSED.values(), ids=REFUSED)
def test_targets_that_a_loss_cannot_take_are_refused(engine: Engine, loss: Loss, targets: Any, sentence: str):
    with pytest.raises(fv.DataError, match=f"^{re.escape(sentence)}$"):
        stepped(engine, loss, np.zeros((2, 3)), targets)


def ending_in(layer: Layer) -> Graph:
    return fv.Sequential(fv.Linear(3), layer).build((2,))


@pytest.mark.parametrize(
    ("layer", "loss", "sentence"),
    [
        (
            fv.Softmax(),
            fv.CrossEntropy(),
            "CrossEntropy applies the softmax itself, and the network's output softmax1 is a Softmax already: remove "
            "softmax1, so that the loss gets logits",
        ),
        (
            fv.LogSoftmax(),
            fv.CrossEntropy(),
            "CrossEntropy applies the softmax itself, and the network's output log_softmax1 is a LogSoftmax already: "
            "remove log_softmax1, so that the loss gets logits",
        ),
        (
            fv.Sigmoid(),
            fv.BinaryCrossEntropy(),
            "BinaryCrossEntropy applies the sigmoid itself, and the network's output sigmoid1 is a Sigmoid already: "
            "remove sigmoid1, so that the loss gets logits",
        ),
    ],
    ids=["Softmax", "LogSoftmax", "Sigmoid"],
)
def test_probabilities_before_a_loss_of_logits_are_refused(engine: Engine, layer: Layer, loss: Loss, sentence: str):
    with pytest.raises(fv.EngineError, match=f"^{re.escape(sentence)}$"):
        engine.compile(ending_in(layer), batch_size=2, mode="training", loss=loss)


def test_probabilities_are_welcome_before_a_squared_error_and_in_inference(engine: Engine):
    engine.compile(ending_in(fv.Softmax()), batch_size=2, mode="training", loss=fv.MeanSquaredError())
    engine.compile(ending_in(fv.Softmax()), batch_size=2, mode="inference")


def test_cross_entropy_needs_one_number_for_each_class(engine: Engine):
    graph = single_layer(fv.ReLU(), (3, 4, 4))
    with pytest.raises(
        fv.EngineError, match="needs one number for each class, but the network's output layer is 3x4x4"
    ):
        engine.compile(graph, batch_size=2, mode="training", loss=fv.CrossEntropy())

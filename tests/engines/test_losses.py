"""Losses beside PyTorch's, what counts as correct, and what a loss refuses."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph, Loss
from foveate.layers import Layer, Shape
from tests.support import Array, bound, normal, relative_error, single_layer, stepped

WEIGHT = np.array([1.0, 0.0, 2.5, 0.5, 1.25])

TORCH: dict[Loss, Callable[..., torch.Tensor]] = {
    fv.CrossEntropy(): F.cross_entropy,
    fv.CrossEntropy(0.1): lambda x, t, **o: F.cross_entropy(x, t, label_smoothing=0.1, **o),
    fv.BinaryCrossEntropy(): F.binary_cross_entropy_with_logits,
    fv.BinaryCrossEntropy(2.5): lambda x, t, **o: F.binary_cross_entropy_with_logits(
        x, t, pos_weight=torch.tensor(2.5, dtype=torch.float64), **o
    ),
    fv.MeanSquaredError(): F.mse_loss,
    fv.L1(): F.l1_loss,
    fv.Huber(): F.huber_loss,
    fv.Huber(0.3): lambda x, t, **o: F.huber_loss(x, t, delta=0.3, **o),
    fv.Focal(): lambda x, t, **o: focal_in_torch(fv.Focal(), x, t),
    fv.Focal(0.0): lambda x, t, **o: focal_in_torch(fv.Focal(0.0), x, t),
    fv.Focal(0.5, 0.25): lambda x, t, **o: focal_in_torch(fv.Focal(0.5, 0.25), x, t),
}


def focal_in_torch(loss: fv.Focal, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """As torchvision's sigmoid_focal_loss spells it."""
    p = torch.sigmoid(x)
    right = p * t + (1 - p) * (1 - t)
    plain = F.binary_cross_entropy_with_logits(x, t, reduction="none") * (1 - right) ** loss.gamma
    return plain if loss.alpha is None else (loss.alpha * t + (1 - loss.alpha) * (1 - t)) * plain


def random_targets(loss: Loss, shape: Shape) -> Array:
    random = np.random.default_rng(4)
    if isinstance(loss, fv.CrossEntropy):
        return random.integers(0, shape[1], (shape[0], *shape[2:]))
    return random.uniform(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 1), (5, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("loss", TORCH, ids=repr)
def test_a_loss_and_its_gradient_are_pytorchs(any_engine: Engine, loss: Loss, shape: Shape, weighted: bool):
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


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (5, 3, 2, 4)], ids=str)
def test_each_question_may_have_its_own_pos_weight(any_engine: Engine, shape: Shape):
    loss, x = fv.BinaryCrossEntropy((0.5, 3.0, 0.0)), 3 * normal(shape)
    targets = random_targets(loss, shape)
    tensor, weight = torch.tensor(x, requires_grad=True), torch.tensor([0.5, 3.0, 0.0], dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(
        tensor, torch.tensor(targets.astype(np.float64)), pos_weight=weight.reshape(-1, *(1,) * (len(shape) - 2))
    )
    (gradient,) = torch.autograd.grad(expected, tensor)
    result, ours = stepped(any_engine, loss, x, targets)
    limit = bound(any_engine, double=1e-12, single=1e-6)
    assert relative_error(result.loss, expected.detach()) <= limit
    assert relative_error(ours, gradient) <= limit


def dice_in_torch(loss: fv.Dice, x: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    targets = targets.reshape(len(targets), -1)
    counts = targets != loss.ignore_index
    wanted = F.one_hot(torch.where(counts, targets, 0), x.shape[1]).movedim(-1, 1) * counts[:, None]
    found = torch.softmax(x.reshape(*x.shape[:2], -1), 1) * counts[:, None]
    overlap = 2 * (found * wanted).sum(2) + loss.smooth
    each = 1 - (overlap / (found.sum(2) + wanted.sum(2) + loss.smooth)).mean(1)
    weight = weight * counts.any(1)
    return (each * weight).sum() / weight.sum()


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("shape", [(5, 4), (5, 3, 6), (5, 4, 6, 7), (5, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("loss", [fv.Dice(ignore_index=255), fv.Dice(1e-3, -1)], ids=repr)
def test_dice_and_its_gradient_are_those_of_its_formula(
    any_engine: Engine, loss: fv.Dice, shape: Shape, weighted: bool
):
    x, targets = 3 * normal(shape), random_targets(fv.CrossEntropy(), shape)
    targets = np.where(np.random.default_rng(2).uniform(size=targets.shape) < 0.2, loss.ignore_index, targets)
    targets[3] = loss.ignore_index
    weight = WEIGHT if weighted else np.ones(5)
    tensor = torch.tensor(x, requires_grad=True)
    expected = dice_in_torch(loss, tensor, torch.tensor(targets), torch.tensor(weight))
    (gradient,) = torch.autograd.grad(expected, tensor)
    result, ours = stepped(any_engine, loss, x, targets, WEIGHT if weighted else None)
    limit = bound(any_engine, double=1e-12, single=1e-6)
    assert relative_error(result.loss, expected.detach()) <= limit
    assert relative_error(ours, gradient) <= limit
    counts = targets != loss.ignore_index
    assert (result.correct, result.counted) == ((counts & (x.argmax(1) == targets)).sum(), counts.sum())


def test_dice_of_a_perfect_answer_is_nothing_and_of_a_wrong_one_nearly_all(any_engine: Engine):
    targets = np.random.default_rng(0).integers(0, 2, (1, 100))
    x = 100.0 * np.moveaxis(np.eye(2)[targets], -1, 1)
    assert stepped(any_engine, fv.Dice(), x, targets)[0].loss == pytest.approx(0, abs=1e-6)
    assert stepped(any_engine, fv.Dice(), x, 1 - targets)[0].loss == pytest.approx(1 - 1 / 101)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_focal_loss_of_huge_logits_is_finite(any_engine: Engine, gamma: float):
    result, gradient = stepped(any_engine, fv.Focal(gamma), np.array([[1e4, -1e4, 1e4]]), [[1, 1, 0]])
    assert result.loss == pytest.approx(2e4 / 3)
    assert gradient[0] == pytest.approx([0, -1 / 3, 1 / 3])


@pytest.mark.parametrize("loss", [fv.BinaryCrossEntropy(), fv.BinaryCrossEntropy(2.0), fv.Focal()], ids=repr)
def test_an_infinite_logit_on_the_right_side_costs_nothing(any_engine: Engine, loss: Loss):
    result, gradient = stepped(any_engine, loss, np.array([[np.inf, -np.inf]]), [[1, 0]])
    assert (result.loss, result.correct, result.counted) == (0.0, 1, 1)
    assert not gradient.any()


def test_the_slope_of_no_difference_is_zero(any_engine: Engine):
    for loss in (fv.L1(), fv.Huber(), fv.MeanSquaredError()):
        result, gradient = stepped(any_engine, loss, np.ones((2, 3)), np.ones((2, 3)))
        assert result.loss == 0.0
        assert not gradient.any()


@pytest.mark.parametrize("loss", [loss for loss in TORCH if loss.targets != ("classes", "distributions")], ids=repr)
def test_nan_goes_through_a_loss(any_engine: Engine, loss: Loss):
    result, gradient = stepped(any_engine, loss, np.array([[np.nan, 0.5], [1.0, 2.0]]), np.ones((2, 2)))
    assert np.isnan(result.loss)
    assert np.isnan(gradient).tolist() == [[True, False], [False, False]]


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
    assert stepped(any_engine, fv.Focal(), x, targets)[0].correct == 2
    assert stepped(any_engine, fv.BinaryCrossEntropy(), x, targets)[0].counted == 4


def test_of_squared_errors_none_is_correct(any_engine: Engine):
    assert stepped(any_engine, fv.MeanSquaredError(), np.ones((3, 2)), np.ones((3, 2)))[0][:3] == (0.0, 0, 0)


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


@pytest.mark.parametrize(
    ("loss", "shape", "sentence"),
    [
        (
            fv.CrossEntropy(class_weights=(1, 2)),
            (3, 4),
            "CrossEntropy has 2 class_weights, but the network's output layer has 3 classes; give one weight for each "
            "class",
        ),
        (
            fv.BinaryCrossEntropy((1, 2)),
            (3,),
            "BinaryCrossEntropy has 2 numbers as pos_weight, but the network's output layer has 3 channels; give one "
            "for each, or a single number for all",
        ),
        (
            fv.Dice(),
            (1, 4, 4),
            "Dice compares mutually exclusive classes, but the network's output layer is 1x4x4: one channel only. "
            "Give it 2 channels, background and object",
        ),
        (
            "mse",
            (3,),
            "the loss of layer is 'mse'; it must be a Loss, such as CrossEntropy(), or your own class derived from "
            "foveate.Loss",
        ),
    ],
    ids=["class weights", "pos_weight", "Dice", "a word"],
)
def test_an_output_that_a_loss_cannot_compare_is_refused(engine: Engine, loss: Any, shape: Shape, sentence: str):
    graph = single_layer(fv.ReLU(), shape)
    with pytest.raises(fv.EngineError, match=f"^{re.escape(sentence)}$"):
        engine.compile(graph, batch_size=2, mode="training", loss=loss)


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
            "CrossEntropy applies the softmax itself, but the network's output softmax1 is already a Softmax: remove "
            "softmax1, so that the loss gets logits",
        ),
        (
            fv.LogSoftmax(),
            fv.CrossEntropy(),
            "CrossEntropy applies the softmax itself, but the network's output log_softmax1 is already a LogSoftmax: "
            "remove log_softmax1, so that the loss gets logits",
        ),
        (
            fv.Softmax(),
            fv.Dice(),
            "Dice applies the softmax itself, but the network's output softmax1 is already a Softmax: remove "
            "softmax1, so that the loss gets logits",
        ),
        (
            fv.Sigmoid(),
            fv.Focal(),
            "Focal applies the sigmoid itself, but the network's output sigmoid1 is already a Sigmoid: remove "
            "sigmoid1, so that the loss gets logits",
        ),
        (
            fv.Sigmoid(),
            fv.BinaryCrossEntropy(),
            "BinaryCrossEntropy applies the sigmoid itself, but the network's output sigmoid1 is already a Sigmoid: "
            "remove sigmoid1, so that the loss gets logits",
        ),
    ],
    ids=["Softmax", "LogSoftmax", "Softmax, Dice", "Sigmoid, Focal", "Sigmoid"],
)
def test_probabilities_before_a_loss_of_logits_are_refused(engine: Engine, layer: Layer, loss: Loss, sentence: str):
    with pytest.raises(fv.EngineError, match=f"^{re.escape(sentence)}$"):
        engine.compile(ending_in(layer), batch_size=2, mode="training", loss=loss)


def test_probabilities_are_welcome_before_a_squared_error_and_in_inference(engine: Engine):
    engine.compile(ending_in(fv.Softmax()), batch_size=2, mode="training", loss=fv.MeanSquaredError())
    engine.compile(ending_in(fv.Softmax()), batch_size=2, mode="inference")

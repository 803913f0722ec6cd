"""Cross-entropy with all its options, at every position, beside PyTorch's."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, get_engine, set_threads
from foveate.engines.native import _native
from foveate.graph import Loss
from tests.support import Array, bound, normal, relative_error, stepped

POSITIONS = [(), (4,), (5, 7), (2, 3, 4)]
CLASSES, BATCH = 6, 4
CLASS_WEIGHTS = (0.5, 2.0, 0.0, 1.0, 1.5, 3.0)
IGNORED = 255
SAMPLE_WEIGHTS = {
    "equal": None,
    "all 2.5": np.full(BATCH, 2.5),
    "different": np.array([1.0, 0.0, 2.5, 0.5]),
}


def labels(positions: tuple[int, ...], ignored: int | None = None) -> Array:
    random = np.random.default_rng(5)
    drawn = random.integers(0, CLASSES, (BATCH, *positions))
    drawn.flat[0] = 2  # the class that weighs nothing
    return drawn if ignored is None else np.where(random.uniform(size=drawn.shape) < 0.3, ignored, drawn)


def soft_labels(positions: tuple[int, ...]) -> Array:
    drawn = np.random.default_rng(6).uniform(0, 1, (BATCH, CLASSES, *positions)).astype(np.float32).astype(np.float64)
    return (drawn / drawn.sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


def in_torch(loss: fv.CrossEntropy, x: Array, targets: Array, sample_weight: Array | None) -> tuple[float, Array]:
    """The loss and its gradient: PyTorch's own mean, or the weighted mean of its losses at each position."""
    logits, wanted = torch.tensor(x, requires_grad=True), torch.tensor(targets)
    weight = torch.tensor(loss.class_weights or (1.0,) * CLASSES, dtype=torch.float64)
    ignored = -100 if loss.ignore_index is None else loss.ignore_index
    options: dict[str, Any] = {"weight": weight, "label_smoothing": loss.label_smoothing, "ignore_index": ignored}
    if sample_weight is None or len(set(sample_weight)) == 1:
        value = F.cross_entropy(logits, wanted, **options)
    else:
        each = F.cross_entropy(logits, wanted, reduction="none", **options)
        of_sample = torch.tensor(sample_weight).reshape(-1, *(1,) * (each.ndim - 1)).expand(each.shape)
        share = of_sample
        if targets.dtype.kind == "i":
            share = of_sample * torch.where(wanted == ignored, 0, weight[torch.where(wanted == ignored, 0, wanted)])
        value = (of_sample * each).sum() / share.sum()
    (gradient,) = torch.autograd.grad(value, logits)
    return value.item(), gradient.numpy()


@pytest.mark.parametrize("sample_weight", SAMPLE_WEIGHTS.values(), ids=SAMPLE_WEIGHTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, CLASS_WEIGHTS], ids=["plain", "class weights"])
@pytest.mark.parametrize("ignored", [None, IGNORED, -100, 1], ids="ignore {}".format)
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_every_combination_of_options_is_pytorchs(
    any_engine: Engine,
    positions: tuple[int, ...],
    ignored: int | None,
    weights: tuple[float, ...] | None,
    smoothing: float,
    sample_weight: Array | None,
):
    loss = fv.CrossEntropy(smoothing, weights, ignored)
    x, targets = 3 * normal((BATCH, CLASSES, *positions)), labels(positions, ignored)
    value, gradient = in_torch(loss, x, targets, sample_weight)
    result, ours = stepped(any_engine, loss, x, targets, sample_weight)
    limit = bound(any_engine, double=1e-12, single=1e-6)
    assert relative_error(result.loss, value) <= limit
    assert relative_error(ours, gradient) <= limit


@pytest.mark.parametrize("sample_weight", SAMPLE_WEIGHTS.values(), ids=SAMPLE_WEIGHTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, CLASS_WEIGHTS], ids=["plain", "class weights"])
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_soft_labels_are_pytorchs(
    any_engine: Engine,
    positions: tuple[int, ...],
    weights: tuple[float, ...] | None,
    smoothing: float,
    sample_weight: Array | None,
):
    loss = fv.CrossEntropy(smoothing, weights)
    x, targets = 3 * normal((BATCH, CLASSES, *positions)), soft_labels(positions)
    value, gradient = in_torch(loss, x, targets, sample_weight)
    result, ours = stepped(any_engine, loss, x, targets, sample_weight)
    limit = bound(any_engine, double=1e-12, single=1e-6)
    assert relative_error(result.loss, value) <= limit
    assert relative_error(ours, gradient) <= limit


def test_one_program_takes_class_indices_and_soft_labels_in_turn(any_engine: Engine):
    graph = fv.Sequential(fv.Dropout(0.0)).build((CLASSES, 3))
    program = any_engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy())
    state, x, hard = any_engine.new_state(graph), normal((BATCH, CLASSES, 3)), labels((3,))
    soft = np.moveaxis(np.eye(CLASSES)[hard], -1, 1)
    first, second, third = (program.step(state, x, targets) for targets in (hard, soft, hard))
    assert first == third
    assert second.loss == pytest.approx(first.loss, rel=1e-6)
    assert (second.correct, second.counted) == (first.correct, first.counted)


def test_accuracy_is_the_correct_among_the_positions_that_count(any_engine: Engine):
    x, targets = normal((BATCH, CLASSES, 5, 7)), labels((5, 7), IGNORED)
    result, _ = stepped(any_engine, fv.CrossEntropy(ignore_index=IGNORED), x, targets)
    assert result.counted == (targets != IGNORED).sum() < targets.size
    assert result.correct == (x.argmax(axis=1) == targets).sum() > 0


def test_the_accuracy_of_soft_labels_is_that_of_their_largest(any_engine: Engine):
    x, targets = normal((BATCH, CLASSES, 9)), soft_labels((9,))
    result, _ = stepped(any_engine, fv.CrossEntropy(), x, targets)
    assert (result.correct, result.counted) == ((x.argmax(axis=1) == targets.argmax(axis=1)).sum(), BATCH * 9)


# What does not count


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", ["CrossEntropy", "Dice"])
@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_a_batch_of_ignored_targets_has_no_loss_and_no_gradient(
    any_engine: Engine, positions: tuple[int, ...], loss: str, smoothing: float
):
    chosen = fv.CrossEntropy(smoothing, None, IGNORED) if loss == "CrossEntropy" else fv.Dice(1 + smoothing, IGNORED)
    x, targets = normal((BATCH, CLASSES, *positions)), np.full((BATCH, *positions), IGNORED)
    result, gradient = stepped(any_engine, chosen, x, targets)
    assert (result.loss, result.correct, result.counted) == (0.0, 0, 0)
    assert not gradient.any()


def test_after_a_batch_of_ignored_targets_momentum_and_weight_decay_go_on(any_engine: Engine):
    graph, optimizer = fv.Sequential(fv.Linear(3)).build((2,)), fv.SGD(momentum=0.5, nesterov=False, weight_decay=0.1)
    loss = fv.CrossEntropy(ignore_index=9)
    program = any_engine.compile(graph, batch_size=2, mode="training", loss=loss, optimizer=optimizer)
    state = any_engine.new_state(graph, optimizer)
    program.step(state, normal((2, 2)), [0, 1], learning_rate=0.1)
    weight, moving = state.read("linear1.weight"), state.read("momentum/linear1.weight")
    program.step(state, normal((2, 2)), [9, 9], learning_rate=0.1)
    assert state.read("linear1.weight") == pytest.approx(weight - 0.1 * (0.5 * moving + 0.1 * weight), rel=1e-6)


def test_where_only_classes_without_weight_are_there_nothing_is_lost(any_engine: Engine):
    x, targets = normal((2, 3)), [1, 1]
    result, gradient = stepped(any_engine, fv.CrossEntropy(0.1, (1.0, 0.0, 1.0)), x, targets)
    assert (result.loss, result.counted) == (0.0, 2)
    assert not gradient.any()


# Infinite logits


@pytest.mark.parametrize("target", [0, 1])
def test_an_infinite_logit_of_another_class_costs_nothing(any_engine: Engine, target: int):
    x = np.array([[1.0, np.float32(0.8), -np.inf]])
    value, gradient = in_torch_plain(x, [target], 0.0)
    result, ours = stepped(any_engine, fv.CrossEntropy(), x, [target])
    assert result.loss == pytest.approx(value, rel=1e-6)
    assert relative_error(ours, gradient) <= 1e-6


def test_an_infinite_logit_costs_nothing_where_a_soft_label_gives_it_no_share(any_engine: Engine):
    x = np.array([[1.0, np.float32(0.8), -np.inf]])
    soft, hard = (stepped(any_engine, fv.CrossEntropy(), x, targets) for targets in ([[0.0, 1.0, 0.0]], [1]))
    assert soft[0].loss == pytest.approx(hard[0].loss)
    assert soft[1] == pytest.approx(hard[1])


def test_label_smoothing_wants_a_share_of_every_class(any_engine: Engine):
    x = np.array([[1.0, np.float32(0.8), -np.inf]])
    value, gradient = in_torch_plain(x, [0], 0.1)
    result, ours = stepped(any_engine, fv.CrossEntropy(0.1), x, [0])
    assert result.loss == value == np.inf
    assert relative_error(ours, gradient) <= 1e-6


@pytest.mark.parametrize("loss", [fv.CrossEntropy(ignore_index=7), fv.Dice(ignore_index=7)], ids=repr)
def test_infinite_logits_of_ignored_targets_cost_nothing(any_engine: Engine, loss: Loss):
    x = np.array([[1.0, np.float32(0.8), 0.3], [0.0, -np.inf, 1.0]])
    (alone, of_alone), (result, gradient) = stepped(any_engine, loss, x[:1], [0]), stepped(any_engine, loss, x, [0, 7])
    assert result == alone
    assert np.array_equal(gradient, [of_alone[0], [0, 0, 0]])


def in_torch_plain(x: Array, targets: list[int], smoothing: float) -> tuple[float, Array]:
    logits = torch.tensor(x, requires_grad=True)
    value = F.cross_entropy(logits, torch.tensor(targets), label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.item(), gradient.numpy()


# Threads


@pytest.fixture(name="threads")
def _threads() -> Iterator[None]:
    """The number of threads as it was before, afterwards."""
    before = _native.threads()
    yield
    set_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "loss", [fv.CrossEntropy(0.1, (1.0,) * 20 + (2.0,), 3), fv.Dice(1.0, 3), fv.BinaryCrossEntropy(3.0)], ids=repr
)
def test_any_number_of_threads_gives_the_same_bits(loss: Loss):
    x = normal((3, 21, 40, 33))
    targets = np.random.default_rng(0).integers(0, 21, (3, 40, 33)) if "classes" in loss.targets else x > 0
    runs = []
    for threads in (1, 2, 3):
        set_threads(threads)
        runs.append(stepped(get_engine("native"), loss, x, targets))
    assert runs[0][0] == runs[1][0] == runs[2][0]
    assert np.array_equal(runs[0][1], runs[1][1])
    assert np.array_equal(runs[0][1], runs[2][1])


# What is refused

AT_POSITIONS = (
    "the network's output is 3x4x5, 3 classes at 4x5 positions: labels must have the shape 2x4x5 (batch first), but "
    "they have "
)
REFUSED: dict[str, tuple[Loss, tuple[int, ...], Any, str]] = {
    "one class a sample at positions": (
        fv.CrossEntropy(),
        (2, 3, 4, 5),
        [0, 1],
        AT_POSITIONS
        + "2. For one class per sample end the network with Flatten or a global pooling, and Linear(classes)",
    ),
    "positions in another order": (
        fv.Dice(),
        (2, 3, 4, 5),
        np.zeros((2, 5, 4), int),
        AT_POSITIONS + "2x5x4",
    ),
    "one-hot": (
        fv.CrossEntropy(),
        (2, 3),
        np.eye(2, 3, dtype=int),
        "there are 2 samples, but labels of shape 2x3. If they are numbers for each class, take "
        "targets.argmax(axis=1) (as soft labels they must be floats)",
    ),
    "a single label": (fv.CrossEntropy(), (2, 3), 1, "there are 2 samples, but labels of shape one number"),
    "fractions at positions": (
        fv.CrossEntropy(),
        (2, 3, 4),
        np.zeros((2, 4)),
        "labels must be whole numbers (class indices), but they are float64",
    ),
    "a class too many": (
        fv.CrossEntropy(),
        (2, 3, 4),
        np.full((2, 4), 3),
        "label 3 is outside 0 to 2: the network's output has 3 classes",
    ),
    "ignored by nobody": (
        fv.CrossEntropy(ignore_index=255),
        (2, 3),
        [0, -1],
        "label -1 is outside 0 to 2: the network's output has 3 classes, and 255 is ignored",
    ),
    "soft labels that ignore": (
        fv.CrossEntropy(ignore_index=255),
        (2, 3),
        np.full((2, 3), 1 / 3),
        "CrossEntropy has ignore_index=255, which cannot be used with soft labels: leave it out, and set "
        "sample_weight to 0 for samples to ignore",
    ),
    "soft labels of Dice": (
        fv.Dice(),
        (2, 3),
        np.full((2, 3), 1 / 3),
        "there are 2 samples, but labels of shape 2x3. If they are numbers for each class, take targets.argmax(axis=1)",
    ),
    "soft labels above 1": (
        fv.CrossEntropy(),
        (2, 3),
        np.full((2, 3), 1.5),
        "CrossEntropy needs targets from 0 to 1, but there is 1.5",
    ),
    "soft labels of other positions": (
        fv.CrossEntropy(),
        (2, 3, 4),
        np.full((2, 3, 5), 0.5),
        "CrossEntropy compares each output with its target: targets must have the shape 2x3x4 (batch first), but they "
        "have 2x3x5",
    ),
}


@pytest.mark.parametrize(("loss", "shape", "targets", "sentence"), REFUSED.values(), ids=REFUSED)
def test_labels_that_do_not_fit_the_output_are_refused(
    engine: Engine, loss: Loss, shape: tuple[int, ...], targets: Any, sentence: str
):
    with pytest.raises(fv.DataError, match=f"^{re.escape(sentence)}$"):
        stepped(engine, loss, np.zeros(shape), targets)

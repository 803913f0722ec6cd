"""A loss of one's own, taught to every engine by `register_loss`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine, register_loss
from foveate.engines.losses import LOSSES
from foveate.graph import loss_from_json
from foveate.graph.losses import Loss, TargetKind, built_in_losses, registry
from foveate.testing import check_loss_gradient
from tests.support import Array, bound, normal, relative_error, stepped


@dataclass(frozen=True)
class LogCosh(fv.Loss):
    """log cosh(sharpness (x - t)) / sharpness, averaged over outputs, then over samples by weight."""

    sharpness: float = 1.0


@dataclass(frozen=True)
class Margin(fv.Loss):
    """max(0, margin - x[t] + x[k]) for every other class k, averaged over the positions that count."""

    targets: ClassVar[tuple[TargetKind, ...]] = ("classes",)

    margin: float = 1.0
    ignore_index: int | None = None

    @property
    def ignored(self) -> int | None:
        return self.ignore_index


@dataclass(frozen=True)
class SquaredShares(fv.Loss):
    """The squared difference of the output and the share of each class, whichever way it is told."""

    targets: ClassVar[tuple[TargetKind, ...]] = ("classes", "distributions")


@dataclass(frozen=True)
class SquaredChances(fv.Loss):
    """The squared difference of probabilities and answers."""

    targets: ClassVar[tuple[TargetKind, ...]] = ("probabilities",)


@dataclass(frozen=True)
class Shares(fv.Loss):
    """Minus the product of the output and the share of each class."""

    targets: ClassVar[tuple[TargetKind, ...]] = ("distributions",)


def _share(outputs: Array, sample_weight: Array) -> Array:
    return (sample_weight / sample_weight.sum() / outputs[0].size).reshape(-1, *(1,) * (outputs.ndim - 1))


def _log_cosh(loss: LogCosh, outputs: Array, targets: Array, sample_weight: Array) -> float:
    each = np.log(np.cosh(loss.sharpness * (outputs - targets))) / loss.sharpness
    return float((_share(outputs, sample_weight) * each).sum())


def _log_cosh_gradient(loss: LogCosh, outputs: Array, targets: Array, sample_weight: Array) -> Array:
    return _share(outputs, sample_weight) * np.tanh(loss.sharpness * (outputs - targets))


def _one_hot(outputs: Array, targets: Array) -> Array:
    if targets.dtype.kind != "i":
        return targets
    return np.moveaxis(np.eye(outputs.shape[1])[targets] * (targets >= 0)[..., None], -1, 1)


def _margins(loss: Margin, outputs: Array, targets: Array) -> tuple[Array, Array]:
    wanted = _one_hot(outputs, targets)
    own = (outputs * wanted).sum(axis=1, keepdims=True)
    over = np.maximum(0, loss.margin - own + outputs) * (1 - wanted) * (targets >= 0)[:, None]
    return over, wanted


def _margin(loss: Margin, outputs: Array, targets: Array, sample_weight: Array) -> float:
    over, _ = _margins(loss, outputs, targets)
    return float((_share(outputs, sample_weight) * over).sum())


def _margin_gradient(loss: Margin, outputs: Array, targets: Array, sample_weight: Array) -> Array:
    over, wanted = _margins(loss, outputs, targets)
    slope = (over > 0).astype(outputs.dtype)
    return _share(outputs, sample_weight) * (slope - wanted * slope.sum(axis=1, keepdims=True))


def _squared(loss: Loss, outputs: Array, targets: Array, sample_weight: Array) -> float:
    return float((_share(outputs, sample_weight) * (outputs - _one_hot(outputs, targets)) ** 2).sum())


def _squared_gradient(loss: Loss, outputs: Array, targets: Array, sample_weight: Array) -> Array:
    return 2 * _share(outputs, sample_weight) * (outputs - _one_hot(outputs, targets))


def _product(loss: Loss, outputs: Array, targets: Array, sample_weight: Array) -> float:
    return -float((_share(outputs, sample_weight) * outputs * targets).sum())


def _product_gradient(loss: Loss, outputs: Array, targets: Array, sample_weight: Array) -> Array:
    return -_share(outputs, sample_weight) * targets


register_loss(LogCosh, _log_cosh, _log_cosh_gradient)
register_loss(Margin, _margin, _margin_gradient)
register_loss(SquaredShares, _squared, _squared_gradient)
register_loss(SquaredChances, _squared, _squared_gradient)
register_loss(Shares, _product, _product_gradient)

OWN = [LogCosh(2.0), Margin(0.5), SquaredShares(), SquaredChances(), Shares()]


@pytest.mark.parametrize("loss", [*OWN, *(loss() for loss in built_in_losses())], ids=repr)
@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 2)], ids=str)
def test_the_gradient_of_every_loss_is_its_slope(loss: Loss, shape: tuple[int, ...]):
    check_loss_gradient(loss, shape)


def test_the_slopes_of_options_and_of_targets_that_are_given():
    check_loss_gradient(fv.CrossEntropy(0.1, (1, 2, 0.5), 7), (3, 2), targets=[[0, 7], [2, 1], [7, 7]])
    fv.testing.check_loss_gradient(fv.CrossEntropy(0.1), (2,), targets=[[0.2, 0.8]], batch_size=1, seed=3)
    check_loss_gradient(fv.Focal(0.5, 0.25), (4,))


@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.0, 2.5])], ids=["equal", "weighted"])
@pytest.mark.parametrize("loss", OWN, ids=repr)
def test_a_loss_of_ones_own_is_the_same_in_every_engine(any_engine: Engine, loss: Loss, weight: Array | None):
    x, random = normal((3, 4, 5)), np.random.default_rng(1)
    targets = random.integers(0, 4, (3, 5)) if loss.targets[0] == "classes" else random.uniform(0, 1, x.shape) > 0.5
    targets = targets.astype(np.float64) if targets.dtype.kind == "b" else targets
    given = np.ones(3) if weight is None else weight
    value, gradient = (
        of(loss, x, targets, given)
        for of in {
            LogCosh: (_log_cosh, _log_cosh_gradient),
            Margin: (_margin, _margin_gradient),
            Shares: (_product, _product_gradient),
        }.get(type(loss), (_squared, _squared_gradient))
    )
    result, ours = stepped(any_engine, loss, x, targets, weight)
    limit = bound(any_engine, double=1e-12, single=1e-6)
    assert relative_error(result.loss, value) <= limit
    assert relative_error(ours, gradient) <= limit


def test_a_loss_of_ones_own_takes_either_form_of_its_targets_in_turn(any_engine: Engine):
    x, hard = normal((3, 4, 5)), np.random.default_rng(1).integers(0, 4, (3, 5))
    graph = fv.Sequential(fv.Dropout(0.0)).build((4, 5))
    program = any_engine.compile(graph, batch_size=3, mode="training", loss=SquaredShares())
    soft = np.moveaxis(np.eye(4)[hard], -1, 1)
    first, second, third = (program.step(any_engine.new_state(graph), x, targets) for targets in (hard, soft, hard))
    assert first == third
    assert second.loss == pytest.approx(first.loss, rel=1e-6)
    assert (first.correct, first.counted) == (second.correct, 15)


def test_an_ignored_target_reaches_a_loss_of_ones_own_as_minus_one(any_engine: Engine):
    x, loss = normal((2, 3)), Margin(1.0, ignore_index=9)
    result, gradient = stepped(any_engine, loss, x, [1, 9])
    assert (result.counted, result.correct) == (1, int(x[0].argmax() == 1))
    assert gradient[0].any()
    assert not gradient[1].any()


def test_probabilities_are_right_on_their_side_of_a_half(any_engine: Engine):
    x = np.array([[0.6, 0.4], [0.4, 0.4], [0.9, -0.1]])
    result, _ = stepped(any_engine, SquaredChances(), x, [[1, 0], [1, 0], [1, 0]])
    assert (result.correct, result.counted) == (2, 3)


def test_the_weight_of_an_output_scales_the_gradient_of_a_loss_of_ones_own(any_engine: Engine):
    graph, x, targets = fv.Sequential(fv.Linear(2)).build((3,)), normal((4, 3)), normal((4, 2), 1)
    gradients, results = [], []
    for weight in (1.0, 0.25):
        options = {"batch_size": 4, "mode": "training", "loss": {"linear1": (LogCosh(), weight)}}
        program = any_engine.compile(graph, **options)
        results.append(program.step(any_engine.new_state(graph), x, targets))
        gradients.append(program.gradient("linear1.weight"))
    assert relative_error(gradients[1], 0.25 * gradients[0]) <= 1e-6
    assert results[1].loss == pytest.approx(0.25 * results[0].loss)


def test_a_network_learns_by_a_loss_of_ones_own_beside_a_built_in_one(engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((4,))
    graph = builder.build(builder.add(fv.Linear(2), x, name="far"), builder.add(fv.Linear(3), x, name="kind"))
    losses = {"far": (LogCosh(), 0.5), "kind": fv.CrossEntropy()}
    program = engine.compile(graph, batch_size=6, mode="training", loss=losses, optimizer=fv.SGD())
    state, inputs = engine.new_state(graph, fv.SGD()), normal((6, 4))
    targets = {"far": normal((6, 2), 1), "kind": np.arange(6) % 3}
    results = [program.step(state, inputs, targets, learning_rate=0.1) for _ in range(100)]
    assert results[-1].loss < 0.2 * results[0].loss
    last = results[-1]
    assert last.loss == pytest.approx(0.5 * last.losses["far"] + last.losses["kind"])
    assert (last.correct, last.counted) == (0, 0)


def test_a_loss_of_ones_own_survives_a_file():
    assert loss_from_json(Margin(2.0).to_json()) == Margin(2.0)


# What is refused


@dataclass(frozen=True)
class Untaught(fv.CrossEntropy):
    """A loss that nobody taught: it does not compute as the one it is derived from."""


def test_a_loss_that_no_engine_knows_is_named(engine: Engine):
    sentence = (
        "no engine knows how Untaught computes; teach it with foveate.engines.register_loss(Untaught, value, gradient)"
    )
    graph = fv.Sequential(fv.Linear(2)).build((2,))
    with pytest.raises(fv.EngineError, match=f"^{re.escape(sentence)}$"):
        engine.compile(graph, batch_size=2, mode="training", loss=Untaught())
    with pytest.raises(fv.EngineError, match=re.escape(sentence)):
        check_loss_gradient(Untaught(), (3,))


@pytest.fixture(name="tables")
def _tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "LOSS_TYPES", dict(registry.LOSS_TYPES))
    yield
    for loss_type in set(LOSSES) - {*built_in_losses(), *(type(loss) for loss in OWN)}:
        del LOSSES[loss_type]


def _made(name: str, module: str = __name__, **options: Any) -> type[Loss]:
    made = type(name, (fv.Loss,), {"__module__": module})
    return dataclass(frozen=options.get("frozen", True))(made)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: _made("Huber"), "foveate already has a loss called Huber; choose another class name"),
        (lambda: _made("Open", frozen=False), "Open must be a frozen dataclass derived from foveate.Loss"),
        (lambda: type("Bare", (fv.Loss,), {}), "Bare must be a frozen dataclass derived from foveate.Loss"),
        (lambda: field().__class__, "Field must be a frozen dataclass derived from foveate.Loss"),
        (
            lambda: _made("Margin", "elsewhere"),
            f"{__name__} has already registered a loss called Margin, and files know losses by name; choose "
            "another class name",
        ),
    ],
    ids=["built in", "not frozen", "no dataclass", "no loss", "twice"],
)
def test_what_is_no_loss_and_a_name_that_is_taken_are_refused(make: Callable[[], type[Loss]], sentence: str):
    with pytest.raises(fv.LayerError, match=re.escape(sentence)):
        register_loss(make(), _squared, _squared_gradient)


@pytest.mark.usefixtures("tables")
def test_the_same_class_defined_again_replaces_itself():
    for _ in range(2):
        register_loss(_made("Again"), _squared, _squared_gradient)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("value", "gradient", "pattern"),
    [
        (
            _squared,
            lambda *a: 2 * _squared_gradient(*a),
            r"Wrong: the gradient is wrong in 12 of 12 elements: at \[0, 0\] it is \S+, but central differences of "
            r"value give \S+",
        ),
        (
            _squared,
            lambda *a: _squared_gradient(*a)[0],
            "Wrong: gradient returns the shape 4, but the outputs have 3x4",
        ),
        (_squared, lambda *a: 0.0, "Wrong: gradient returns the shape of one number, but the outputs have 3x4"),
        (lambda *a: np.inf, _squared_gradient, "Wrong: value returns inf; it must be a finite number"),
    ],
    ids=["twice", "one sample", "a number", "infinite"],
)
def test_a_wrong_gradient_is_told(value: Any, gradient: Any, pattern: str):
    wrong = _made("Wrong")
    register_loss(wrong, value, gradient)
    with pytest.raises(fv.FoveateError, match=f"^{pattern}$") as caught:
        check_loss_gradient(wrong(), (4,))
    assert isinstance(caught.value, AssertionError)


@pytest.mark.usefixtures("tables")
def test_a_gradient_of_a_wrong_shape_stops_the_step(any_engine: Engine):
    wrong = _made("Wrong")
    register_loss(wrong, _squared, lambda *a: _squared_gradient(*a)[:1])
    with pytest.raises(fv.FoveateError, match="Wrong: gradient returns the shape 1x4, but the outputs have 3x4"):
        stepped(any_engine, wrong(), np.zeros((3, 4)), np.zeros((3, 4)))

"""A step whose loss is no number learns nothing from it; one that is only infinite inside is computed as it should."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine, Program, State, get_engine, register_loss
from foveate.graph import Graph

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")

GRAPH = fv.Sequential(
    fv.Conv2d(16, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.Conv2d(8, 3), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(),
    fv.Linear(3),
).build((2, 8, 8))  # fmt: skip
X = np.random.default_rng(0).standard_normal((4, 2, 8, 8)).astype(np.float32)
Y = np.array([0, 1, 2, 0])


def compiled(engine: Engine, graph: Graph = GRAPH, **options: Any) -> tuple[Program, State]:
    optimizer = options.setdefault("optimizer", fv.SGD())
    program = engine.compile(graph, batch_size=len(X), mode="training", **{"loss": fv.CrossEntropy(), **options})
    return program, engine.new_state(graph, optimizer, seed=0)


def arrays(state: State) -> dict[str, Any]:
    return {name: state.read(name) for name in state.names(slots=True)}


def test_a_step_with_a_nan_loss_leaves_the_state_as_it_was(engine: Engine):
    program, state = compiled(engine)
    assert program.step(state, X, Y, learning_rate=0.1).loss > 0
    before, damaged = arrays(state), X.copy()
    damaged[1, 1, 4, 4] = np.nan
    result = program.step(state, damaged, Y, learning_rate=0.1)
    assert np.isnan(result.loss)
    assert state.step_count == 1
    after = arrays(state)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert program.step(state, X, Y, learning_rate=0.1).loss > 0
    assert state.step_count == 2


def test_a_step_with_an_infinite_loss_leaves_the_state_as_it_was(engine: Engine):
    program, state = compiled(engine)
    state.load("linear1.bias", [-np.inf, 0, 0])  # class 0, which is wanted, has no chance
    before = arrays(state)
    assert program.step(state, X, Y, learning_rate=0.1).loss == np.inf
    assert state.step_count == 0
    after = arrays(state)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("bias", [np.nan, -np.inf], ids=["NaN", "infinite"])
def test_after_such_a_step_there_is_no_gradient(engine: Engine, bias: float):
    """What lies where gradients are written would be of another step, or of none."""
    program, state = compiled(engine)
    program.step(state, X, Y, learning_rate=0.1)
    kept = state.read("linear1.bias")
    state.load("linear1.bias", [bias, 0, 0])
    program.step(state, X, Y, learning_rate=0.1)
    with pytest.raises(fv.EngineError, match=r'^there is no gradient of "conv1\.weight": the last step ended at its'):
        program.gradient("conv1.weight")
    state.load("linear1.bias", kept)
    program.step(state, X, Y, learning_rate=0.1)
    assert np.isfinite(program.gradient("conv1.weight")).all()


def test_without_an_optimiser_the_gradients_are_nan_as_well(engine: Engine):
    program, state = compiled(engine, optimizer=None)
    damaged = X.copy()
    damaged[1, 1, 4, 4] = np.nan
    assert np.isnan(program.step(state, damaged, Y).loss)
    assert np.isnan(program.gradient("conv1.weight")).any()


def test_filters_of_nan_make_the_loss_nan(engine: Engine):
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(3)).build((2, 8, 8))
    program, state = compiled(engine, graph)
    state.load("conv1.weight", np.full((4, 2, 3, 3), np.nan))
    assert np.isnan(program.step(state, X, Y, learning_rate=0.1).loss)


@pytest.mark.parametrize("optimizer", [None, fv.SGD(weight_decay=0.0)], ids=["gradients only", "with an optimiser"])
def test_minus_infinity_before_relu_is_nothing(engine: Engine, optimizer: fv.SGD | None):
    """The fast program makes NaN of it; the exact one, which is run then, must have changed nothing twice."""
    program, state = compiled(engine, optimizer=optimizer)
    bias = state.read("conv2.bias")
    bias[3] = -np.inf
    state.load("conv2.bias", bias)
    exact = get_engine("reference")
    theirs = exact.new_state(GRAPH, optimizer, seed=0)
    for name in state.names():
        theirs.load(name, state.read(name))
    judge = exact.compile(GRAPH, batch_size=4, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    ours, expected = program.step(state, X, Y, learning_rate=0.01), judge.step(theirs, X, Y, learning_rate=0.01)
    assert ours.loss == pytest.approx(expected.loss, rel=1e-4)
    np.testing.assert_allclose(program.gradient("conv1.weight"), judge.gradient("conv1.weight"), rtol=1e-2, atol=1e-4)
    for name in ("bn1.running_mean", "bn1.running_var"):
        np.testing.assert_allclose(state.read(name), theirs.read(name), rtol=1e-4, atol=1e-6)


def test_backward_and_activations_are_those_of_the_run_that_counted(engine: Engine):
    program = engine.compile(GRAPH, batch_size=4, mode="inference", differentiable=True, keep=("relu2",))
    state = engine.new_state(GRAPH, seed=0)
    bias = state.read("conv2.bias")
    bias[3] = -np.inf
    state.load("conv2.bias", bias)
    output = program.forward(state, X)[GRAPH.only_output]
    program.backward({GRAPH.only_output: np.ones_like(output)})
    assert np.isfinite(output).all()
    assert (program.activation("relu2")[:, 3] == 0).all()
    assert np.isfinite(program.gradient("input")).all()
    state.load("conv2.bias", np.zeros(8))
    assert np.isfinite(program.forward(state, X)[GRAPH.only_output]).all()
    assert (program.activation("relu2")[:, 3] > 0).any()


def test_gradients_outlive_a_forward_pass(engine: Engine):
    """Those of an input and of kept nodes too, and whichever program the pass before them and after them took."""
    names = ["input", *(node.name for node in GRAPH.nodes), *GRAPH.parameters]
    program = engine.compile(GRAPH, batch_size=4, mode="inference", differentiable=True, keep=names[1:9])
    state = engine.new_state(GRAPH, seed=0)
    for special in (0.0, -np.inf, 0.0):
        state.load("conv2.bias", [0, 0, 0, special, 0, 0, 0, 0])
        program.forward(state, X)
        program.backward({GRAPH.only_output: np.ones((4, 3))})
        gradients = {name: program.gradient(name) for name in names}
        for other in (-np.inf, 0.0):
            state.load("conv2.bias", [0, 0, 0, other, 0, 0, 0, 0])
            program.forward(state, 2 * X + 1)
            assert all(np.array_equal(gradients[name], program.gradient(name)) for name in names)


@dataclass(frozen=True)
class NoNumber(fv.Loss):
    """Of one's own, and never a number."""

    value: float = np.nan


register_loss(
    NoNumber,
    lambda loss, outputs, targets, weight: loss.value,
    lambda loss, outputs, targets, weight: np.zeros_like(outputs),
)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_loss_of_ones_own_that_is_no_number_changes_nothing_either(engine: Engine, value: float):
    program, state = compiled(engine, loss=NoNumber(value))
    before = arrays(state)
    loss = program.step(state, X, np.zeros((4, 3)), learning_rate=0.1).loss
    np.testing.assert_equal(loss, value)
    after = arrays(state)
    assert all(np.array_equal(before[name], after[name]) for name in before)

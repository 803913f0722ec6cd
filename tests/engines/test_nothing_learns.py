"""Networks of which nothing learns take a step with an optimiser all the same: the loss is measured."""

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine, get_engine
from foveate.graph import Optimizer

NETWORKS = {
    "without parameters": fv.Sequential(fv.Flatten()).build((4, 1), quiet=True),
    "frozen": fv.Sequential(fv.Flatten(), fv.Linear(4, frozen=True)).build((4, 1), quiet=True),
}


@pytest.mark.parametrize("optimizer", [fv.SGD(), fv.AdamW()], ids=["SGD", "AdamW"])
@pytest.mark.parametrize("graph", NETWORKS.values(), ids=NETWORKS)
def test_a_step(engine: Engine, graph: fv.Graph, optimizer: Optimizer):
    program = engine.compile(graph, batch_size=2, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    state = engine.new_state(graph, optimizer)
    before = {name: state.read(name) for name in state.names()}
    result = program.step(state, np.ones((2, 4, 1), np.float32), [0, 1], learning_rate=0.1)
    assert result.counted == 2
    assert state.step_count == 1
    if not before:
        assert result.loss == pytest.approx(np.log(4))
    for name, array in before.items():
        np.testing.assert_array_equal(state.read(name), array)


def readonly(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(array.tobytes(), np.float32)


@pytest.mark.parametrize("change", [readonly, lambda a: a.astype(np.float64), lambda a: np.repeat(a, 2)[::2]])
def test_a_step_writes_only_where_it_may(change):
    """Immutable bytes were once changed; what is copied on the way would learn nothing."""
    graph, optimizer = fv.Sequential(fv.Linear(4)).build((4,)), fv.SGD()
    native = get_engine("native")
    program = native.compile(graph, batch_size=2, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    state = native.new_state(graph, optimizer)
    given = change(state.spaces["parameters"])
    state.spaces["parameters"] = given
    before = given.tobytes()
    sentence = r"^the state's parameters must be contiguous float32, and writable; use state\.load\(name"
    with pytest.raises(fv.EngineError, match=sentence):
        program.step(state, np.ones((2, 4), np.float32), [0, 1], learning_rate=0.1)
    assert given.tobytes() == before


def test_what_cannot_be_written_can_be_read():
    graph, native = NETWORKS["frozen"], get_engine("native")
    program, state = native.compile(graph, batch_size=1, mode="inference"), native.new_state(graph)
    inputs = np.ones((1, 4, 1), np.float32)
    expected = program.forward(state, inputs)[graph.only_output]
    state.spaces["parameters"].flags.writeable = False
    np.testing.assert_array_equal(program.forward(native.new_state(graph), inputs)[graph.only_output], expected)
    np.testing.assert_array_equal(program.forward(state, inputs)[graph.only_output], expected)

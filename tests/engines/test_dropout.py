"""Dropout: the same elements in every engine, decided by seed, node, step and element alone."""

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph
from tests.support import Array, normal, run, single_layer


def dropped(engine: Engine, graph: Graph, batch: int, *, seed: int, step: int) -> Array:
    """Which elements of ones fell, at one step."""
    state = engine.new_state(graph, seed=seed)
    state.step_count = step
    ones = np.ones((batch, *graph.input_shape))
    return engine.compile(graph, batch_size=batch, mode="training").forward(state, ones)["layer"] == 0


def test_dropout_drops_the_same_elements_in_every_engine(engine: Engine, truth: Engine):
    graph = single_layer(fv.Dropout(0.3), (7, 5, 3))
    ours, exact = (dropped(e, graph, 4, seed=5, step=2) for e in (engine, truth))
    assert np.array_equal(ours, exact)
    assert 0 < exact.mean() < 1


def test_dropout_drops_its_share_and_scales_up_the_rest(any_engine: Engine):
    graph = single_layer(fv.Dropout(0.3), (100, 100))
    ours = run(any_engine, graph, {}, {"input": np.ones((2, 100, 100))}, np.ones((2, 100, 100)))
    assert np.unique(ours.output) == pytest.approx([0, 1 / 0.7])
    assert (ours.output == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert np.array_equal(ours.gradients["input"], ours.output)


@pytest.mark.parametrize("changed", [{"seed": 6, "step": 2}, {"seed": 5, "step": 3}], ids=["seed", "step"])
def test_dropout_draws_anew_for_another_seed_or_step(engine: Engine, changed: dict[str, int]):
    graph = single_layer(fv.Dropout(0.5), (200,))
    first, second = dropped(engine, graph, 1, seed=5, step=2), dropped(engine, graph, 1, **changed)
    assert 0.3 < (first != second).mean() < 0.7


def test_dropout_draws_apart_for_two_layers(engine: Engine):
    graph = fv.Sequential(fv.Dropout(0.5), fv.Dropout(0.5)).build((400,))
    program = engine.compile(graph, batch_size=1, mode="training", keep=("dropout1",))
    both = program.forward(engine.new_state(graph), np.ones((1, 400)))["dropout2"]
    assert 0.15 < (both != 0).mean() < 0.35
    assert 0.4 < (program.activation("dropout1") != 0).mean() < 0.6


def test_dropout_of_a_smaller_batch_is_the_beginning_of_a_larger_ones(engine: Engine):
    graph = single_layer(fv.Dropout(0.5), (3, 5))
    large, small = (dropped(engine, graph, batch, seed=1, step=0) for batch in (4, 2))
    assert np.array_equal(large[:2], small)


def test_each_training_step_drops_other_elements(engine: Engine):
    graph = fv.Sequential(fv.Dropout(0.5), fv.Flatten()).build((200,))
    program = engine.compile(graph, batch_size=1, mode="training", loss=fv.CrossEntropy())
    state = engine.new_state(graph)
    masks = []
    for _ in range(2):
        program.step(state, np.ones((1, 200)), [0])
        masks.append(program.activation("flatten1") == 0)
    assert 0.3 < (masks[0] != masks[1]).mean() < 0.7


def test_spatial_dropout_drops_whole_channels_the_same_in_every_engine(any_engine: Engine, truth: Engine):
    graph = single_layer(fv.SpatialDropout(0.3), (40, 3, 2))
    fallen = dropped(any_engine, graph, 5, seed=5, step=2)
    assert np.array_equal(fallen, np.broadcast_to(fallen[:, :, :1, :1], fallen.shape))
    assert np.array_equal(fallen, dropped(truth, graph, 5, seed=5, step=2))
    assert 0.15 < fallen.mean() < 0.45


def test_spatial_dropout_of_a_channel_is_dropout_of_the_element_of_its_number(any_engine: Engine):
    elements, channels = single_layer(fv.Dropout(0.3), (40,)), single_layer(fv.SpatialDropout(0.3), (40, 3, 2))
    fallen = dropped(any_engine, channels, 5, seed=1, step=7)
    assert np.array_equal(fallen[:, :, 0, 0], dropped(any_engine, elements, 5, seed=1, step=7))


def test_spatial_dropout_scales_up_the_rest(any_engine: Engine):
    graph = single_layer(fv.SpatialDropout(0.2), (50, 2, 2))
    ours = run(any_engine, graph, {}, {"input": np.ones((2, 50, 2, 2))}, np.ones((2, 50, 2, 2)))
    assert np.unique(ours.output) == pytest.approx([0, 1.25])
    assert np.array_equal(ours.gradients["input"], ours.output)


def test_dropout_is_zero_in_inference(engine: Engine):
    graph = single_layer(fv.Dropout(0.9), (50,))
    x = normal((2, 50))
    program = engine.compile(graph, batch_size=2, mode="inference")
    assert np.array_equal(program.forward(engine.new_state(graph), x)["layer"], x)

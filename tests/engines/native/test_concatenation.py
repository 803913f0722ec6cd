"""Concatenations of one sample, whose inputs are computed where they belong: no copies, and the same numbers."""

import numpy as np
import pytest

import foveate as fv
from foveate.engines import get_engine
from foveate.engines.native import _native
from foveate.graph import Graph, GraphBuilder
from tests.support import random_arrays, random_inputs, random_seed, relative_error, run, state_with

COPIES = ("concatenation", "reorder")


def chain(*, twice: bool = False, odd: bool = False) -> Graph:
    """Each layer's output beside what it read, as in a DenseNet; or a value twice, or one of three channels."""
    builder = GraphBuilder()
    given = builder.input((16, 6, 8), "input")
    value = builder.add(fv.Conv2d(3 if odd else 16, 3, padding=1, bias=False), given)
    for number in range(4):
        made = builder.add(fv.Conv2d(16, 3, padding=1), builder.add(fv.ReLU(), value))
        value = builder.add(fv.Concatenate(), *((value, made) if number % 2 else (made, value)))
    if twice:
        value = builder.add(fv.Concatenate(), value, value)
    side = builder.add(fv.Sigmoid(), value)
    value = builder.add(fv.Concatenate(), side, builder.add(fv.Conv2d(32, 1), value), given)
    return builder.build(builder.add(fv.Conv2d(16, 1), value), quiet=True)


NETWORKS = {"a chain": chain(), "a value twice": chain(twice=True), "an odd number": chain(odd=True)}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_concatenated_values_and_their_gradients_are_those_of_the_reference(name: str, batch: int):
    graph = NETWORKS[name]
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, batch), random_seed(graph, batch)
    ours, expected = (run(get_engine(each), graph, arrays, inputs, seed) for each in ("native", "reference"))
    assert relative_error(ours.output, expected.output) < 1e-5
    for each, gradient in expected.gradients.items():
        assert relative_error(ours.gradients[each], gradient) < 1e-4, each


@pytest.mark.parametrize("name", NETWORKS)
def test_kept_values_are_there_after_the_run_and_after_another(name: str):
    graph = NETWORKS[name]
    arrays, inputs, keep = random_arrays(graph), random_inputs(graph, 1), tuple(node.name for node in graph.nodes)
    kept = {}
    for engine in map(get_engine, ("native", "reference")):
        program = engine.compile(graph, batch_size=1, mode="inference", keep=keep)
        state = state_with(engine, graph, arrays)
        for _ in range(2):
            program.forward(state, inputs)
            made = {each: program.activation(each) for each in keep}
        kept[engine.name] = made
    for each in keep:
        assert relative_error(kept["native"][each], kept["reference"][each]) < 1e-5, each


@pytest.mark.skipif(_native.vector_lanes() < 8, reason="oneDNN's convolutions use no blocks here")
def test_nothing_is_copied_for_one_sample():
    program = get_engine("native").compile(NETWORKS["a chain"], batch_size=1, mode="training", differentiable=True)
    assert [step for step in program.steps() if step.operation in COPIES and step.node.startswith("concat")] == []


def test_values_with_two_readers_keep_their_numbers():
    """The same value in two concatenations lies in one of them, and is copied to the other."""
    builder = GraphBuilder()
    value = builder.add(fv.Conv2d(16, 1), builder.input((16, 4, 4), "input"))
    other = builder.add(fv.Conv2d(16, 3, padding=1), value)
    ends = [builder.add(fv.Concatenate(), *pair) for pair in ((value, other), (other, value), (value, value))]
    graph = builder.build(builder.add(fv.Add(), *ends), quiet=True)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 1), random_seed(graph, 1)
    ours, expected = (run(get_engine(each), graph, arrays, inputs, seed) for each in ("native", "reference"))
    np.testing.assert_allclose(ours.output, expected.output, rtol=1e-4, atol=1e-5)
    for each, gradient in expected.gradients.items():
        assert relative_error(ours.gradients[each], gradient) < 1e-4, each


def test_gradients_of_inputs_that_are_only_concatenated_are_their_own_part_of_the_whole():
    """No step reads them: they are read after the run alone."""
    builder = GraphBuilder()
    values = [builder.input((16, *positions), f"input{number}") for number, positions in enumerate(((2, 3), (2, 3)))]
    graph = builder.build(builder.add(fv.Concatenate(), *values), quiet=True)
    inputs, seed = random_inputs(graph, 1), random_seed(graph, 1)
    gradients = run(get_engine("native"), graph, {}, inputs, seed).gradients
    np.testing.assert_array_equal(gradients["input0"], seed[:, :16].astype(np.float32))
    np.testing.assert_array_equal(gradients["input1"], seed[:, 16:].astype(np.float32))

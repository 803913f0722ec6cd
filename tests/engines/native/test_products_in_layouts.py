"""Products of values with factors of each channel, as in squeeze-and-excitation, in the layouts of inference."""

import pytest

import foveate as fv
from foveate.engines import get_engine
from foveate.graph import Graph, GraphBuilder
from tests.support import random_arrays, random_inputs, relative_error, state_with


def excited(channels: int, *, positions: bool) -> Graph:
    """A convolution times what a pooling and another one make of it, or times one channel of all positions."""
    builder = GraphBuilder()
    value = builder.add(fv.Conv2d(channels, 1), builder.input((16, 6, 7), "input"))
    if positions:
        gate = builder.add(fv.Conv2d(channels, 1), value)
    else:
        gate = builder.add(fv.Conv2d(channels, 1), builder.add(fv.AdaptiveAvgPool2d(1), value))
    value = builder.add(fv.Multiply(), value, builder.add(fv.Sigmoid(), gate), builder.add(fv.Tanh(), value))
    return builder.build(builder.add(fv.Conv2d(16, 3, padding=1), value), quiet=True)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("channels", [16, 24, 40, 7])
def test_products_in_inference_are_those_of_the_reference(channels: int, positions: bool, batch: int):
    graph = excited(channels, positions=positions)
    arrays, inputs = random_arrays(graph), random_inputs(graph, batch)
    made = []
    for engine in map(get_engine, ("native", "reference")):
        program = engine.compile(graph, batch_size=batch, mode="inference")
        made.append(program.forward(state_with(engine, graph, arrays), inputs)[graph.only_output])
    assert relative_error(*made) < 1e-5


def test_a_gate_brings_no_value_into_another_layout():
    program = get_engine("native").compile(excited(32, positions=False), batch_size=2, mode="inference")
    products = [step for step in program.steps() if step.operation == "multiply"]
    assert len(products) == 2
    copied = [step for step in program.steps() if step.operation == "reorder" and step.node == products[0].node]
    assert all(step.bytes <= 2 * 4 * 2 * 32 for step in copied)  # of the gate alone


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("shape", [(1, 4, 3), (4, 1, 3), (4, 3, 1), (1, 1, 5), (2, 3, 4)])
@pytest.mark.parametrize("kind", [fv.Multiply, fv.Add, fv.Subtract])
def test_a_part_of_moved_axes_is_met_by_all_of_them(kind: type, shape: tuple[int, ...], axes: tuple[int, ...]):
    builder = GraphBuilder()
    moved = builder.add(fv.Transpose(axes), builder.input(shape, "input"))
    longest = max(range(3), key=moved.shape.__getitem__)
    pairs = [(0, 0)] * 3
    pairs[longest] = (0, 1 - moved.shape[longest])
    graph = builder.build(builder.add(kind(), moved, builder.add(fv.Pad(tuple(pairs)), moved)), quiet=True)
    inputs = random_inputs(graph, 3)
    made = [fv.Model(graph, engine=engine).outputs(inputs)[graph.only_output] for engine in ("native", "reference")]
    assert relative_error(*made) < 1e-6

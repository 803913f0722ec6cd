"""What a fast engine fuses, folds or overwrites stays right: chains and joins in every kind of program."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph
from tests.support import Array, Arrays, beyond, normal, random_arrays, random_inputs, random_seed, run, state_with

SMALL, LARGE = (16, 9, 8), (16, 23, 22)
"""With a batch of four the large one has enough tiles for Winograd's algorithm, the small one has not."""


def chain(*layers: fv.Layer, shape: tuple[int, ...] = SMALL) -> Graph:
    return fv.Sequential(*layers).build(shape, quiet=True)


def conv(**options: Any) -> fv.Conv2d:
    return fv.Conv2d(16, 3, padding=1, **options)


def built(join: Callable[[fv.GraphBuilder, Any], Any], shape: tuple[int, ...]) -> Graph:
    """A graph after one input; `join` returns its output or outputs."""
    builder = fv.GraphBuilder()
    outputs = join(builder, builder.input(shape))
    return builder.build(*(outputs if isinstance(outputs, tuple) else (outputs,)), quiet=True)


def sum_of_two_branches(b: fv.GraphBuilder, x: Any) -> Any:
    left = b.add(fv.BatchNorm2d(), b.add(conv(bias=False), x))
    right = b.add(fv.BatchNorm2d(), b.add(conv(bias=False), x))
    return b.add(fv.ReLU(), b.add(fv.Add(), left, right))


def sum_with_the_block_second(b: fv.GraphBuilder, x: Any) -> Any:
    return b.add(fv.ReLU(), b.add(fv.Add(), x, b.add(fv.BatchNorm2d(), b.add(conv(), x))))


def skip_used_again_after_its_sum(b: fv.GraphBuilder, x: Any) -> Any:
    skip = b.add(fv.Tanh(), b.add(conv(), x))
    total = b.add(fv.Add(), b.add(conv(), skip), skip)
    return b.add(fv.Add(), b.add(conv(), total), skip)


def skip_of_the_input_used_twice(b: fv.GraphBuilder, x: Any) -> Any:
    first = b.add(fv.Add(), b.add(conv(), x), x)
    return b.add(fv.Add(), b.add(conv(), first), x)


def convolution_read_by_its_normalisation_and_another(b: fv.GraphBuilder, x: Any) -> Any:
    seen = b.add(conv(), x)
    return b.add(fv.Add(), b.add(fv.BatchNorm2d(), seen), b.add(fv.Tanh(), seen))


def normalisation_read_twice(b: fv.GraphBuilder, x: Any) -> Any:
    seen = b.add(fv.BatchNorm2d(), b.add(conv(), x))
    return b.add(fv.Add(), b.add(fv.ReLU(), seen), b.add(fv.Tanh(), seen))


def normalisation_added_to_itself(b: fv.GraphBuilder, x: Any) -> Any:
    seen = b.add(fv.BatchNorm2d(), b.add(conv(), x))
    return b.add(fv.ReLU(), b.add(fv.Add(), seen, seen))


def sum_of_three(b: fv.GraphBuilder, x: Any) -> Any:
    return b.add(fv.ReLU(), b.add(fv.Add(), b.add(conv(), x), x, b.add(conv(), x)))


def sum_with_a_later_value(b: fv.GraphBuilder, x: Any) -> Any:
    early = b.add(conv(), x)
    late = b.add(fv.Sigmoid(), b.add(conv(), x))
    return b.add(fv.Add(), early, late)


def activation_that_is_an_output_too(b: fv.GraphBuilder, x: Any) -> Any:
    seen = b.add(fv.ReLU(), b.add(fv.BatchNorm2d(), b.add(conv(), x)))
    return b.add(conv(), seen), seen


def convolution_that_is_an_output_too(b: fv.GraphBuilder, x: Any) -> Any:
    seen = b.add(conv(), x)
    return b.add(fv.ReLU(), b.add(fv.BatchNorm2d(), seen)), seen


def shared_convolution_before_two_normalisations(b: fv.GraphBuilder, x: Any) -> Any:
    one = b.add(fv.BatchNorm2d(), b.add(conv(), x, parameters="shared"))
    two = b.add(fv.BatchNorm2d(), b.add(conv(), one, parameters="shared"))
    return b.add(fv.Add(), one, two)


def shared_normalisation_after_two_convolutions(b: fv.GraphBuilder, x: Any) -> Any:
    one = b.add(fv.BatchNorm2d(), b.add(conv(), x), parameters="shared")
    return b.add(fv.BatchNorm2d(), b.add(conv(), one), parameters="shared")


def concatenation_of_blocks(b: fv.GraphBuilder, x: Any) -> Any:
    ends = [b.add(fv.ReLU(), b.add(fv.Conv2d(count, 1), x)) for count in (16, 5, 32)]
    return b.add(conv(), b.add(fv.Concatenate(), *ends, x))


def padded_shortcut(b: fv.GraphBuilder, x: Any) -> Any:
    way = b.add(fv.BatchNorm2d(), b.add(fv.Conv2d(32, 3, stride=2, padding=1, bias=False), x))
    other = b.add(fv.Pad(((8, 8), (0, 0), (0, 0))), b.add(fv.MaxPool2d(1, stride=2), x))
    return b.add(fv.ReLU(), b.add(fv.Add(), way, other))


CHAINS: dict[str, tuple[fv.Layer, ...]] = {
    "conv, bn": (conv(), fv.BatchNorm2d()),
    "conv without bias, bn, relu": (conv(bias=False), fv.BatchNorm2d(), fv.ReLU()),
    "conv, relu": (conv(), fv.ReLU()),
    "conv, leaky relu": (conv(), fv.LeakyReLU(0.3)),
    "conv, elu": (conv(), fv.ELU(0.7)),
    "conv, sigmoid": (conv(), fv.Sigmoid()),
    "conv, tanh": (conv(), fv.Tanh()),
    "conv, bn, leaky relu": (conv(), fv.BatchNorm2d(), fv.LeakyReLU()),
    "conv, bn, elu": (conv(), fv.BatchNorm2d(), fv.ELU()),
    "conv, two activations": (conv(), fv.Tanh(), fv.Sigmoid()),
    "conv, bn, bn": (conv(), fv.BatchNorm2d(), fv.BatchNorm2d(), fv.ReLU()),
    "conv, frozen bn, relu": (conv(), fv.BatchNorm2d(frozen=True), fv.ReLU()),
    "conv, bn without scale": (conv(), fv.BatchNorm2d(affine=False), fv.ReLU()),
    "conv, bn of large eps": (conv(), fv.BatchNorm2d(eps=0.3), fv.ReLU()),
    "depthwise conv, bn, relu": (conv(groups=16, bias=False), fv.BatchNorm2d(), fv.ReLU()),
    "grouped conv, bn, relu": (conv(groups=2), fv.BatchNorm2d(), fv.ReLU()),
    "conv, pool, bn": (conv(), fv.MaxPool2d(2), fv.BatchNorm2d()),
    "conv, dropout, relu": (conv(), fv.Dropout(0.4), fv.ReLU()),
    "bn, relu, conv": (fv.BatchNorm2d(), fv.ReLU(), conv()),
    "conv of odd channels, bn, relu": (fv.Conv2d(7, 3), fv.BatchNorm2d(), fv.ReLU(), fv.Conv2d(5, 3)),
    "flatten after blocks": (conv(), fv.ReLU(), fv.Flatten(), fv.Linear(6)),
    "flatten after odd channels": (fv.Conv2d(5, 3), fv.Flatten(), fv.Linear(6)),
    "nothing but structure": (fv.Pad(((0, 0), (1, 0), (0, 1))), fv.Dropout(0.2), fv.Flatten()),
}

JOINS: dict[str, Callable[[fv.GraphBuilder, Any], Any]] = {
    "sum of two branches": sum_of_two_branches,
    "sum with the block second": sum_with_the_block_second,
    "skip used again after its sum": skip_used_again_after_its_sum,
    "skip of the input used twice": skip_of_the_input_used_twice,
    "conv read by bn and another": convolution_read_by_its_normalisation_and_another,
    "bn read twice": normalisation_read_twice,
    "bn added to itself": normalisation_added_to_itself,
    "sum of three": sum_of_three,
    "sum with a later value": sum_with_a_later_value,
    "activation that is an output too": activation_that_is_an_output_too,
    "conv that is an output too": convolution_that_is_an_output_too,
    "shared conv before two bn": shared_convolution_before_two_normalisations,
    "shared bn after two conv": shared_normalisation_after_two_convolutions,
    "concatenation of blocks": concatenation_of_blocks,
    "padded shortcut": padded_shortcut,
}

GRAPHS = {
    "linear, bn, relu": chain(fv.Linear(24), fv.BatchNorm1d(), fv.ReLU(), fv.Linear(5), shape=(13,)),
    "linear without bias, bn": chain(fv.Linear(24, bias=False), fv.BatchNorm1d(), shape=(13,)),
    "1-D conv, bn, relu": chain(fv.Conv1d(8, 5, padding=2), fv.BatchNorm1d(), fv.ReLU(), shape=(4, 17)),
    "3-D conv, bn, relu": chain(fv.Conv3d(8, 3, padding=1), fv.BatchNorm3d(), fv.ReLU(), shape=(3, 4, 5, 4)),
}
for place, shape in (("small", SMALL), ("large", LARGE)):
    GRAPHS |= {f"{name}, {place}": chain(*layers, shape=shape) for name, layers in CHAINS.items()}
    GRAPHS |= {f"{name}, {place}": built(join, shape) for name, join in JOINS.items()}

every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def has_kinks(graph: Graph) -> bool:
    """Whether rounding may turn over a ReLU or a maximum, which is no error: its gradient is off by an element then."""
    return any(isinstance(node.layer, (fv.ReLU, fv.LeakyReLU, fv.ELU, fv.MaxPool2d)) for node in graph.nodes)


def outputs_and_kept(engine: Engine, graph: Graph, arrays: Arrays, inputs: Arrays, **options: Any) -> Arrays:
    """All outputs and kept values of a forward pass, run twice so that what the first leaves behind shows."""
    program = engine.compile(graph, batch_size=4, **options)
    state = state_with(engine, graph, arrays)
    if options["mode"] == "inference":
        program.forward(state, {name: -array for name, array in inputs.items()})
    outputs = program.forward(state, inputs)
    return outputs | {f"kept {name}": program.activation(name) for name in options.get("keep", ())}


@pytest.mark.parametrize("differentiable", [False, True], ids=["plain", "differentiable"])
@pytest.mark.parametrize("mode", ["inference", "training"])
@every_graph
def test_the_outputs_are_the_references(engine: Engine, truth: Engine, graph: Graph, mode: Any, differentiable: bool):
    arrays, inputs = random_arrays(graph), random_inputs(graph, 4)
    options = {"mode": mode, "differentiable": differentiable}
    ours, exact = (outputs_and_kept(e, graph, arrays, inputs, **options) for e in (engine, truth))
    assert beyond(2e-5, ours, exact) == {}


@every_graph
def test_every_value_can_be_kept_in_inference(engine: Engine, truth: Engine, graph: Graph):
    arrays, inputs, names = random_arrays(graph), random_inputs(graph, 4), [node.name for node in graph.nodes]
    ours, exact = (outputs_and_kept(e, graph, arrays, inputs, mode="inference", keep=names) for e in (engine, truth))
    assert beyond(2e-5, ours, exact) == {}


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize(
    "graph",
    [graph for graph in GRAPHS.values() if len(graph.outputs) == 1],
    ids=[name for name, graph in GRAPHS.items() if len(graph.outputs) == 1],
)
def test_the_gradients_are_the_references(engine: Engine, truth: Engine, graph: Graph, mode: Any):
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 4), random_seed(graph, 4)
    ours, exact = (run(e, graph, arrays, inputs, seed, mode=mode) for e in (engine, truth))
    assert beyond(2e-2 if has_kinks(graph) else 2e-4, ours.gradients, exact.gradients, typical=1.0) == {}


def test_statistics_move_the_same_beside_what_is_fused(engine: Engine, truth: Engine):
    graph = GRAPHS["shared bn after two conv, small"]
    arrays, x = random_arrays(graph), random_inputs(graph, 4)
    moved = []
    for e in (engine, truth):
        state = state_with(e, graph, arrays)
        e.compile(graph, batch_size=4, mode="training").forward(state, x)
        moved.append({name: state.read(name) for name in graph.statistics})
    assert beyond(1e-5, *moved) == {}


# Random graphs


@st.composite
def graphs(draw: Any) -> Graph:
    """Any joins of smooth layers that keep a shape; one output, or two."""
    width = draw(st.sampled_from([3, 8, 16]))
    builder = fv.GraphBuilder()
    values = [builder.input((width, 6, 5))]
    for _ in range(draw(st.integers(1, 9))):
        pick = st.sampled_from(values)
        layer = draw(
            st.sampled_from(
                [
                    fv.Conv2d(width, 3, padding=1),
                    fv.Conv2d(width, 1, bias=False),
                    fv.Conv2d(width, 3, padding=1, groups=width),
                    fv.BatchNorm2d(),
                    fv.BatchNorm2d(affine=False),
                    fv.Sigmoid(),
                    fv.Tanh(),
                    fv.ELU(),
                    fv.AvgPool2d(3, stride=1, padding=1),
                    fv.Dropout(0.3),
                    fv.Add(),
                    fv.Concatenate(),
                ]
            )
        )
        if isinstance(layer, fv.Add):
            value = builder.add(layer, *(draw(pick) for _ in range(draw(st.integers(2, 3)))))
        elif isinstance(layer, fv.Concatenate):
            value = builder.add(fv.Conv2d(width, 1), builder.add(layer, draw(pick), draw(pick)))
        else:
            value = builder.add(layer, draw(pick))
        values.append(value)
    outputs = draw(st.lists(st.sampled_from(values[1:]), max_size=1, unique=True))
    return builder.build(*dict.fromkeys([values[-1], *outputs]), quiet=True)


@given(graphs(), st.data())
def test_any_graph_infers_as_the_reference_whatever_is_kept(
    engine: Engine, truth: Engine, graph: Graph, data: st.DataObject
):
    keep = data.draw(st.lists(st.sampled_from([node.name for node in graph.nodes]), unique=True, max_size=3))
    arrays, inputs = random_arrays(graph), random_inputs(graph, 4)
    ours, exact = (outputs_and_kept(e, graph, arrays, inputs, mode="inference", keep=keep) for e in (engine, truth))
    assert beyond(1e-4, ours, exact, typical=0.1) == {}


@given(graphs(), st.sampled_from(["inference", "training"]))
def test_any_graph_has_the_gradients_of_the_reference(engine: Engine, truth: Engine, graph: Graph, mode: Any):
    arrays, inputs = random_arrays(graph), random_inputs(graph, 4)
    seeds = {name: normal((4, *graph.shapes[name]), 7 + number) for number, name in enumerate(graph.outputs)}
    gradients: list[Array] = []
    for e in (engine, truth):
        program = e.compile(graph, batch_size=4, mode=mode, differentiable=True)
        program.forward(state_with(e, graph, arrays), inputs)
        program.backward(seeds)
        names = ("input", *graph.parameters) if _reaches(graph) else tuple(graph.parameters)
        gradients.append(np.concatenate([program.gradient(name).ravel() for name in names]))
    error = np.linalg.norm(gradients[0] - gradients[1]) / max(1.0, float(np.linalg.norm(gradients[1])))
    assert error <= 1e-4


def _reaches(graph: Graph) -> bool:
    """Whether the input has a reader whose value leads to an output."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return "input" in needed

"""What tests share: an error measure, random arrays, and one way to run a graph in an engine or in PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.engines import Engine, State, StepResult
from foveate.engines.base import Mode
from foveate.engines.reference import ReferenceEngine
from foveate.graph import Graph, GraphBuilder, Loss
from foveate.layers import Dropout, Layer, Log, Raise, Shape

Array = NDArray[Any]
Arrays = dict[str, Array]
TorchForward = Callable[[list[torch.Tensor], dict[str, torch.Tensor]], torch.Tensor]
"""forward(inputs, parameters and statistics by short name) -> output"""


@dataclass(frozen=True)
class Run:
    """What one forward and backward pass gave."""

    output: Array
    gradients: Arrays


def relative_error(actual: Any, expected: Any, *, typical: float = 0.0) -> float:
    """norm(actual - expected) / norm(expected), or the norm of `actual` where nothing is expected.

    With `typical` the expected elements count as at least that large on average: a sum whose terms happen to cancel is
    no less exact than another.
    """
    a, e = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert a.shape == e.shape, f"shape {a.shape}, expected {e.shape}"
    scale = max(float(np.linalg.norm(e)), typical * e.size**0.5)
    return float(np.linalg.norm(a - e)) / scale if scale else float(np.linalg.norm(a))


def beyond(
    bound: float, actual: Mapping[str, Any], expected: Mapping[str, Any], *, typical: float = 0.0
) -> dict[str, float]:
    """Arrays whose relative error is not within `bound`, by name; a test asserts that there are none."""
    assert set(actual) == set(expected)
    errors = {name: relative_error(actual[name], expected[name], typical=typical) for name in expected}
    return {name: error for name, error in errors.items() if not error <= bound}


def bound(engine: Engine, *, double: float, single: float) -> float:
    """The bound for this engine's precision."""
    return double if isinstance(engine, ReferenceEngine) and engine.dtype is np.float64 else single


def normal(shape: Sequence[int], seed: int = 0) -> Array:
    """Normal numbers as float64, each exact in float32, so every engine sees the same."""
    return np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32).astype(np.float64)


def random_arrays(graph: Graph, seed: int = 0) -> Arrays:
    """Every parameter and statistic of `graph`, none at the value it starts with, each exact in float32."""
    random = np.random.default_rng([seed, 1])
    arrays = {}
    for name, parameter in graph.parameters.items():
        scale = 1 / np.sqrt(parameter.fan_in) if len(parameter.shape) > 1 else 0.3
        centre = 1.0 if parameter.initializer == "ones" else 0.0
        arrays[name] = centre + scale * random.standard_normal(parameter.shape)
    for name, statistic in graph.statistics.items():
        arrays[name] = statistic.initial + 0.4 * random.uniform(-1, 1, statistic.shape)
    return {name: array.astype(np.float32).astype(np.float64) for name, array in arrays.items()}


def single_layer(layer: Layer, *shapes: Shape) -> Graph:
    """`layer` alone, called "layer", after "input", or "input1", "input2" where it has several."""
    builder = GraphBuilder()
    names = ["input"] if len(shapes) == 1 else [f"input{number}" for number in range(1, len(shapes) + 1)]
    values = [builder.input(shape, name) for shape, name in zip(shapes, names, strict=True)]
    return builder.build(builder.add(layer, *values, name="layer"), quiet=True)


def random_inputs(graph: Graph, batch_size: int, seed: int = 0) -> Arrays:
    """A batch for every input of `graph`, above 0 for layers that make NaN of negative numbers."""
    positive = {name for node in graph.nodes if isinstance(node.layer, Log | Raise) for name in node.inputs[:1]}
    made = {
        name: normal((batch_size, *shape), seed + 100 + number)
        for number, (name, shape) in enumerate(graph.inputs.items())
    }
    return {name: abs(batch) + 0.125 if name in positive else batch for name, batch in made.items()}


def random_seed(graph: Graph, batch_size: int, seed: int = 0) -> Array:
    """A gradient for the only output of `graph`."""
    return normal((batch_size, *graph.output_shape), seed + 200)


def state_with(engine: Engine, graph: Graph, arrays: Mapping[str, Array], **options: Any) -> State:
    """A new state that holds `arrays`."""
    state = engine.new_state(graph, **options)
    for name, array in arrays.items():
        state.load(name, array)
    return state


def run(
    engine: Engine, graph: Graph, arrays: Mapping[str, Array], inputs: Arrays, seed: Array, *, mode: Mode = "training"
) -> Run:
    """Forward and backward in `engine`: the output, and the gradients of every input and parameter."""
    program = engine.compile(graph, batch_size=len(seed), mode=mode, differentiable=True)
    state = state_with(engine, graph, arrays)
    output = program.forward(state, inputs)[graph.only_output]
    program.backward({graph.only_output: seed})
    return Run(output, {name: program.gradient(name) for name in (*graph.inputs, *graph.parameters)})


def run_torch(forward: TorchForward, graph: Graph, arrays: Mapping[str, Array], inputs: Arrays, seed: Array) -> Run:
    """The same in PyTorch, in float64; `forward` gets the arrays of a single layer by their short names."""
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in inputs.items()}
    arrays_of = {name: torch.tensor(array, requires_grad=name in graph.parameters) for name, array in arrays.items()}
    output = forward(list(tensors.values()), {name.rsplit(".", 1)[-1]: array for name, array in arrays_of.items()})
    tensors |= {name: arrays_of[name] for name in graph.parameters}
    gradients = torch.autograd.grad(output, list(tensors.values()), torch.tensor(seed))
    return Run(output.detach().numpy(), {name: g.numpy() for name, g in zip(tensors, gradients, strict=True)})


def stepped(
    engine: Engine, loss: Loss, x: Array, targets: Any, sample_weight: Array | None = None
) -> tuple[StepResult, Array]:
    """One step of a network whose output is its input: the result, and the gradient of the output."""
    graph = single_layer(Dropout(0.0), x.shape[1:])
    program = engine.compile(graph, batch_size=len(x), mode="training", loss=loss, keep=("input",))
    return program.step(engine.new_state(graph), x, targets, sample_weight=sample_weight), program.gradient("input")

"""Whole networks: loss and every gradient of a training step, against the same network written in PyTorch."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph
from foveate.zoo import make
from tests.engines.torch_networks import NETWORKS
from tests.support import Array, Arrays, beyond, normal, random_arrays, relative_error, state_with

BATCH = 4
FLOOR = 1e-6
"""Where PyTorch in float32 happens to be nearly exact, this much error is still none."""
BATCHES = {"lenet5": 7, "vgg6": 13, "resnet20": 37}
"""Seeds of batches in which no ReLU is within 7e-6 of its kink and no maximum within 1e-5 of the second: rounding to
float32 turns none over."""

every_network = pytest.mark.parametrize("name", NETWORKS)


def labels_of(graph: Graph) -> Array:
    return np.random.default_rng(5).integers(0, graph.output_shape[0], BATCH)


def torch_network(graph: Graph, arrays: Mapping[str, Array], dtype: torch.dtype) -> nn.Module:
    """The PyTorch network with the arrays of `graph`: parameters and statistics stand in the same order."""
    network = NETWORKS[graph.name]().to(dtype)
    own = [buffer for name, buffer in network.named_buffers() if "running" in name]
    with torch.no_grad():
        for parameter, name in zip(network.parameters(), graph.parameters, strict=True):
            assert tuple(parameter.shape) == graph.parameters[name].shape
            parameter.copy_(torch.tensor(arrays[name]))
        for buffer, name in zip(own, graph.statistics, strict=True):
            buffer.copy_(torch.tensor(arrays[name]))
    return network


def torch_step(graph: Graph, arrays: Mapping[str, Array], x: Array, dtype: torch.dtype) -> tuple[float, Arrays]:
    """Loss, and the gradients by foveate's names, with the running statistics after the step beside them."""
    network = torch_network(graph, arrays, dtype).train()
    loss = nn.functional.cross_entropy(network(torch.tensor(x, dtype=dtype)), torch.tensor(labels_of(graph)))
    loss.backward()
    statistics = [buffer for name, buffer in network.named_buffers() if "running" in name]
    measured = {name: p.grad.double().numpy() for name, p in zip(graph.parameters, network.parameters(), strict=True)}
    measured |= {name: s.double().numpy() for name, s in zip(graph.statistics, statistics, strict=True)}
    return loss.item(), measured


def step(engine: Engine, graph: Graph, arrays: Mapping[str, Array], x: Array) -> tuple[float, Arrays]:
    """The same in an engine."""
    state = state_with(engine, graph, arrays)
    program = engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy())
    loss = program.step(state, x, labels_of(graph)).loss
    measured = {name: program.gradient(name) for name in graph.parameters}
    return loss, measured | {name: state.read(name) for name in graph.statistics}


@cache
def example(name: str) -> tuple[Graph, Arrays, Array]:
    """A network, arrays for it and a batch."""
    graph = make(name)
    return graph, random_arrays(graph, seed=3), normal((BATCH, *graph.input_shape), BATCHES[name])


@cache
def exact_step(name: str) -> tuple[float, Arrays]:
    """PyTorch in float64."""
    return torch_step(*example(name), torch.float64)


@cache
def rounded_step(name: str) -> tuple[float, Arrays]:
    """PyTorch in float32."""
    return torch_step(*example(name), torch.float32)


def joined(graph: Graph, measured: Arrays) -> Array:
    """All parameter gradients as one vector."""
    return np.concatenate([measured[name].ravel() for name in graph.parameters])


@every_network
def test_the_reference_engine_in_float64_trains_like_pytorch(name: str, truth: Engine):
    exact_loss, exact = exact_step(name)
    loss, measured = step(truth, *example(name))
    assert loss == pytest.approx(exact_loss, rel=1e-9)
    assert beyond(1e-9, measured, exact) == {}


@every_network
def test_the_loss_is_as_near_to_float64_as_pytorchs_in_float32(name: str, engine: Engine):
    exact_loss, _ = exact_step(name)
    theirs = abs(rounded_step(name)[0] - exact_loss) / exact_loss
    loss, _ = step(engine, *example(name))
    assert abs(loss - exact_loss) / exact_loss <= 3 * theirs + FLOOR


@every_network
def test_the_gradients_are_as_near_to_float64_as_pytorchs_in_float32(name: str, engine: Engine):
    graph = example(name)[0]
    exact = joined(graph, exact_step(name)[1])
    theirs = relative_error(joined(graph, rounded_step(name)[1]), exact)
    _, measured = step(engine, *example(name))
    assert relative_error(joined(graph, measured), exact) <= 3 * theirs + FLOOR


@every_network
def test_no_single_gradient_or_statistic_is_wrong(name: str, engine: Engine):
    """Each array by itself: a wrong small one would vanish in the norm of all."""
    _, exact = exact_step(name)
    _, rounded = rounded_step(name)
    _, measured = step(engine, *example(name))
    allowed = {key: 3 * relative_error(rounded[key], exact[key]) + 1e-5 for key in exact}
    errors = {key: relative_error(measured[key], exact[key]) for key in exact}
    assert {key: error for key, error in errors.items() if not error <= allowed[key]} == {}


@every_network
def test_inference_agrees_with_pytorch_in_evaluation(name: str, engine: Engine):
    graph, arrays, x = example(name)
    program = engine.compile(graph, batch_size=BATCH, mode="inference")
    output = program.forward(state_with(engine, graph, arrays), x)[graph.only_output]
    with torch.no_grad():
        exact, rounded = (
            torch_network(graph, arrays, dtype).eval()(torch.tensor(x, dtype=dtype)).numpy()
            for dtype in (torch.float64, torch.float32)
        )
    assert relative_error(output, exact) <= 3 * relative_error(rounded, exact) + FLOOR


@every_network
def test_the_reference_engine_in_float64_infers_like_pytorch(name: str, truth: Engine):
    graph, arrays, x = example(name)
    program = truth.compile(graph, batch_size=BATCH, mode="inference")
    output = program.forward(state_with(truth, graph, arrays), x)[graph.only_output]
    with torch.no_grad():
        exact = torch_network(graph, arrays, torch.float64).eval()(torch.tensor(x)).numpy()
    assert relative_error(output, exact) <= 1e-9


@every_network
def test_a_step_counts_the_correct_answers(name: str, engine: Engine):
    graph, arrays, x = example(name)
    training = engine.compile(
        graph,
        batch_size=BATCH,
        mode="training",
        loss=fv.CrossEntropy(),
    )
    first = training.step(state_with(engine, graph, arrays), x, labels_of(graph))
    logits = training.activation(graph.only_output)
    assert first.correct == int((logits.argmax(1) == labels_of(graph)).sum())
    assert training.step(state_with(engine, graph, arrays), x, logits.argmax(1)).correct == BATCH

"""Whole networks in which Winograd's convolution does most of the work, against PyTorch float32's own error.

Tanh instead of ReLU and average instead of maximum, because a flipped one would hide what the products lose.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import foveate as fv
from foveate.engines import State, get_engine
from foveate.engines.native import _native
from foveate.graph import Block, Graph, GraphBuilder
from tests.engines.torch_networks import resnet20
from tests.support import relative_error

CHANNELS = (32, 32, 64, 64, 128, 128)


def plain_network() -> Graph:
    blocks: list[Block] = []
    for position, channels in enumerate(CHANNELS):
        blocks += [fv.Conv2d(channels, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.Tanh()]
        blocks += [fv.AvgPool2d(2)] * (position % 2)
    return fv.Sequential(*blocks, fv.Flatten(), fv.Linear(10)).build((1, 28, 28), quiet=True)


def plain_network_in_pytorch() -> nn.Module:
    layers: list[nn.Module] = []
    incoming = 1
    for position, channels in enumerate(CHANNELS):
        layers += [nn.Conv2d(incoming, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.Tanh()]
        layers += [nn.AvgPool2d(2)] * (position % 2)
        incoming = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1152, 10))


def smooth_resnet20() -> Graph:
    """The zoo's ResNet-20 with Tanh for each ReLU: nineteen convolutions deep."""
    builder, values = GraphBuilder(), {}
    original = fv.zoo.resnet20()
    values[original.only_input] = builder.input(original.input_shape)
    for node in original.nodes:
        layer = fv.Tanh() if isinstance(node.layer, fv.ReLU) else node.layer
        values[node.name] = builder.add(layer, *(values[name] for name in node.inputs), name=node.name)
    return builder.build(values[original.only_output], quiet=True)


def pytorchs_gradients(net: nn.Module, state: State, x: NDArray, y: NDArray) -> NDArray:
    dtype = next(net.parameters()).dtype
    with torch.no_grad():
        for name, parameter in zip(state.graph.parameters, net.parameters(), strict=True):
            parameter.copy_(torch.tensor(state.read(name)))
    nn.functional.cross_entropy(net(torch.tensor(x).to(dtype)), torch.tensor(y)).backward()
    return np.concatenate([parameter.grad.double().numpy().ravel() for parameter in net.parameters()])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("graph", "in_pytorch", "batch_size", "winograd_steps"),
    [(plain_network(), plain_network_in_pytorch, 32, 15), (smooth_resnet20(), lambda: resnet20(nn.Tanh), 16, 40)],
    ids=["six convolutions", "resnet20"],
)
def test_the_gradients_are_within_three_times_pytorchs_own_error(
    graph: Graph, in_pytorch: Callable[[], nn.Module], batch_size: int, winograd_steps: int, seed: int
):
    random = np.random.default_rng(seed)
    x = random.standard_normal((batch_size, *graph.input_shape)).astype(np.float32)
    y = random.integers(0, 10, batch_size)
    engine = get_engine("native")
    state = engine.new_state(graph, seed=seed)
    program = engine.compile(graph, batch_size=batch_size, mode="training", loss=fv.CrossEntropy())
    by_winograd = sum("winograd" in step.implementation for step in program.steps())
    assert by_winograd >= winograd_steps if _native.winograd_available() else by_winograd == 0
    exact = pytorchs_gradients(in_pytorch().double(), state, x, y)
    theirs = relative_error(pytorchs_gradients(in_pytorch(), state, x, y), exact)
    program.step(state, x, y)
    ours = relative_error(np.concatenate([program.gradient(name).ravel() for name in graph.parameters]), exact)
    assert ours <= 3 * theirs, (ours, theirs)

"""A whole network in which Winograd's convolution does most of the work, against PyTorch float32's own error.

Tanh and average pooling, because a flipped ReLU or maximum would hide what the products lose.
"""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import foveate as fv
from foveate.engines import State, get_engine
from foveate.engines.native import _native
from foveate.graph import Block, Graph

BATCH = 32
CHANNELS = (32, 32, 64, 64, 128, 128)


def network() -> Graph:
    blocks: list[Block] = []
    for position, channels in enumerate(CHANNELS):
        blocks += [fv.Conv2d(channels, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.Tanh()]
        blocks += [fv.AvgPool2d(2)] * (position % 2)
    return fv.Sequential(*blocks, fv.Flatten(), fv.Linear(10)).build((1, 28, 28), quiet=True)


def in_pytorch() -> nn.Sequential:
    layers: list[nn.Module] = []
    incoming = 1
    for position, channels in enumerate(CHANNELS):
        layers += [nn.Conv2d(incoming, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.Tanh()]
        layers += [nn.AvgPool2d(2)] * (position % 2)
        incoming = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1152, 10))


def pytorchs_gradients(state: State, x: NDArray, y: NDArray, dtype: torch.dtype) -> NDArray:
    net = in_pytorch().to(dtype)
    with torch.no_grad():
        for name, parameter in zip(state.graph.parameters, net.parameters(), strict=True):
            parameter.copy_(torch.tensor(state.read(name)))
    nn.functional.cross_entropy(net(torch.tensor(x).to(dtype)), torch.tensor(y)).backward()
    return np.concatenate([parameter.grad.double().numpy().ravel() for parameter in net.parameters()])


@pytest.mark.skipif(not _native.winograd_available(), reason="the kernels need AVX-512")
@pytest.mark.parametrize("seed", range(3))
def test_the_gradients_are_within_three_times_pytorchs_own_error(seed: int):
    graph, random = network(), np.random.default_rng(seed)
    x = random.standard_normal((BATCH, 1, 28, 28)).astype(np.float32)
    y = random.integers(0, 10, BATCH)
    engine = get_engine("native")
    state = engine.new_state(graph, seed=seed)
    program = engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy())
    assert sum("winograd" in step.implementation for step in program.steps()) >= 15
    exact, theirs = (pytorchs_gradients(state, x, y, dtype) for dtype in (torch.float64, torch.float32))
    program.step(state, x, y)
    ours = np.concatenate([program.gradient(name).ravel() for name in graph.parameters])
    errors = [np.linalg.norm(gradients - exact) / np.linalg.norm(exact) for gradients in (ours, theirs)]
    assert errors[0] <= 3 * errors[1], errors

"""A small network of most kinds of layers, here and in PyTorch, with batches and labels for it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

import foveate as fv
from foveate.engines import State
from tests.support import Array, Arrays, normal

STEPS = 5


BATCH = 6


LABELS = np.array([0, 2, 1, 3, 3, 0])


NETWORK = fv.Sequential(
    fv.Conv2d(8, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2),
    fv.Conv2d(5, 3), fv.LeakyReLU(), fv.Flatten(), fv.Linear(4),
).build((3, 8, 8))  # fmt: skip


def torch_network() -> nn.Sequential:
    """NETWORK in PyTorch, in float64; its parameters stand in the same order."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 5, 3), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(20, 4),
    ).double()  # fmt: skip


def loaded(network: nn.Sequential, arrays: Arrays) -> nn.Sequential:
    """`network` with the arrays of NETWORK."""
    buffers = [buffer for name, buffer in network.named_buffers() if "running" in name]
    with torch.no_grad():
        for tensor, name in zip(
            [*network.parameters(), *buffers], [*NETWORK.parameters, *NETWORK.statistics], strict=True
        ):
            tensor.copy_(torch.tensor(arrays[name]))
    return network


def read(state: State, names: Sequence[str] | None = None) -> Arrays:
    """The state's parameters and statistics, or those of `names`."""
    return {name: state.read(name) for name in (names or state.names())}


def batches(steps: int = STEPS) -> list[Array]:
    """Batches in which no ReLU is within 1e-4 of its kink, nor a maximum of the second: rounding turns none over."""
    return [normal((BATCH, 3, 8, 8), 67 + step) for step in range(steps)]

"""Optimisers by the reference engine's formulas, many parameters at once.

PyTorch's own optimisers differ in small things: they leave a momentum of 0 out of the slots, for one.
The functions over lists of tensors are those that torch.optim is made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch

from foveate.engines import own_updates
from foveate.engines.program import Rates
from foveate.engines.torch.arrays import to_numpy, to_tensor
from foveate.graph import SGD, AdamW, Lion, Optimizer

Tensors = Sequence[torch.Tensor]


@dataclass(frozen=True, eq=False)
class Learning:
    """Parameters that learn alike: their gradients and slots, and what multiplies their rate; all are changed."""

    values: list[torch.Tensor]
    gradients: list[torch.Tensor]
    slots: dict[str, list[torch.Tensor]]
    decays: bool
    factor: float


def update(optimizer: Optimizer, learning: Learning, rates: Rates, step: int) -> None:
    """Change parameters and slots as one step does; `step` counts from 1."""
    rate = learning.factor * rates.learning_rate
    if not isinstance(optimizer, SGD | AdamW | Lion):
        _own(optimizer, learning, rates._replace(learning_rate=rate), step)
        return
    kept = optimizer.momentum if rates.momentum is None else rates.momentum
    decay = optimizer.weight_decay if learning.decays else 0.0
    if isinstance(optimizer, SGD):
        _sgd(optimizer, learning, rate, kept, decay)
    elif isinstance(optimizer, Lion):
        _lion(optimizer, learning, rate, kept, decay)
    else:
        _adamw(optimizer, learning, rate, kept, decay, step)


def clip(gradients: list[torch.Tensor], most: float) -> float:
    """Scale gradients so that the norm of all together is at most `most`; returns the norm before."""
    norms = torch._foreach_norm(gradients, 2, torch.float64) if gradients else []  # without a copy of all of them
    norm = float(torch.linalg.vector_norm(torch.stack(list(norms)))) if gradients else 0.0
    factor = most / (norm + 1e-6)
    if factor < 1 and isfinite(norm):
        torch._foreach_mul_(gradients, factor)
    return norm


def _sgd(optimizer: SGD, learning: Learning, rate: float, kept: float, decay: float) -> None:
    velocities, gradients = learning.slots["momentum"], learning.gradients
    if decay:
        gradients = list(torch._foreach_add(gradients, learning.values, alpha=decay))
    torch._foreach_mul_(velocities, kept)
    torch._foreach_add_(velocities, gradients)
    if optimizer.nesterov:
        directions = list(torch._foreach_add(gradients, velocities, alpha=kept))
        torch._foreach_add_(learning.values, directions, alpha=-rate)
    else:
        torch._foreach_add_(learning.values, velocities, alpha=-rate)


def _adamw(optimizer: AdamW, learning: Learning, rate: float, kept: float, decay: float, step: int) -> None:
    second, gradients = optimizer.second_momentum, learning.gradients
    means, squares = learning.slots["mean"], learning.slots["mean_square"]
    torch._foreach_mul_(means, kept)
    torch._foreach_add_(means, gradients, alpha=1 - kept)
    torch._foreach_mul_(squares, second)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
    roots = torch._foreach_div(squares, 1 - second**step)
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, optimizer.eps)
    if decay:
        torch._foreach_mul_(learning.values, 1 - rate * decay)
    torch._foreach_addcdiv_(learning.values, means, roots, -rate / (1 - kept**step))


def _lion(optimizer: Lion, learning: Learning, rate: float, kept: float, decay: float) -> None:
    second, gradients, means = optimizer.second_momentum, learning.gradients, learning.slots["mean"]
    directions = torch._foreach_mul(means, kept)
    torch._foreach_add_(directions, gradients, alpha=1 - kept)
    torch._foreach_sign_(directions)
    torch._foreach_mul_(means, second)
    torch._foreach_add_(means, gradients, alpha=1 - second)
    if decay:
        torch._foreach_mul_(learning.values, 1 - rate * decay)
    torch._foreach_add_(learning.values, directions, alpha=-rate)


def _own(optimizer: Optimizer, learning: Learning, rates: Rates, step: int) -> None:
    """An optimiser of one's own computes in NumPy, parameter by parameter."""
    for index, (value, gradient) in enumerate(zip(learning.values, learning.gradients, strict=True)):
        slots = {name: tensors[index] for name, tensors in learning.slots.items()}
        arrays = {name: to_numpy(tensor) for name, tensor in slots.items()}
        one = own_updates.Learning(to_numpy(value), to_numpy(gradient), arrays, learning.decays)
        value.copy_(to_tensor(own_updates.own_update(optimizer, one, rates, step), value.device))
        for name, tensor in slots.items():
            tensor.copy_(to_tensor(arrays[name], tensor.device))

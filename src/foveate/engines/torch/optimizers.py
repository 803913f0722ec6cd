"""Optimisers by the reference engine's formulas, many parameters at once.

PyTorch's own optimisers differ in small things: they leave a momentum of 0 out of the slots, for one.
The functions over lists of tensors are those that torch.optim is made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from foveate.engines.program import Rates
from foveate.graph import SGD, AdamW, Optimizer

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
    kept = optimizer.momentum if rates.momentum is None else rates.momentum
    decay = optimizer.weight_decay if learning.decays else 0.0
    rate = learning.factor * rates.learning_rate
    if isinstance(optimizer, SGD):
        _sgd(optimizer, learning, rate, kept, decay)
    else:
        _adamw(optimizer, learning, rate, kept, decay, step)


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

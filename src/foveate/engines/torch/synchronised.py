"""Sums over the processes of a group that gradients go back through, and batch normalisation over their whole batch."""

from typing import Any

import torch

from foveate.engines.group import Group
from foveate.layers.normalization import BatchNormalization


class _Sum(torch.autograd.Function):
    """The sum over the group; every process's result depends on every one's input."""

    @staticmethod
    def forward(ctx: Any, group: Group, tensor: torch.Tensor) -> torch.Tensor:
        ctx.group = group
        total = tensor.clone()
        group.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        total = gradient.clone()
        ctx.group.all_reduce(total)
        return None, total


def normalized(
    layer: BatchNormalization, x: torch.Tensor, statistics: dict[str, torch.Tensor], group: Group
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """(x - mean) / sqrt(var + eps) with the statistics of the group's whole batch, and the new running statistics."""
    axes = [0, *range(2, x.ndim)]
    count = x.new_tensor(float(x.numel() // x.shape[1]))
    group.all_reduce(count)
    mean = _sum(group, x.sum(axes)) / count
    centred = x - _per_channel(mean, x)
    var = _sum(group, (centred * centred).sum(axes)) / count
    measured = {"running_mean": mean.detach(), "running_var": var.detach() * (count / (count - 1))}
    new = {name: (1 - layer.momentum) * old + layer.momentum * measured[name] for name, old in statistics.items()}
    return centred * _per_channel(torch.rsqrt(var + layer.eps), x), new


def _sum(group: Group, tensor: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Sum.apply(group, tensor)  # type: ignore[no-untyped-call]
    return total


def _per_channel(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, *(1,) * (x.ndim - 2))

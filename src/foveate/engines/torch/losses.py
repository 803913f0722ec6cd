"""Losses and their gradients with respect to the network's output, on tensors; see engines.reference.losses.

Here an ignored target is -1, whatever index it had outside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from foveate.engines.group import Group
from foveate.engines.losses import measure_of
from foveate.engines.torch.arrays import to_numpy, to_tensor
from foveate.graph import L1, BinaryCrossEntropy, CrossEntropy, Dice, Focal, Huber, Loss, MeanSquaredError
from foveate.graph.losses import register_loss_type

Tensor: TypeAlias = torch.Tensor


@dataclass(frozen=True, eq=False)
class Measured:
    """A mean loss, its gradient with respect to the outputs, and the sum of the weights averaged over."""

    loss: Tensor
    gradient: Tensor
    weight: Tensor


Measure: TypeAlias = Callable[[Any, Tensor, Tensor, Tensor], Measured]
"""measure(loss, outputs, targets, sample_weight) -> Measured"""

Each: TypeAlias = Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
"""each(loss, outputs, targets) -> (the loss of each output, its slope)"""


def measure_loss(loss: Loss, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None) -> Measured:
    """The weighted mean loss of (N, K, ...) outputs, and its gradient; a loss without a rule here runs in NumPy."""
    weight = outputs.new_ones(len(outputs)) if sample_weight is None else sample_weight
    with torch.no_grad():
        return _LOSSES.get(type(loss), _in_numpy)(loss, outputs.detach(), targets, weight)


def is_known(loss: Loss) -> bool:
    """Whether a loss has a rule on tensors."""
    return type(loss) in _LOSSES


def register_loss(loss_type: type[Loss], value: Callable[[Any, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Give a custom loss a form in PyTorch, which stays on the device.

    Args:
        loss_type: a frozen dataclass derived from foveate.Loss.
        value: (loss, outputs, targets, sample_weight) -> the mean loss, in operations that PyTorch differentiates;
            class indices that the loss ignores are -1.

    Raises:
        LayerError: it is not a frozen dataclass, or foveate already has a loss of that name.
    """
    register_loss_type(loss_type)

    def measure(loss: Any, outputs: Tensor, targets: Tensor, sample_weight: Tensor) -> Measured:
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            mean = value(loss, leaf, targets, sample_weight)
            (gradient,) = torch.autograd.grad(mean, leaf)
        return Measured(mean.detach(), gradient, sample_weight.sum())

    _LOSSES[loss_type] = measure


def count_correct(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """How many answers are correct, and out of how many: two whole numbers; as `engines.losses.count_correct`."""
    correct, counted = outputs.new_zeros((), dtype=torch.int64), 0
    if not targets.is_floating_point():
        counts = targets >= 0
        return torch.stack([(counts & (outputs.argmax(1) == targets)).sum(), counts.sum()])
    if "distributions" in loss.targets:
        right = outputs.argmax(1) == targets.argmax(1)
        correct, counted = right.sum(), right.numel()
    elif "probabilities" in loss.targets:
        right = (outputs > (0 if loss.applies == "sigmoid" else 0.5)) == (targets > 0.5)
        correct, counted = right.reshape(len(outputs), -1).all(1).sum(), len(outputs)
    return torch.stack([correct, torch.full_like(correct, counted)])


def of_group(group: Group, measured: Measured, count: Tensor) -> tuple[Measured, Tensor]:
    """What the whole group measured, and this process's share in the gradient of the whole batch's mean loss."""
    part = torch.where(measured.weight > 0, measured.weight * measured.loss, 0)
    sums = torch.stack([part, measured.weight, *count.to(part.dtype)])
    group.all_reduce(sums)
    total = sums[1]
    mean, share = (torch.where(total > 0, each / total, 0) for each in (sums[0], measured.weight))
    return Measured(mean, _times(share, measured.gradient), total), sums[2:].to(count.dtype)


def _in_numpy(loss: Loss, outputs: Tensor, targets: Tensor, sample_weight: Tensor) -> Measured:
    """A loss of somebody's own, which knows NumPy only."""
    measured = measure_of(loss)(loss, to_numpy(outputs), to_numpy(targets), to_numpy(sample_weight))
    gradient = to_tensor(measured.gradient, outputs.device).to(outputs.dtype)
    return Measured(outputs.new_tensor(measured.loss), gradient, outputs.new_tensor(measured.weight))


def _times(coefficient: Tensor, values: Tensor) -> Tensor:
    """Their product, in which 0 times anything is 0: values that do not count may be infinite."""
    return torch.where(coefficient != 0, coefficient * values, 0)


def _shares(sample_weight: Tensor, total: Tensor) -> Tensor:
    """Each sample's share in the mean; none has one if nothing counts."""
    return torch.where(total > 0, sample_weight / total, 0)


def _along(vector: Tensor, axis: int, like: Tensor) -> Tensor:
    """A vector as a tensor along one axis of `like`."""
    return vector.reshape([len(vector) if number == axis else 1 for number in range(like.ndim)])


def _one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """(N, *positions) class indices as (N, K, *positions); zeros where there is no class."""
    classes = _along(torch.arange(like.shape[1], device=like.device), 1, like)
    return (classes == targets[:, None]).to(like.dtype)


def _cross_entropy(loss: CrossEntropy, outputs: Tensor, targets: Tensor, sample_weight: Tensor) -> Measured:
    """Cross-entropy of (N, K, *positions) logits against class indices or soft labels."""
    classes = outputs.shape[1]
    weights = _along(outputs.new_tensor(loss.class_weights or [1.0] * classes), 1, outputs)
    hard = not targets.is_floating_point()
    plain = _one_hot(targets, outputs) if hard else targets
    counts = plain.sum(1, keepdim=True) if hard else torch.ones_like(plain[:, :1])
    wanted = weights * counts * ((1 - loss.label_smoothing) * plain + loss.label_smoothing / classes)
    weight = _along(sample_weight, 0, outputs) * ((weights * plain).sum(1, keepdim=True) if hard else counts)
    total = weight.sum()
    share = _along(_shares(sample_weight, total), 0, outputs)
    logs = functional.log_softmax(outputs, 1)
    slope = _times(wanted.sum(1, keepdim=True), logs.exp()) - wanted
    return Measured(-_times(share * wanted, logs).sum(), _times(share, slope), total)


def _dice(loss: Dice, outputs: Tensor, targets: Tensor, sample_weight: Tensor) -> Measured:
    """Dice loss of (N, K, *positions) logits against class indices."""
    logits = outputs.reshape(*outputs.shape[:2], -1)
    wanted = _one_hot(targets.reshape(len(targets), -1), logits)
    counts = wanted.sum(1, keepdim=True)
    weight = sample_weight * (counts != 0).any(2).any(1)
    total = weight.sum()
    share = _shares(weight, total)[:, None, None]
    found = _times(counts, functional.log_softmax(logits, 1).exp())
    above = 2 * (found * wanted).sum(2, keepdim=True) + loss.smooth
    below = (found + wanted).sum(2, keepdim=True) + loss.smooth
    each = 1 - (above / below).mean(1, keepdim=True)
    slope = (above / below - 2 * wanted) / below / logits.shape[1]
    gradient = found * (slope - (found * slope).sum(1, keepdim=True))
    return Measured(_times(share, each).sum(), _times(share, gradient).reshape(outputs.shape), total)


def _mean_of(each: Each) -> Measure:
    """The mean over a sample's outputs, then over the samples by weight."""

    def measure(loss: Any, outputs: Tensor, targets: Tensor, sample_weight: Tensor) -> Measured:
        total = sample_weight.sum()
        share = _along(sample_weight / total / outputs[0].numel(), 0, outputs)
        values, slopes = each(loss, outputs, targets)
        return Measured((share * values).sum(), share * slopes, total)

    return measure


def _binary_cross_entropy(loss: BinaryCrossEntropy, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    given = loss.pos_weight if isinstance(loss.pos_weight, tuple) else [loss.pos_weight or 1.0]
    yes, no = _along(x.new_tensor(given), 1, x) * t, 1 - t
    values = _times(yes, -functional.logsigmoid(x)) + _times(no, -functional.logsigmoid(-x))
    return values, no * torch.sigmoid(x) - yes * torch.sigmoid(-x)


def _focal(loss: Focal, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    plain, slope = _binary_cross_entropy(BinaryCrossEntropy(), x, t)
    wrong = t * torch.sigmoid(-x) + (1 - t) * torch.sigmoid(x)
    weight = 1.0 if loss.alpha is None else t * loss.alpha + (1 - t) * (1 - loss.alpha)
    # An answer that is right to the last digit has no slope, whatever the exponent.
    easier = torch.where(wrong != 0, wrong ** (loss.gamma - 1), 0) if loss.gamma else torch.zeros_like(wrong)
    of_wrong = loss.gamma * easier * (1 - 2 * t) * torch.sigmoid(x) * torch.sigmoid(-x)
    power = wrong**loss.gamma
    return weight * _times(power, plain), weight * (power * slope + _times(of_wrong, plain))


def _squared(loss: MeanSquaredError, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return (x - t) ** 2, 2 * (x - t)


def _absolute(loss: L1, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    difference = x - t
    return difference.abs(), torch.where(difference.isnan(), difference, difference.sign())


def _huber(loss: Huber, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    difference = x - t
    slope = difference.clamp(-loss.delta, loss.delta)
    return slope * (difference - slope / 2), slope


_LOSSES: dict[type[Loss], Measure] = {
    CrossEntropy: _cross_entropy,
    Dice: _dice,
    BinaryCrossEntropy: _mean_of(_binary_cross_entropy),
    Focal: _mean_of(_focal),
    MeanSquaredError: _mean_of(_squared),
    L1: _mean_of(_absolute),
    Huber: _mean_of(_huber),
}

"""Losses as descriptions; the engines know how to compute them."""

from dataclasses import dataclass
from typing import TypeAlias

from foveate.errors import LayerError


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of the softmax of logits against class indices, averaged over the batch.

        loss = -sum over k of q[k] log softmax(logits)[k],   q = (1 - s) onehot + s / K

    Args:
        label_smoothing: s, from 0 to below 1.

    Szegedy et al.: Rethinking the Inception architecture (label smoothing), 2015.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise LayerError(f"CrossEntropy: label_smoothing is {self.label_smoothing}; it must be at least 0, below 1")


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Cross-entropy of the sigmoid of each output against a target from 0 to 1, averaged over outputs and batch.

        loss = -(t log sigmoid(x) + (1 - t) log(1 - sigmoid(x)))

    For answers that do not exclude each other: the network's output x has one number (a logit) for each question, and
    targets have its shape (N, K); where K is 1, (N,) will do.
    """


@dataclass(frozen=True)
class MeanSquaredError:
    """Squared difference of output and target, averaged over outputs and batch: loss = (x - t)^2.

    Targets have the output's shape, (N, ...).
    """


Loss: TypeAlias = CrossEntropy | BinaryCrossEntropy | MeanSquaredError
"""Any loss."""

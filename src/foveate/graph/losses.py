"""Losses as descriptions; the engines know how to compute them."""

from dataclasses import dataclass

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


Loss = CrossEntropy
"""Any loss."""

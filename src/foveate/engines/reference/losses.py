"""Losses and their gradients with respect to the network's output."""

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.graph import CrossEntropy


def log_softmax(logits: FloatArray) -> FloatArray:
    """(N, K) logits to logarithms of probabilities, without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def cross_entropy(
    loss: CrossEntropy, logits: FloatArray, targets: NDArray[np.int64], sample_weight: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """The (weighted) mean loss of (N, K) logits, and its gradient (N, K)."""
    count, classes = logits.shape
    wanted = np.full_like(logits, loss.label_smoothing / classes)
    wanted[np.arange(count), targets] += 1 - loss.label_smoothing
    weight = np.ones(count, logits.dtype) if sample_weight is None else sample_weight
    share = (weight / weight.sum())[:, None]
    logs = log_softmax(logits)
    return float(-(share * wanted * logs).sum()), np.asarray(share * (np.exp(logs) - wanted))

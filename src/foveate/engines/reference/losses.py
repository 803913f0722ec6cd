"""Losses and their gradients with respect to the network's output."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.reference.activations import log_softmax, sigmoid
from foveate.graph import BinaryCrossEntropy, CrossEntropy, Loss


def loss_and_gradient(
    loss: Loss, outputs: FloatArray, targets: NDArray[Any], sample_weight: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """The (weighted) mean loss of (N, ...) outputs, and its gradient of the same shape."""
    if isinstance(loss, CrossEntropy):
        return cross_entropy(loss, outputs, targets, sample_weight)
    share = _shares(outputs, sample_weight).reshape(-1, *(1,) * (outputs.ndim - 1)) / outputs[0].size
    if isinstance(loss, BinaryCrossEntropy):
        each = np.maximum(outputs, 0) - outputs * targets + np.log1p(np.exp(-np.abs(outputs)))
        return float((share * each).sum()), share * (sigmoid(outputs) - targets)
    difference = outputs - targets
    return float((share * difference**2).sum()), 2 * share * difference


def count_correct(loss: Loss, outputs: FloatArray, targets: NDArray[Any]) -> int:
    """Samples of the right class, or whose every output is on the target's side of 0; none for a squared error."""
    if isinstance(loss, CrossEntropy):
        return int((outputs.argmax(axis=1) == targets).sum())
    if isinstance(loss, BinaryCrossEntropy):
        right = (outputs > 0) == (targets > 0.5)
        return int(right.reshape(len(outputs), -1).all(axis=1).sum())
    return 0


def cross_entropy(
    loss: CrossEntropy, logits: FloatArray, targets: NDArray[np.int64], sample_weight: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """The (weighted) mean loss of (N, K) logits, and its gradient (N, K)."""
    count, classes = logits.shape
    wanted = np.full_like(logits, loss.label_smoothing / classes)
    wanted[np.arange(count), targets] += 1 - loss.label_smoothing
    share = _shares(logits, sample_weight)[:, None]
    logs = log_softmax(logits)
    return float(-(share * wanted * logs).sum()), np.asarray(share * (np.exp(logs) - wanted))


def _shares(outputs: FloatArray, sample_weight: FloatArray | None) -> FloatArray:
    """(N,) shares of each sample in the mean; they sum to 1."""
    weight = np.ones(len(outputs), outputs.dtype) if sample_weight is None else sample_weight
    return np.asarray(weight / weight.sum())

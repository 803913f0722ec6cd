"""Metrics of labels that are not mutually exclusive, at one threshold and over all thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.tasks.metrics.base import ByName, Direction, Metric, mean_of, ratio

SCORES_KEPT = 2**24
"""How many probabilities average precision keeps (80 MB with their targets); beyond, it counts them in bins."""

BINS = 2**14
"""How many bins of equal width from 0 to 1 each label has, once there are more."""


class LabelCounts(Metric):
    """Precision, recall and F1 of each label, their means over the labels, and the fraction of samples entirely right.

        precision = TP / (TP + FP),   recall = TP / (TP + FN),   F1 = 2 TP / (2 TP + FP + FN)

    A label counts as found if its probability is above `threshold`. A label that was never found has no precision, and
    one without a positive sample no recall; such a number is None and is left out of the mean.
    """

    better: Mapping[str, Direction] = {
        "precision": "higher",
        "recall": "higher",
        "f1": "higher",
        "exact_match": "higher",
    }

    def __init__(self, labels: tuple[str, ...], threshold: float = 0.5) -> None:
        self.labels, self.threshold = labels, threshold
        self._both, self._found, self._true = np.zeros((3, len(labels)), np.int64)
        self._exact = self._samples = 0

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count (N, K) probabilities against (N, K) zeros and ones."""
        found, true = answers > self.threshold, targets > 0.5
        self._both += (found & true).sum(axis=0)
        self._found += found.sum(axis=0)
        self._true += true.sum(axis=0)
        self._exact += int((found == true).all(axis=1).sum())
        self._samples += len(answers)

    def numbers(self) -> ByName:
        """precision, recall and f1: means over the labels that have them; exact_match."""
        means = {name: mean_of(values) for name, values in self.each().items()}
        return {**means, "exact_match": ratio(self._exact, self._samples)}

    def each(self) -> Mapping[str, ByName]:
        """precision, recall and f1 of each label."""
        return {
            "precision": self._ratios(self._both, self._found),
            "recall": self._ratios(self._both, self._true),
            "f1": self._ratios(2 * self._both, self._found + self._true),
        }

    def _ratios(self, parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> ByName:
        return {name: ratio(part, whole) for name, part, whole in zip(self.labels, parts, wholes, strict=True)}


class AveragePrecision(Metric):
    """Average precision of each label, the area under precision over recall, and its mean over the labels.

        AP = sum over thresholds t of (recall[t] - recall[t - 1]) precision[t]

    Equal probabilities share one threshold. A label without a positive sample has no average precision (None) and is
    left out of the mean.

    Up to `SCORES_KEPT` probabilities are kept exactly; beyond that, all are counted in `BINS` bins
    for each label, and the probabilities in a bin share a threshold.
    """

    better: Mapping[str, Direction] = {"average_precision": "higher"}

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._kept: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        self._size = 0
        self._bins: NDArray[np.int64] | None = None

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Keep or count (N, K) probabilities together with their targets, (N, K) zeros and ones."""
        self._kept.append((answers.astype(np.float32), targets > 0.5))
        self._size += answers.size
        if self._size > SCORES_KEPT:
            self._count_in_bins()

    def numbers(self) -> ByName:
        """average_precision: the mean over the labels that have one."""
        return {"average_precision": mean_of(self.each()["average_precision"])}

    def each(self) -> Mapping[str, ByName]:
        """average_precision of each label."""
        found = zip(self.labels, map(self._of_label, range(len(self.labels))), strict=True)
        return {"average_precision": dict(found)}

    def _of_label(self, label: int) -> float | None:
        if self._bins is not None:
            positive, negative = self._bins[:, label, ::-1]
            return average_precision(positive, positive + negative)
        if not self._kept:
            return None
        scores = np.concatenate([scores[:, label] for scores, _ in self._kept])
        true = np.concatenate([targets[:, label] for _, targets in self._kept])
        _, place, counts = np.unique(-scores, return_inverse=True, return_counts=True)
        return average_precision(np.bincount(place, true).astype(np.int64), counts)

    def _count_in_bins(self) -> None:
        """Move the kept probabilities into the bins."""
        if self._bins is None:
            self._bins = np.zeros((2, len(self.labels), BINS), np.int64)
        for scores, true in self._kept:
            place = np.minimum((scores * BINS).astype(np.int64), BINS - 1) + np.arange(len(self.labels)) * BINS
            for row, chosen in enumerate((true, ~true)):
                counts = np.bincount(place[chosen], minlength=self._bins[row].size)
                self._bins[row] += counts.reshape(self._bins[row].shape)
        self._kept.clear()


def average_precision(positive: NDArray[np.int64], total: NDArray[np.int64]) -> float | None:
    """Average precision from the counts at each threshold, highest first; None if none is positive.

    >>> average_precision(np.array([1, 0, 1]), np.array([1, 1, 1]))  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    positive, total = positive[total > 0], total[total > 0]
    if not positive.sum():
        return None
    precision = positive.cumsum() / total.cumsum()
    return float((positive * precision).sum() / positive.sum())

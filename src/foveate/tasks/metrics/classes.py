"""Metrics of classification: how often the right class comes first or near the top, and how far to trust it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.tasks.metrics.base import ByName, Direction, Metric, ratio
from foveate.tasks.metrics.tally import Tally


class ClassAccuracy(Metric):
    """Share of samples whose most probable class is right: overall, by class, and the table of confusions.

    If probabilities are equal the first class counts. A class without a sample has no accuracy (None).
    """

    better: Mapping[str, Direction] = {"accuracy": "higher"}

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._tally = Tally(len(classes))

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count (N, K) probabilities against (N,) class indices, or (N, K) fractions of which the largest counts."""
        self._tally.add(answers.argmax(axis=1), right_class(targets))

    def numbers(self) -> ByName:
        """accuracy: correct / samples."""
        return {"accuracy": ratio(int(self._tally.correct.sum()), self._tally.total)}

    def each(self) -> Mapping[str, ByName]:
        """accuracy of each class: correct / samples of it."""
        counts = zip(self.classes, self._tally.correct, self._tally.actual, strict=True)
        return {"accuracy": {name: ratio(correct, count) for name, correct, count in counts}}

    def tables(self) -> Mapping[str, NDArray[np.int64]]:
        """confusion[i, j]: samples of class i that were taken for class j; for up to 1,024 classes."""
        return {} if self._tally.table is None else {"confusion": self._tally.table.copy()}


class TopAccuracy(Metric):
    """Share of samples whose class is among the `count` most probable.

    Classes as probable as the right one rank before it if their index is lower, as in `argmax`: a network that cannot
    tell classes apart gains nothing from ties.
    """

    def __init__(self, count: int = 5) -> None:
        self.count = count
        self.better = {self._name: "higher"}
        self._hits = self._samples = 0

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count (N, K) probabilities."""
        right = right_class(targets)[:, None]
        chosen = np.take_along_axis(answers, right, axis=1)
        earlier = np.arange(answers.shape[1]) < right
        rank = ((answers > chosen) | ((answers == chosen) & earlier)).sum(axis=1)
        self._hits += int((rank < self.count).sum())
        self._samples += len(answers)

    def numbers(self) -> ByName:
        """top5_accuracy, for a count of 5."""
        return {self._name: ratio(self._hits, self._samples)}

    @property
    def _name(self) -> str:
        return f"top{self.count}_accuracy"


class CalibrationError(Metric):
    """How far confidence and accuracy lie apart.

        error = sum over bins b of n[b] / N |accuracy[b] - confidence[b]|

    Samples are sorted by the probability of their most probable class into bins of equal width, ((b - 1)/B, b/B]; only
    the sums of each bin are kept.

    Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, 2017.
    """

    better: Mapping[str, Direction] = {"calibration_error": "lower"}

    def __init__(self, bins: int = 15) -> None:
        self._correct, self._confidence, self._count = np.zeros((3, bins))

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count (N, K) probabilities."""
        bins = len(self._count)
        confidence = answers.max(axis=1).astype(np.float64)
        correct = answers.argmax(axis=1) == right_class(targets)
        place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
        self._count += np.bincount(place, minlength=bins)
        self._correct += np.bincount(place, correct, bins)
        self._confidence += np.bincount(place, confidence, bins)

    def numbers(self) -> ByName:
        """calibration_error, from 0 to 1."""
        return {"calibration_error": ratio(float(np.abs(self._correct - self._confidence).sum()), self._count.sum())}


def right_class(targets: NDArray[Any]) -> NDArray[np.int64]:
    """Class indices (N,) unchanged; for fractions (N, K), the index of the largest."""
    return np.asarray(targets.argmax(axis=1) if targets.ndim == 2 else targets, np.int64)

"""Counts of which class was taken for which, among mutually exclusive classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_TABLE = 1024
"""The most classes for which the whole table is kept (8 MB); beyond, only its diagonal and its sums are."""


class Tally:
    """Counts by class: `actual` samples, `predicted` as such, `correct` ones; and the table if it is small.

    `table[i, j]` counts those of class i that were taken for class j.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.actual, self.predicted, self.correct = np.zeros((3, classes), np.int64)
        small = classes <= LARGEST_TABLE
        self.table: NDArray[np.int64] | None = np.zeros((classes, classes), np.int64) if small else None

    def add(self, predicted: NDArray[Any], actual: NDArray[Any]) -> None:
        """Count class indices of any shape."""
        taken, true = predicted.reshape(-1).astype(np.int64), actual.reshape(-1).astype(np.int64)
        self.actual += self._counts(true)
        self.predicted += self._counts(taken)
        self.correct += self._counts(true[taken == true])
        if self.table is not None:
            pairs = np.bincount(true * self.classes + taken)
            self.table.reshape(-1)[: len(pairs)] += pairs

    @property
    def total(self) -> int:
        """How many were counted."""
        return int(self.actual.sum())

    def _counts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(np.bincount(indices, minlength=self.classes), np.int64)

"""Metrics of regression: how far the values are off, and how much of their spread is explained."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.tasks.metrics.base import ByName, Direction, Metric, mean_of


class RegressionErrors(Metric):
    """Mean absolute error, root of the mean squared error and R2 of each value, and their means over the values.

        MAE = mean |y - t|,   RMSE = sqrt(mean (y - t)^2),   R2 = 1 - sum (y - t)^2 / sum (t - mean t)^2

    R2 is 1 for perfect answers and 0 for those no better than always answering the mean. A value whose targets are all
    the same has no R2 (None) and is left out of the mean.
    """

    better: Mapping[str, Direction] = {"mae": "lower", "rmse": "lower", "r2": "higher"}

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._count = 0
        self._absolute, self._squared, self._mean, self._spread = np.zeros((4, len(names)))
        self._lowest, self._highest = np.full(len(names), np.inf), np.full(len(names), -np.inf)

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count (N, K) values against (N, K) targets."""
        true = targets.astype(np.float64)
        difference = answers.astype(np.float64) - true
        self._absolute += np.abs(difference).sum(axis=0)
        self._squared += (difference**2).sum(axis=0)
        self._lowest = np.minimum(self._lowest, true.min(axis=0))
        self._highest = np.maximum(self._highest, true.max(axis=0))
        self._join(len(true), true.mean(axis=0), true.var(axis=0) * len(true))

    def numbers(self) -> ByName:
        """mae, rmse and r2: means over the values."""
        return {name: mean_of(values) for name, values in self.each().items()}

    def each(self) -> Mapping[str, ByName]:
        """mae, rmse and r2 of each value."""
        if not self._count:
            return {name: dict.fromkeys(self.names) for name in self.better}
        varied = (self._lowest < self._highest) & (self._spread > 0)
        explained = 1 - self._squared / np.where(varied, self._spread, 1)
        return {
            "mae": self._by_name(self._absolute / self._count),
            "rmse": self._by_name(np.sqrt(self._squared / self._count)),
            "r2": self._by_name(np.where(varied, explained, np.nan)),
        }

    def _join(self, count: int, mean: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        """Add a batch's mean and spread (Chan, Golub, LeVeque 1979): plain sums of squares would cancel."""
        total = self._count + count
        shift = mean - self._mean
        self._mean = self._mean + shift * count / total
        self._spread = self._spread + spread + shift**2 * self._count * count / total
        self._count = total

    def _by_name(self, values: NDArray[np.float64]) -> ByName:
        return {name: None if np.isnan(value) else float(value) for name, value in zip(self.names, values, strict=True)}

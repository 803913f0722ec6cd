"""The base of metrics: numbers accumulated batch by batch, each with the direction that is better."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Direction: TypeAlias = Literal["higher", "lower"]
"""Which direction is better."""

ByName: TypeAlias = Mapping[str, float | None]
"""A number for each class, label or value; None if the data do not determine it."""


class Metric(ABC):
    """One or more numbers about a network's answers, accumulated batch by batch in bounded memory.

    One of your own is a small class:

    >>> class LargestError(Metric):
    ...     better = {"largest_error": "lower"}
    ...     largest = 0.0
    ...     def update(self, answers, targets):
    ...         self.largest = max(self.largest, float(np.abs(answers - targets).max()))
    ...     def numbers(self):
    ...         return {"largest_error": self.largest}
    >>> metric = LargestError()
    >>> metric.update(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]))
    >>> metric.numbers()
    {'largest_error': 0.5}
    """

    better: Mapping[str, Direction]
    """The numbers that it measures, and which direction is better for each."""

    @abstractmethod
    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch: what the task decoded, and the targets as the task checked them."""

    @abstractmethod
    def numbers(self) -> ByName:
        """The numbers named in `better`; None if the data do not determine one."""

    def each(self) -> Mapping[str, ByName]:
        """Numbers for each class, label or value; none unless a metric says otherwise."""
        return {}

    def tables(self) -> Mapping[str, NDArray[np.int64]]:
        """Tables of counts, such as a confusion matrix; none unless a metric says otherwise."""
        return {}


def ratio(part: float, whole: float) -> float | None:
    """part / whole, or None if the whole is zero.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, None)
    """
    return float(part) / float(whole) if whole else None


def mean_of(values: Mapping[str, float | None]) -> float | None:
    """The mean of those that are numbers, or None if none is.

    >>> mean_of({"cat": 0.5, "dog": 1.0, "empty": None})
    0.75
    """
    there = [value for value in values.values() if value is not None]
    return sum(there) / len(there) if there else None

"""Answers beside their targets: of many samples as many as a figure can show, evenly chosen."""

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray

MOST_KEPT = 2_000
"""Samples kept at most."""


class Pairs:
    """Collects (N, K) answers and targets batch by batch: every sample, or every second, every fourth, ...

    >>> pairs = Pairs(most=3)
    >>> for start in (0, 4):
    ...     pairs.add(np.arange(start, start + 4.0)[:, None], np.zeros((4, 1)))
    >>> pairs.arrays()[0].ravel().tolist()
    [0.0, 4.0]
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._step = 1
        self._seen = 0
        self._kept: list[tuple[FloatArray, NDArray[np.float64]]] = []

    def add(self, answers: FloatArray, targets: FloatArray) -> None:
        """Count a batch."""
        for place in range(-self._seen % self._step, len(answers), self._step):
            self._kept.append((np.array(answers[place], np.float64), np.array(targets[place], np.float64)))
        self._seen += len(answers)
        while len(self._kept) > self._most:
            self._kept = self._kept[::2]
            self._step *= 2

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        """(answers, targets) of the samples kept."""
        answers, targets = zip(*self._kept, strict=True)
        return np.stack(answers), np.stack(targets)

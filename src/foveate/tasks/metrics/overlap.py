"""Metrics of segmentation: how well the areas of each class overlap."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.tasks.metrics.base import ByName, Direction, Metric, mean_of, ratio
from foveate.tasks.metrics.tally import Tally


class Overlap(Metric):
    """Intersection over union of each class, their mean, and the fraction of positions that are right.

        IoU = (in both) / (in the prediction or the target)

    Counted over all positions of all samples except those whose target is `ignore_index`. A class that is neither in
    the data nor in a prediction has no IoU (None) and is left out of the mean.

    Everingham et al.: The Pascal visual object classes challenge, 2015.
    """

    better: Mapping[str, Direction] = {"mean_iou": "higher", "pixel_accuracy": "higher"}

    def __init__(self, classes: tuple[str, ...], ignore_index: int | None = None) -> None:
        self.classes, self.ignore_index = classes, ignore_index
        self._tally = Tally(len(classes))

    def update(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count (N, *spatial) maps of class indices."""
        if self.ignore_index is not None:
            known = targets != self.ignore_index
            answers, targets = answers[known], targets[known]
        self._tally.add(answers, targets)

    def numbers(self) -> ByName:
        """mean_iou and pixel_accuracy."""
        correct = ratio(int(self._tally.correct.sum()), self._tally.total)
        return {"mean_iou": mean_of(self.each()["iou"]), "pixel_accuracy": correct}

    def each(self) -> Mapping[str, ByName]:
        """iou of each class."""
        both = self._tally.correct
        either = self._tally.actual + self._tally.predicted - both
        return {"iou": {name: ratio(b, e) for name, b, e in zip(self.classes, both, either, strict=True)}}

    def tables(self) -> Mapping[str, NDArray[np.int64]]:
        """confusion[i, j]: positions of class i that were taken for class j; for up to 1,024 classes."""
        return {} if self._tally.table is None else {"confusion": self._tally.table.copy()}

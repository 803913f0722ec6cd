"""Invariance in numbers: probabilities, surviving predictions and errors as arrays."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result
from foveate.graph import ReceptiveField


@dataclass(frozen=True, eq=False)
class ResponseCurve(Result):
    """The probabilities (V, classes) of one image at V `values` of one change, and the changed images as they look."""

    label: str
    values: NDArray[np.float64]
    probabilities: FloatArray
    images: FloatArray


@dataclass(frozen=True, eq=False)
class ResponseCurves(Result):
    """How a network responds to one image that moves, turns and grows; `turned` is None for signals.

    `target` is the class followed.
    """

    target: int
    moved: ResponseCurve
    turned: ResponseCurve | None
    scaled: ResponseCurve

    @property
    def curves(self) -> tuple[ResponseCurve, ...]:
        """The curves there are, in the order of a figure."""
        return tuple(curve for curve in (self.moved, self.turned, self.scaled) if curve is not None)


@dataclass(frozen=True, eq=False)
class SurvivingShare(Result):
    """Predictions on `samples` images shifted by each of S `shifts` pixels in each of D directions.

    `share` (S, D) is the fraction of predictions that are the same as without a shift, `accuracy` (S, D) the fraction
    that are right, both from 0 to 1; `directions` names the columns. `chance` is the accuracy of always answering the
    commonest class.
    """

    shifts: NDArray[np.int64]
    directions: tuple[str, ...]
    share: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    samples: int
    chance: float

    @property
    def learnt(self) -> bool:
        """Whether the network is right more often than chance explains, by three standard errors.

        One that always gives the same answer keeps all its predictions, which says nothing about shifts.
        """
        error = float(np.sqrt(self.chance * (1 - self.chance) / self.samples))
        return self.best > self.chance + 3 * error

    @property
    def best(self) -> float:
        """The largest accuracy, usually that of the smallest shift."""
        return float(self.accuracy.max(initial=0))


@dataclass(frozen=True, eq=False)
class EquivarianceError(Result):
    """How far the maps of L layers are from moving with the image, for S `shifts` in pixels along one axis.

    `interior` (L, S) looks only at positions that no padding has reached, NaN where there are none; `whole` (L, S) at
    all that both maps have. `jumps` (L,) is how many pixels a step in each map is, and `aligned` (L, S) says whether
    the shift is a whole number of such steps.
    """

    layers: tuple[str, ...]
    shifts: NDArray[np.int64]
    jumps: NDArray[np.float64]
    aligned: NDArray[np.bool_]
    interior: NDArray[np.float64]
    whole: NDArray[np.float64]


def squared_errors(still: FloatArray, moved: FloatArray, field: ReceptiveField, steps: Fraction) -> NDArray[np.float64]:
    """[error, expectation], squared and summed over all positions that can be compared, and over those in the
    interior."""
    size = still.shape[-1]
    places = np.arange(ceil(steps), size)
    if not len(places):
        return np.full((2, 2), np.nan)
    low = places - ceil(steps)
    weight = np.float32(ceil(steps) - steps)
    high = low + int(weight > 0)
    expected = still[..., low] * (1 - weight) + still[..., high] * weight
    axes = tuple(range(expected.ndim - 1))
    error = np.square(moved[..., places] - expected, dtype=np.float64).sum(axis=axes)
    norm = np.square(expected, dtype=np.float64).sum(axis=axes)
    inside = _inside(field, size)
    free = inside[low] & inside[places]
    if not free.any():
        return np.array([[error.sum(), norm.sum()], [np.nan, np.nan]])
    return np.array([[error.sum(), norm.sum()], [error[free].sum(), norm[free].sum()]])


def _inside(field: ReceptiveField, size: int) -> NDArray[np.bool_]:
    """Which positions of a map see only the frame along the last axis: not all of it, and no padding."""
    spans = [[each.span(place) for each in field.fields[-1]] for place in range(size)]
    last = field.input_sizes[-1] - 1
    local = field.jump[-1] > 0
    return np.array([local and all(s is not None and s[0] >= 0 and s[1] <= last for s in each) for each in spans])

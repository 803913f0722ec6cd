"""The sanity check in numbers: rank correlations of maps, and a verdict."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result

SIMILAR = 0.5
"""A map whose magnitudes keep a rank correlation of at least this has not changed; the paper names no number."""


@dataclass(frozen=True)
class SanityCheck(Result):
    """How the maps of N images change as parameters are made random, from the output layer down.

    `stages` names the lowest layer that is random at each of S stages; at the last, every parameter is. `maps`
    (S + 1, N, ...) begins with the trained network's. `signed` and `magnitudes` (S, N) are Spearman's rank correlations
    with those, of the signed values and of the magnitudes; a constant map has a correlation of 0.
    """

    method: str
    stages: tuple[str, ...]
    maps: FloatArray
    signed: FloatArray
    magnitudes: FloatArray

    def to_json(self) -> dict[str, Any]:
        """The fields, and what follows from them."""
        return super().to_json() | {"similarity": self.similarity, "passed": self.passed, "verdict": self.verdict}

    @property
    def similarity(self) -> float:
        """What is left in the fully random network: the larger of the two correlations in size, averaged over the
            images.

        Images whose map has one value everywhere before or after are left out, because nothing can be compared.
        """
        return abs(self._left)

    @property
    def _left(self) -> float:
        told = ~(self.flat[0] | self.flat[-1])
        left = (float(values[-1][told].mean()) for values in (self.signed, self.magnitudes))
        return max(left, key=abs) if told.any() else 0.0

    @property
    def _until(self) -> str:
        """The last stage at which the map was still similar, if there is one."""
        means = np.abs([values.mean(axis=1) for values in (self.signed, self.magnitudes)]).max(axis=0)
        alike = np.flatnonzero(means >= SIMILAR)
        return f"; with random parameters down to {self.stages[alike[-1]]} it was still similar" if len(alike) else ""

    @property
    def flat(self) -> NDArray[np.bool_]:
        """(S + 1, N): whether a map has one value everywhere, so it has no ranks to correlate."""
        flat: NDArray[np.bool_] = np.ptp(self.maps.reshape(*self.maps.shape[:2], -1), axis=2) == 0
        return flat

    @property
    def blank(self) -> bool:
        """Whether all maps of the trained or of the random network are flat, so no change can be measured."""
        return bool((self.flat[0] | self.flat[-1]).all())

    @property
    def passed(self) -> bool:
        """Whether the map changed: a similarity below 0.5, for a map that is not blank."""
        return not self.blank and self.similarity < SIMILAR

    @property
    def verdict(self) -> str:
        """The result as one sentence."""
        if self.blank:
            if self.flat[0].all():
                return "The unchanged network's map has one value everywhere, so the check can say nothing about it."
            return (
                "With all parameters random the map has one value everywhere, so the check can say nothing about it; "
                "another seed may give a map with more."
            )
        measured = f"(rank correlation {self._left:.2f})".replace("-", "\N{MINUS SIGN}")
        if self.passed:
            changed = f"With all parameters random the map is different {measured}"
            return f"{changed}, so it depends on what was learnt{self._until}."
        return f"The map hardly changes when the parameters are random {measured}: it shows the image."


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation of all values, in which ties share a rank; 0 if either array is constant.

    >>> round(rank_correlation(np.array([1, 2, 3, 9]), np.array([1, 4, 3, 100])), 3)
    0.8
    """
    first, second = (ranks - ranks.mean() for ranks in (_ranks(a), _ranks(b)))
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm else 0.0


def stage_correlations(maps: FloatArray) -> FloatArray:
    """The rank correlations (S, N) of each stage with the first, for maps (S + 1, N, ...)."""
    return np.array([[rank_correlation(*pair) for pair in zip(maps[0], stage, strict=True)] for stage in maps[1:]])


def _ranks(values: FloatArray) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return middles[places.reshape(-1)]

"""Filters as arrays: kernels in an informative order, and the frequencies that those over one axis pass."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result

Order: TypeAlias = Literal["norm", "similarity", "index"]
"""Largest norm first; similar ones next to each other; or in the network's order."""


@dataclass(frozen=True)
class Filters(Result):
    """The filters of a convolution: `kernels` (O, I/groups, *kernel), `indices` (O,) the output channel of each."""

    kernels: FloatArray
    indices: NDArray[np.int64]


def frequency_response(
    kernels: ArrayLike, *, dilation: int = 1, points: int = 257
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The gain of 1-D kernels at `points` frequencies from 0 to 1/2 cycle per sample.

        |H(f)| = |sum over t of w[t] exp(-2 pi i f D t)|

    Args:
        kernels: (..., taps).
        dilation: D, the distance between neighbouring taps.
        points: number of frequencies.

    Returns:
        frequencies (points,) in cycles per sample, and gains (..., points): how many times larger a wave comes out.

    >>> frequency_response([0.5, 0.5], points=3)[1].round(3).tolist()
    [1.0, 0.707, 0.0]
    """
    weights = np.asarray(kernels, np.float64)
    frequencies = np.linspace(0, 0.5, points)
    waves = np.exp(-2j * np.pi * dilation * np.outer(np.arange(weights.shape[-1]), frequencies))
    return frequencies, np.abs(weights @ waves)


def from_transposed(weight: FloatArray, groups: int) -> FloatArray:
    """(C, O/groups, *kernel) as (O, C/groups, *kernel)."""
    channels, share, *kernel = weight.shape
    grouped = weight.reshape(groups, channels // groups, share, *kernel)
    return grouped.swapaxes(1, 2).reshape(groups * share, channels // groups, *kernel)


def chain(flat: NDArray[np.float64]) -> NDArray[np.int64]:
    """A walk over all rows from the one with the largest norm, each time to the unvisited one most like the last."""
    norms = np.linalg.norm(flat, axis=1)
    unit = flat / np.where(norms, norms, 1)[:, None]
    walk = [int(norms.argmax())]
    left = np.ones(len(flat), bool)
    for _ in range(len(flat) - 1):
        left[walk[-1]] = False
        walk.append(int(np.where(left, unit @ unit[walk[-1]], -np.inf).argmax()))
    return np.array(walk, np.int64)

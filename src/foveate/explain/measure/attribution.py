"""Attributions as arrays: the result of integrated gradients, and maps resized to their input."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.errors import ShapeError
from foveate.explain.measure.result import Result
from foveate.geometry import format_sizes


@dataclass(frozen=True)
class IntegratedGradients(Result):
    """The result of `integrated_gradients` for N images.

    `attributions` (N, *input shape) sum to nearly `change` (N,), the class's score minus its score at the baseline;
    `completeness_error` (N,) is how far the sum exceeds that, and becomes smaller with more steps.
    """

    attributions: FloatArray
    change: FloatArray
    completeness_error: FloatArray


def upsample(maps: ArrayLike, sizes: Sequence[int]) -> FloatArray:
    """Maps (N, *spatial) resized to the spatial `sizes` by linear interpolation along each of one to three axes.

    Each position stands for the middle of its cell, as in PyTorch's `interpolate(align_corners=False)`.

    >>> upsample([[0.0, 4.0]], [4])
    array([[0., 1., 3., 4.]])

    Raises:
        ShapeError: there is not one size for each axis after the first.
    """
    values: FloatArray = np.asarray(maps, np.float64)
    if values.ndim != len(sizes) + 1:
        raise ShapeError(
            f"the maps are {format_sizes(values.shape)}, but {len(sizes)} sizes are given; give one for each axis "
            "after the first"
        )
    for axis, size in enumerate(sizes, start=1):
        values = np.moveaxis(np.moveaxis(values, axis, -1) @ _interpolation(values.shape[axis], size).T, -1, axis)
    return np.ascontiguousarray(values)


def _interpolation(size: int, wanted: int) -> NDArray[np.float64]:
    """(wanted, size) weights of linear interpolation between the middles of cells."""
    places = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    lower = np.minimum(places.astype(int), max(0, size - 2))
    weights = np.zeros((wanted, size))
    weights[np.arange(wanted), lower] = 1 - (places - lower)
    weights[np.arange(wanted), np.minimum(lower + 1, size - 1)] += places - lower
    return weights

"""Normalisations compared: which values share one mean and variance, and how values are spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.errors import LayerError, ShapeError
from foveate.explain.measure.result import Result
from foveate.geometry import format_sizes
from foveate.layers import BatchNorm2d, GroupNorm, InstanceNorm2d, Layer, LayerNorm, LocalResponseNorm
from foveate.layers.base import SPATIAL_LETTERS, axis_letters
from foveate.layers.normalization import Normalization

COMPARED = (BatchNorm2d(), LayerNorm(), InstanceNorm2d(), GroupNorm(2))
"""The lecture's four."""


def normalized_cells(layer: Layer, shape: Sequence[int], cell: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """The values that share a mean and variance with one of them, in training.

    Args:
        layer: a normalisation. For LocalResponseNorm, which takes no mean, the values in its sum of squares.
        shape: the shape of a batch, (N, C, *spatial).
        cell: the index of the one value (default: the first).

    Returns:
        booleans of `shape`, true where a value enters the mean and variance that `cell` is normalised by.

    Raises:
        LayerError: the layer is not a normalisation.
        ShapeError: the batch does not fit the layer, or has no such cell.

    Wu, He: Group normalization, 2018, figure 2.

    >>> normalized_cells(BatchNorm2d(), (4, 3, 2, 2))[:, :, 0, 0].astype(int).tolist()
    [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    """
    sizes = tuple(shape)
    normalization = checked_normalization(layer, sizes)
    place = (0,) * len(sizes) if cell is None else tuple(cell)
    inside = len(place) == len(sizes) and all(0 <= index < size for index, size in zip(place, sizes, strict=True))
    if not inside:
        raise ShapeError(f"there is no cell {place} in a batch of {format_sizes(sizes)}; indices start at 0")
    axes = normalization.normalized_axes(len(sizes) - 2)
    window = [
        slice(None) if letter in axes else slice(index, index + 1)
        for letter, index in zip(letters_of(sizes), place, strict=True)
    ]
    if isinstance(normalization, GroupNorm | LocalResponseNorm):
        window[1] = _channels(normalization, place[1], sizes[1])
    cells = np.zeros(sizes, np.bool_)
    cells[tuple(window)] = True
    return cells


def statistics_shape(layer: Layer, shape: Sequence[int]) -> tuple[str, ...]:
    """The shape of the means and of the variances that a batch (N, C, *spatial) is normalised by, in letters.

    >>> statistics_shape(GroupNorm(2), (5, 6, 3, 2))
    ('N', 'G', '1', '1')
    """
    sizes = tuple(shape)
    axes = checked_normalization(layer, sizes).normalized_axes(len(sizes) - 2)
    shared = {"C": "G"} if isinstance(layer, GroupNorm) else {}
    return tuple("1" if letter in axes else shared.get(letter, letter) for letter in letters_of(sizes))


@dataclass(frozen=True, eq=False)
class Distribution(Result):
    """The distribution of the values that a layer takes or outputs.

    `counts` has the number of values in each bin; `mean` and `std` have one number for each channel.
    """

    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @property
    def overall(self) -> tuple[float, float]:
        """Mean and standard deviation of all values."""
        mean = float(self.mean.mean())
        return mean, float(np.sqrt((self.std**2 + self.mean**2).mean() - mean**2))


@dataclass(frozen=True, eq=False)
class NormalizationEffect(Result):
    """What one normalisation does in inference: the values `before` and `after` it, over the same bins with `edges`.

    The layer's own scale gamma and shift beta are included. Batch normalisation uses its running statistics, so it
    changes nothing before training.
    """

    layer: str
    edges: NDArray[np.float64]
    before: Distribution
    after: Distribution


def checked_normalization(layer: Layer, shape: tuple[int, ...]) -> Normalization:
    """The layer, if it is a normalisation that takes a batch of such a shape."""
    if not isinstance(layer, Normalization):
        raise LayerError(f"{layer.describe()} is not a normalisation; try BatchNorm2d(), LayerNorm() or GroupNorm(2)")
    if len(shape) < 2 or len(shape) - 2 not in (0, *SPATIAL_LETTERS) or min(shape) < 1:
        raise ShapeError(f"a batch is N x C and up to 3 spatial axes, each at least 1, not {format_sizes(shape)}")
    try:
        layer.output_shape([shape[1:]])
    except ShapeError as error:
        raise ShapeError(f"{layer.describe()} {error}") from None
    return layer


def letters_of(shape: tuple[int, ...]) -> tuple[str, ...]:
    """N, C, and a letter for each spatial axis."""
    return "N", "C", *axis_letters(len(shape) - 2)


def _channels(layer: GroupNorm | LocalResponseNorm, channel: int, count: int) -> slice:
    if isinstance(layer, GroupNorm):
        size = count // layer.groups
        return slice(channel // size * size, channel // size * size + size)
    return slice(max(0, channel - layer.size // 2), channel + (layer.size - 1) // 2 + 1)

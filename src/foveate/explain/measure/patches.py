"""Exciting patches as arrays: which places of a dataset excite each channel most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result


@dataclass(frozen=True, eq=False)
class ExcitingPatches(Result):
    """For each of C channels of a layer, the k places in a dataset that excite it most, largest first.

    Equal activations are in the order of the samples, then of the positions.
    """

    layer: str
    values: NDArray[np.float32]
    """(C, k) activations."""
    samples: NDArray[np.int64]
    """(C, k) indices of the images."""
    positions: NDArray[np.int64]
    """(C, k, axes of the layer) places in the layer's output; no axes if that is flat."""
    boxes: NDArray[np.int64]
    """(C, k, axes of the input, 2) begin and end of the receptive field; it may extend beyond the image."""
    seen: NDArray[np.int64]
    """(C, k, axes of the input, 2) begin and end of the real pixels in it; the rest of the box is padding."""


def best_candidates(
    activations: FloatArray, first: int, distinct: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Values (C, M) of activations (N, C, positions), and their places: sample times positions plus position."""
    samples, channels, positions = activations.shape
    if distinct:
        offsets = (first + np.arange(samples)) * positions
        return activations.max(axis=2).T.astype(np.float32), activations.argmax(axis=2).T + offsets
    places = first * positions + np.arange(samples * positions)
    values = activations.transpose(1, 0, 2).reshape(channels, -1).astype(np.float32)
    return values, np.broadcast_to(places, values.shape)


def merged_candidates(
    best: tuple[NDArray[np.float32], NDArray[np.int64]],
    new: tuple[NDArray[np.float32], NDArray[np.int64]],
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` largest of the best so far and the new ones, sorted; ties go to those that came first."""
    chosen = _largest(new[0], count)
    values = np.concatenate([best[0], np.take_along_axis(new[0], chosen, axis=1)], axis=1)
    places = np.concatenate([best[1], np.take_along_axis(new[1], chosen, axis=1)], axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1)


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Indices (C, count) of the largest values (C, M) in each row, ascending; ties go to the first."""
    rows, columns = values.shape
    if columns <= count:
        return np.broadcast_to(np.arange(columns), (rows, columns))
    least = np.partition(values, columns - count, axis=1)[:, columns - count, None]
    above, equal = values > least, values == least
    missing = count - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= missing))
    return np.nonzero(chosen)[1].reshape(rows, count)


def cut_patch(image: FloatArray, box: ArrayLike, seen: ArrayLike) -> NDArray[np.float32]:
    """The box of an image (C, *spatial), NaN outside of what is seen."""
    corners, real = np.asarray(box), np.asarray(seen)
    patch = np.full((len(image), *(corners[:, 1] - corners[:, 0])), np.nan, np.float32)
    inside = tuple(slice(begin - start, end - start) for (begin, end), (start, _) in zip(real, corners, strict=True))
    patch[:, *inside] = image[:, *(slice(begin, end) for begin, end in real)]
    return patch

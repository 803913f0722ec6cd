"""What is measured on the inputs of a dataset, a few million values at a time: NaN, mean and standard deviation."""

from collections.abc import Iterable
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

InputArray: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""Inputs as datasets hold them: bytes from 0 to 255, or floating point on a scale from 0 to 1."""

CHUNK = 1 << 22
_ROUNDING = 1e-9
"""Deviations below this part of the mean are the sums' own rounding: the channel is constant."""


def mean_and_std(inputs: InputArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation of each channel on the scale 0 to 1, in float64; of a constant one, 1."""
    if inputs.dtype == np.uint8:
        return _of_bytes(inputs)
    count, channels, *spatial = inputs.shape
    values_each = count * prod(spatial)
    mean = sum(_channel_sums(inputs, np.zeros(channels), 1)) / values_each
    variance = sum(_channel_sums(inputs, mean, 2)) / values_each
    std = np.sqrt(variance)
    std[std <= _ROUNDING * np.abs(mean)] = 1.0
    return tuple(mean.tolist()), tuple(std.tolist())


def first_not_finite(inputs: InputArray) -> int | None:
    """Index of the first sample that holds NaN or infinity, or None."""
    if inputs.dtype == np.uint8:
        return None
    for start, chunk in _chunks(inputs):
        if not np.isfinite(chunk).all():
            return start + int(np.flatnonzero(~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1))[0])
    return None


def _of_bytes(inputs: InputArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation by sums of whole numbers, which are exact."""
    count = len(inputs) * prod(inputs.shape[2:])
    sums, squares = np.zeros((2, inputs.shape[1]), object)
    for _, chunk in _chunks(inputs):
        values = chunk.reshape(len(chunk), inputs.shape[1], -1)
        sums += values.sum(axis=(0, 2), dtype=np.uint64).astype(object)
        squared = np.multiply(values, values, dtype=np.uint16)
        squares += squared.sum(axis=(0, 2), dtype=np.uint64).astype(object)
    means = tuple(int(total) / (255 * count) for total in sums)
    variances = (count * int(square) - int(total) ** 2 for square, total in zip(squares, sums, strict=True))
    return means, tuple(sqrt(each) / (255 * count) if each else 1.0 for each in variances)


def _chunks(inputs: InputArray) -> Iterable[tuple[int, InputArray]]:
    """The samples a few million values at a time, each time with the index of the first."""
    step = max(1, CHUNK // max(1, prod(inputs.shape[1:])))
    return ((start, inputs[start : start + step]) for start in range(0, len(inputs), step))


def _channel_sums(inputs: InputArray, mean: Any, power: int) -> Iterable[Any]:
    """For each chunk the sum over each channel of (x - mean)**power, x on a scale from 0 to 1."""
    for _, chunk in _chunks(inputs):
        values = chunk.reshape(len(chunk), inputs.shape[1], -1) - np.asarray(mean)[:, None]
        yield (values**power).sum(axis=(0, 2))

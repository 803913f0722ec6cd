"""What is measured on the inputs of a dataset, a few million values at a time: NaN, mean and standard deviation."""

from collections.abc import Callable, Iterable
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
    return mean_and_std_of(lambda: (chunk for _, chunk in _chunks(inputs)))


def mean_and_std_of(chunks: Callable[[], Iterable[InputArray]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The same of inputs that come in chunks; those in floating point are asked for twice."""
    sums = ByteSums()
    count, total = 0, np.zeros(1)
    for chunk in chunks():
        if chunk.dtype == np.uint8:
            sums.add(chunk)
        else:
            count += chunk.size // chunk.shape[1]
            total = total + _channel_sums(chunk, np.zeros(chunk.shape[1]), 1)
    if not count:
        return sums.mean_and_std()
    mean = total / count
    std = np.sqrt(sum(_channel_sums(chunk, mean, 2) for chunk in chunks()) / count)
    std[std <= _ROUNDING * np.abs(mean)] = 1.0
    return tuple(mean.tolist()), tuple(std.tolist())


class ByteSums:
    """Mean and deviation of the channels of bytes by sums of whole numbers, which are exact in any order."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: Any = 0
        self._squares: Any = 0

    def add(self, inputs: InputArray) -> None:
        """Count inputs (N, C, *spatial), at most a few million values."""
        values = inputs.reshape(len(inputs), inputs.shape[1], -1)
        self._count += len(inputs) * values.shape[2]
        self._sums = self._sums + values.sum(axis=(0, 2), dtype=np.uint64).astype(object)
        squared = np.multiply(values, values, dtype=np.uint16)
        self._squares = self._squares + squared.sum(axis=(0, 2), dtype=np.uint64).astype(object)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """On the scale 0 to 1."""
        count = self._count
        means = tuple(int(total) / (255 * count) for total in self._sums)
        variances = (
            count * int(square) - int(total) ** 2 for square, total in zip(self._squares, self._sums, strict=True)
        )
        return means, tuple(sqrt(each) / (255 * count) if each else 1.0 for each in variances)


def first_not_finite(inputs: InputArray) -> int | None:
    """Index of the first sample that holds NaN or infinity, or None."""
    if inputs.dtype == np.uint8:
        return None
    for start, chunk in _chunks(inputs):
        if not np.isfinite(chunk).all():
            return start + int(np.flatnonzero(~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1))[0])
    return None


def _chunks(inputs: InputArray) -> Iterable[tuple[int, InputArray]]:
    """The samples a few million values at a time, each time with the index of the first."""
    step = max(1, CHUNK // max(1, prod(inputs.shape[1:])))
    return ((start, inputs[start : start + step]) for start in range(0, len(inputs), step))


def _channel_sums(chunk: InputArray, mean: NDArray[Any], power: int) -> NDArray[Any]:
    """The sum over each channel of (x - mean)**power, x on a scale from 0 to 1."""
    values = chunk.reshape(len(chunk), chunk.shape[1], -1) - np.asarray(mean)[:, None]
    return np.asarray((values**power).sum(axis=(0, 2)))

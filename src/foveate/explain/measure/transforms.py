"""Images moved, turned and scaled as a whole; what comes in from outside takes the colour of the image's border."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError, ShapeError
from foveate.geometry import format_sizes
from foveate.layers.base import SPATIAL_LETTERS

_BORDER_SHARE = 32
"""The border of an image is 1/32 of each size, at least 1 pixel."""


def border_colour(images: ArrayLike) -> FloatArray:
    """The colour of each image's border: in each channel the median over the outermost 1/32 on every side.

    Args:
        images: (N, C, *spatial) with 1 to 3 spatial axes.

    Returns:
        (N, C).

    Raises:
        ShapeError: the array has other axes.
    """
    values = _checked(images)
    spatial: tuple[int, ...] = values.shape[2:]
    frame = np.ones(spatial, bool)
    frame[tuple(_within(size, max(1, size // _BORDER_SHARE)) for size in spatial)] = False
    median: FloatArray = np.median(values[:, :, frame], axis=2).astype(np.float32)
    return median


def move(images: ArrayLike, offset: int | Sequence[int], *, fill: ArrayLike | None = None) -> NDArray[Any]:
    """Shift images by whole pixels: y[p] = x[p - offset], and `fill` where that lies outside.

    Args:
        images: (N, C, *spatial) with 1 to 3 spatial axes, on any scale.
        offset: pixels along each spatial axis, positive to the right and downwards; a single number is along the last.
        fill: one value, or one for each channel (default: each image's `border_colour`).

    Returns:
        A copy of the same shape and type.

    Raises:
        ShapeError: the array has other axes, or `offset` does not have one whole number for each spatial axis.
        DataError: `fill` has neither one value nor one for each channel.

    >>> move([[[1, 2, 3, 4]]], 1, fill=0).tolist()
    [[[0, 1, 2, 3]]]
    """
    values = _checked(images)
    offsets = _offsets(offset, values.shape[2:])
    moved = np.empty_like(values)
    moved[...] = _as_type(_colour(values, fill), values.dtype)
    pairs = [_overlap(size, each) for size, each in zip(values.shape[2:], offsets, strict=True)]
    if all(into.stop > into.start for into, _ in pairs):
        whole = (slice(None), slice(None))
        moved[whole + tuple(into for into, _ in pairs)] = values[whole + tuple(source for _, source in pairs)]
    return moved


def turn(images: ArrayLike, degrees: float, *, fill: ArrayLike | None = None) -> NDArray[Any]:
    """Turn images counter-clockwise about their centre, bilinear; volumes in the plane of their last two axes.

    Args:
        images: (N, C, H, W) or (N, C, D, H, W), on any scale.
        degrees: the angle.
        fill: as for `move`.

    Returns:
        A copy of the same shape and type; whole numbers are rounded.

    Raises:
        ShapeError: the array has other axes; a signal (N, C, L) has no plane to be turned in.
        DataError: the angle is not finite, or `fill` has neither one value nor one for each channel.
    """
    values = _checked(images)
    if values.ndim < 4:
        raise ShapeError(
            f"a signal {format_sizes(values.shape)} has no plane to be turned in; give images N x C x H x W, or "
            "volumes N x C x D x H x W, or use move or scale"
        )
    angle = np.deg2rad(_finite(degrees, "the angle"))
    height, width = values.shape[-2:]
    down, right = np.mgrid[:height, :width].astype(np.float64)
    down, right = down - (height - 1) / 2, right - (width - 1) / 2
    rows = np.cos(angle) * down + np.sin(angle) * right + (height - 1) / 2
    columns = np.cos(angle) * right - np.sin(angle) * down + (width - 1) / 2
    return _resampled(values, fill, lambda each: _bilinear(each, rows, columns))


def scale(images: ArrayLike, factor: float, *, fill: ArrayLike | None = None) -> NDArray[Any]:
    """Enlarge images about their centre, linearly interpolated along each spatial axis; the frame keeps its size.

        y[p] = x[(p - centre) / factor + centre]

    Args:
        images: (N, C, *spatial) with 1 to 3 spatial axes, on any scale.
        factor: above 1 enlarges, below 1 shrinks.
        fill: as for `move`.

    Returns:
        A copy of the same shape and type; whole numbers are rounded.

    Raises:
        ShapeError: the array has other axes.
        DataError: the factor is not positive, or `fill` has neither one value nor one for each channel.
    """
    values = _checked(images)
    if _finite(factor, "the factor") <= 0:
        raise DataError(f"the factor is {factor}; it must be positive: 2 doubles the size, 0.5 halves it")

    def stretched(each: FloatArray) -> FloatArray:
        for axis in range(2, each.ndim):
            centre = (each.shape[axis] - 1) / 2
            each = _linear(each, axis, (np.arange(each.shape[axis]) - centre) / factor + centre)
        return each

    return _resampled(values, fill, stretched)


def _resampled(
    values: NDArray[Any], fill: ArrayLike | None, resample: Callable[[FloatArray], FloatArray]
) -> NDArray[Any]:
    """`resample`, which sees zeros outside, with the fill as its zero, so borders blend into it."""
    colour = _colour(values, fill)
    return _as_type(resample(values.astype(np.float32) - colour) + colour, values.dtype)


def _linear(values: FloatArray, axis: int, positions: NDArray[np.float64]) -> FloatArray:
    """The values at fractional `positions` along one axis; zero outside."""
    size = values.shape[axis]
    padded = np.pad(values, [(1, 1) if each == axis else (0, 0) for each in range(values.ndim)])
    low = np.floor(positions).astype(np.int64)
    weight = (positions - low).astype(np.float32).reshape(-1, *(1,) * (values.ndim - axis - 1))
    below, above = (padded.take(np.clip(low + step, 0, size + 1), axis) for step in (1, 2))
    blended: FloatArray = below * (1 - weight) + above * weight
    return blended


def _bilinear(values: FloatArray, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> FloatArray:
    """The values at fractional (row, column) of the last two axes; zero outside."""
    height, width = values.shape[-2:]
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)])
    flat = padded.reshape(*values.shape[:-2], -1)
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    result = np.zeros(values.shape, np.float32)
    for row_step in (0, 1):
        for column_step in (0, 1):
            row, column = top + row_step, left + column_step
            weight = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
            index = np.clip(row + 1, 0, height + 1) * (width + 2) + np.clip(column + 1, 0, width + 1)
            result += flat[..., index] * weight.astype(np.float32)
    return result


def _checked(images: ArrayLike) -> NDArray[Any]:
    values = np.asarray(images)
    if values.ndim - 2 not in SPATIAL_LETTERS or not values.size or values.dtype.kind not in "uif":
        raise ShapeError(
            "images are numbers N x C x L, N x C x H x W or N x C x D x H x W, but the array is "
            f"{format_sizes(values.shape) or 'one value'} of {values.dtype}"
        )
    return values


def _offsets(offset: int | Sequence[int], spatial: Sequence[int]) -> tuple[int, ...]:
    along_last = (0,) * (len(spatial) - 1)
    offsets = (*along_last, offset) if isinstance(offset, int | np.integer) else tuple(offset)
    if len(offsets) != len(spatial) or not all(isinstance(each, int | np.integer) for each in offsets):
        raise ShapeError(
            f"offset is {offset}, but images move by whole pixels along {len(spatial)} spatial axes; give one whole "
            "number for each, or one alone for the last"
        )
    return tuple(int(each) for each in offsets)


def _within(size: int, width: int) -> slice:
    """The part of an axis between two borders of `width`."""
    return slice(width, size - width)


def _overlap(size: int, offset: int) -> tuple[slice, slice]:
    """The slices (to, from) along an axis of `size`."""
    return slice(max(0, offset), size + min(0, offset)), slice(max(0, -offset), size - max(0, offset))


def _colour(values: NDArray[Any], fill: ArrayLike | None) -> FloatArray:
    """The fill as (N or 1, C or 1, 1, ...)."""
    spatial = (1,) * (values.ndim - 2)
    if fill is None:
        return border_colour(values).reshape(*values.shape[:2], *spatial)
    given: FloatArray = np.asarray(fill, np.float32)
    if given.size not in {1, values.shape[1]} or given.ndim > 1 or not np.isfinite(given).all():
        raise DataError(
            f"fill is {fill}; give one finite value, or one for each of the {values.shape[1]} channels, or leave it "
            "out for the border's own colour"
        )
    return given.reshape(1, -1, *spatial)


def _as_type(values: FloatArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def _finite(value: float, name: str) -> float:
    if not np.isfinite(value):
        raise DataError(f"{name} is {value}; give a finite number")
    return float(value)


def spectrogram(signal: FloatArray, *, window: int = 256) -> NDArray[np.float64]:
    """How strong each frequency is at each time: (window / 2 + 1 frequencies, times) in decibels below the strongest.

    Hann windows, each overlapping half of the one before; no value is below -80.

    >>> spectrogram(np.sin(np.arange(2048) * 2 * np.pi / 8)).argmax(axis=0)[:3].tolist()
    [32, 32, 32]
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(signal, np.float64), window)[:: window // 2]
    windows = windows - windows.mean(axis=1, keepdims=True)
    strength = np.abs(np.fft.rfft(windows * np.hanning(window), axis=1)).T
    return np.asarray(np.maximum(20 * np.log10(np.maximum(strength, 1e-12) / max(strength.max(), 1e-12)), -80.0))

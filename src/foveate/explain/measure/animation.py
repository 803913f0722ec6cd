"""A window that slides over real numbers: all that an animation shows, as tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.engines.reference.convolution import pad, taps
from foveate.errors import DataError
from foveate.geometry import Window, format_sizes, positions_seen, window_reach
from foveate.graph import Sequential
from foveate.layers import Conv1d, Conv2d
from foveate.layers.convolution import Convolution
from foveate.layers.options import Ints, PaddingOption

MOST_POSITIONS = 16
"""The most positions along an axis of the padded input: with more, the numbers would be illegible."""

MOST_TAPS = 49
"""The most products in a legible sum: a 7x7 kernel."""

EXAMPLE_INPUT = ((3, 3, 2, 1, 0), (0, 0, 1, 3, 1), (3, 1, 2, 2, 3), (2, 0, 0, 2, 2), (2, 0, 0, 0, 1))


EXAMPLE_KERNEL = ((0, 1, 2), (2, 2, 0), (0, 1, 2))
"""The numbers of Dumoulin and Visin's figures 1.1 and 1.2."""

LECTURE: dict[str, tuple[int, int]] = {
    "no_padding_no_stride": (1, 0),
    "padding_no_stride": (1, 1),
    "no_padding_stride": (2, 0),
    "padding_stride": (2, 1),
}
"""The stride and padding of the lecture's four animations."""


@dataclass(frozen=True)
class Scene:
    """What all frames share, as tables (rows, columns); a row of numbers is a table of one row."""

    layer: Convolution
    image_shape: tuple[int, ...]
    padded: FloatArray
    real: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    unseen_axes: tuple[int, ...]
    kernel: FloatArray
    met: NDArray[np.int64]
    """(outputs, taps): the cell of the padded image that each tap meets."""
    outputs: FloatArray

    @property
    def is_row(self) -> bool:
        """Whether the image is a row of numbers."""
        return len(self.image_shape) == 1

    def products(self, number: int) -> Iterator[tuple[float, float]]:
        """The (input, weight) pairs that output `number` adds up."""
        return zip(self.padded.ravel()[self.met[number]], self.kernel.ravel(), strict=True)


def make_scene(image: ArrayLike, kernel: ArrayLike, stride: Ints, padding: PaddingOption, dilation: Ints) -> Scene:
    """The tables of a convolution of real numbers, refused if they would be illegible in a figure."""
    values, weights = _numbers(image, "image"), _numbers(kernel, "kernel")
    if weights.ndim != values.ndim:
        raise DataError(
            f"the image has {values.ndim} axes, but the kernel has {weights.ndim}; give two rows, or two tables"
        )
    make = Conv1d if values.ndim == 1 else Conv2d
    layer = make(1, weights.shape, stride=stride, padding=padding, dilation=dilation, bias=False)
    shape = (1, *values.shape)
    outputs = Sequential(layer).build(shape, quiet=True).output_shape[1:]
    windows = layer.windows([shape])
    whole, inner = pad(values[None, None], windows)
    padded = whole[0, 0]
    _check_legible(padded.shape, weights)
    cells = np.arange(float(padded.size)).reshape(1, 1, *padded.shape)
    met = np.stack([cells[seen].ravel() for _, _, seen in taps(inner, padded.shape, outputs)], axis=1).astype(np.int64)
    seen_axes = [_seen(*axis) for axis in zip(values.shape, outputs, windows, strict=True)]
    unseen = ~reduce(np.logical_and.outer, seen_axes)
    margins = [window.padding for window in windows]
    return Scene(
        layer,
        values.shape,
        np.atleast_2d(padded),
        np.atleast_2d(np.pad(np.ones(values.shape, bool), margins)),
        np.atleast_2d(np.pad(unseen, margins)),
        tuple(int((~seen).sum()) for seen in seen_axes),
        np.atleast_2d(weights),
        met,
        np.atleast_2d((padded.ravel()[met] @ weights.ravel()).reshape(outputs)),
    )


def _seen(size: int, outputs: int, window: Window) -> NDArray[np.bool_]:
    """Which positions of an axis some window sees."""
    bits = positions_seen((1 << outputs) - 1, window_reach(window), size)
    return np.array([bits >> at & 1 for at in range(size)], bool)


def _numbers(array: ArrayLike, name: str) -> FloatArray:
    try:
        values = np.asarray(array, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"the {name} is not a table of real numbers; give a row (L,) or a table (H, W)") from None
    if values.ndim not in (1, 2) or not values.size:
        raise DataError(
            f"the {name} has the shape {format_sizes(values.shape) or 'of a number'}; give a row (L,) or a table (H, W)"
        )
    if not np.isfinite(values).all():
        raise DataError(f"the {name} holds NaN or infinity; fix or remove it")
    return values


def _check_legible(padded: Sequence[int], weights: FloatArray) -> None:
    if max(padded) > MOST_POSITIONS:
        raise DataError(
            f"the padded image is {format_sizes(padded)}: too large to be legible. Give a part of it, at most "
            f"{MOST_POSITIONS} positions along each axis, padding included"
        )
    if weights.size > MOST_TAPS:
        raise DataError(
            f"the kernel has {weights.size} weights: too many to be legible. Use at most {MOST_TAPS}, such as 7x7"
        )

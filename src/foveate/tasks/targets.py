"""The targets of datasets, checked in full and brought to one form."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.geometry import format_sizes


def as_numbers(targets: ArrayLike, count: int, what: str, form: str) -> NDArray[Any]:
    """`targets` as an array of numbers, one entry for each of `count` samples.

    Args:
        targets: anything that NumPy can turn into an array.
        count: samples in the dataset.
        what: the word for targets in errors.
        form: what they should look like.

    Raises:
        DataError: they are not numbers, or there are not as many as samples.
    """
    try:
        values = np.asarray(targets)
    except (ValueError, TypeError):
        raise DataError(f"{what} differ in length from sample to sample; give {form}") from None
    if values.dtype.kind not in "biuf":
        raise DataError(f"{what} must be numbers, but they are {kind_of(values)}; give {form}")
    if not values.ndim:
        raise DataError(f"{what} have the shape of one number; give {form}")
    if len(values) != count:
        raise DataError(f"there are {count:,} samples, but {len(values):,} {what}; each sample needs one")
    return values


def whole_numbers(values: NDArray[Any], what: str) -> NDArray[Any]:
    """`values` unless they are floating point, which hides mistakes; booleans count as 0 and 1.

    Raises:
        DataError: they are floating point.
    """
    if values.dtype.kind == "f":
        raise DataError(
            f"{what} must be whole numbers (class indices), but they are {values.dtype}; if they are whole, "
            "convert them with astype(int)"
        )
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def check_range(values: NDArray[Any], classes: int, what: str, ignored: int | None = None, hint: str = "") -> None:
    """Refuse class indices outside 0 to classes - 1, except the one that is ignored.

    Raises:
        DataError: an index is outside; the message names the first such sample.
    """
    wrong = (values < 0) | (values >= classes)
    if ignored is not None:
        wrong &= values != ignored
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), wrong.shape)
        raise DataError(
            f"sample {int(place[0])} has the {what} {int(values[place])}, but the {classes:,} classes are numbered 0 "
            f"to {classes - 1:,}{hint}"
        )


def shape_of(values: NDArray[Any]) -> str:
    """The shape in the usual notation.

    >>> shape_of(np.zeros((8, 3)))
    '8x3'
    """
    return format_sizes(values.shape) or "of one number"


def kind_of(values: NDArray[Any]) -> str:
    """What an array that does not hold numbers holds."""
    return "strings" if values.dtype.kind in "US" else f"of the type {values.dtype}"

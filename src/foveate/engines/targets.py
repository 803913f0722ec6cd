"""What a loss compares the network's output with: checked and brought to one form, once."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import BinaryCrossEntropy, CrossEntropy, Loss
from foveate.layers import Shape


def check_targets(
    loss: Loss, targets: ArrayLike, count: int, output_shape: Shape, dtype: type[np.floating]
) -> NDArray[Any]:
    """Class indices as int64, or numbers of the output's shape for other losses; a DataError says what is wrong.

    Numbers (N,) will do where the output is a single one.
    """
    if isinstance(loss, CrossEntropy):
        return check_labels(targets, count, prod(output_shape))
    name, expected = type(loss).__name__, (count, *output_shape)
    values = np.asarray(targets)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} needs numbers as targets, but they are {values.dtype}")
    if values.shape == (count,) and output_shape == (1,):
        values = values.reshape(count, 1)
    if values.shape != expected:
        raise DataError(
            f"{name} compares each output with its target: targets must have the shape {format_sizes(expected)} (batch "
            f"first), but they have {format_sizes(values.shape) or 'no axes'}"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{name} needs finite targets, but some are NaN or infinite")
    if isinstance(loss, BinaryCrossEntropy) and not (values.min() >= 0 and values.max() <= 1):
        wrong = values.min() if values.min() < 0 else values.max()
        raise DataError(f"{name} needs targets from 0 to 1, but there is {wrong:g}")
    return np.ascontiguousarray(values, dtype=dtype)


def check_labels(targets: ArrayLike, count: int, classes: int) -> NDArray[np.int64]:
    """Class indices as int64, or a DataError that says which one is out of range."""
    labels = np.asarray(targets)
    if labels.shape != (count,):
        raise DataError(f"there are {count} samples, but labels of shape {format_sizes(labels.shape) or 'one number'}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers (class indices), but they are {labels.dtype}")
    if labels.size and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        wrong = int(labels.min()) if labels.min() < 0 else int(labels.max())
        raise DataError(f"label {wrong} is outside 0 to {classes - 1}: the network's output has {classes} classes")
    return np.ascontiguousarray(labels, dtype=np.int64)

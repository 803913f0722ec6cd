"""The targets that a loss compares the network's output with: checked and brought to one form, once."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import Loss
from foveate.layers import Shape


def check_targets(
    loss: Loss, targets: ArrayLike, count: int, output_shape: Shape, dtype: type[np.floating]
) -> NDArray[Any]:
    """Class indices as int64, -1 where they are ignored, or numbers of the output's shape as `dtype`.

    Numbers (N,) will do if there is a single output.

    Raises:
        DataError: the loss cannot compare `count` outputs of that shape with such targets; the message says why.
    """
    values = np.asarray(targets)
    if "classes" in loss.targets:
        soft = "distributions" in loss.targets and values.dtype.kind == "f" and values.ndim == 1 + len(output_shape)
        if not soft:
            return _classes(loss, values, count, output_shape)
    if "distributions" in loss.targets:
        return _soft_labels(loss, values, (count, *output_shape), dtype)
    return _numbers(loss, values, (count, *output_shape), dtype)


def _numbers(loss: Loss, values: NDArray[Any], expected: Shape, dtype: type[np.floating]) -> NDArray[Any]:
    """A number for each output."""
    name = type(loss).__name__
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} needs numbers as targets, but they are {values.dtype}")
    if values.shape == expected[:1] and expected[1:] == (1,):
        values = values.reshape(expected)
    if values.shape != expected:
        raise DataError(
            f"{name} compares each output with its target: targets must have the shape {format_sizes(expected)} (batch "
            f"first), but they have {format_sizes(values.shape) or 'no axes'}"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{name} needs finite targets, but some are NaN or infinite")
    if "numbers" not in loss.targets and not (values.min() >= 0 and values.max() <= 1):
        wrong = values.min() if values.min() < 0 else values.max()
        raise DataError(f"{name} needs targets from 0 to 1, but there is {wrong:g}")
    return np.ascontiguousarray(values, dtype=dtype)


def _soft_labels(loss: Loss, values: NDArray[Any], expected: Shape, dtype: type[np.floating]) -> NDArray[Any]:
    """The fraction of each class at each position."""
    if loss.ignored is not None:
        raise DataError(
            f"{type(loss).__name__} has ignore_index={loss.ignored}, which cannot be used with soft labels: leave it "
            "out, and set sample_weight to 0 for samples to ignore"
        )
    return _numbers(loss, values, expected, dtype)


def _classes(loss: Loss, values: NDArray[Any], count: int, output_shape: Shape) -> NDArray[np.int64]:
    """The index of a class at each position."""
    expected = (count, *output_shape[1:])
    if values.shape != expected:
        raise DataError(_wrong_places(loss, values.shape, expected, output_shape))
    if values.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers (class indices), but they are {values.dtype}")
    labels: NDArray[np.int64] = np.ascontiguousarray(values, dtype=np.int64)
    if loss.ignored is None:
        _refuse_outside(labels, output_shape[0])
        return labels
    counts = labels != loss.ignored
    _refuse_outside(labels[counts], output_shape[0], f", and {loss.ignored} is ignored")
    return np.where(counts, labels, -1)


def _refuse_outside(labels: NDArray[np.int64], classes: int, ignoring: str = "") -> None:
    # Without their signs, negative numbers are larger than any: one comparison sees both ends.
    if labels.size and np.maximum.reduce(labels.view(np.uint64), axis=None) >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)].flat[0]
        raise DataError(
            f"label {wrong} is outside 0 to {classes - 1}: the network's output has {classes} classes{ignoring}"
        )


def _wrong_places(loss: Loss, given: Shape, expected: Shape, output_shape: Shape) -> str:
    """The sentence for labels of another shape."""
    hint = ""
    if given[:1] == expected[:1] and given[1:] == output_shape:
        soft = " (as soft labels they must be floats)" if "distributions" in loss.targets else ""
        hint = f". If they are numbers for each class, take targets.argmax(axis=1){soft}"
    if len(expected) == 1:
        return f"there are {expected[0]} samples, but labels of shape {format_sizes(given) or 'one number'}{hint}"
    if given == expected[:1]:
        hint = ". For one class per sample end the network with Flatten or a global pooling, and Linear(classes)"
    return (
        f"the network's output is {format_sizes(output_shape)}, {output_shape[0]} classes at "
        f"{format_sizes(output_shape[1:])} positions: labels must have the shape {format_sizes(expected)} (batch "
        f"first), but they have {format_sizes(given) or 'no axes'}{hint}"
    )

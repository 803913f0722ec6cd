"""Data in memory: inputs with their labels and class names, checked once, and the three parts of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.data.batches import permutation
from foveate.data.preprocessing import InputArray, Preprocessing, first_not_finite, pixels
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.layers import Shape


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Inputs (N, C, *spatial), a label for each, and the names of the classes.

    Args:
        inputs: uint8 from 0 to 255, or floating point on the scale 0 to 1, which is kept as float32.
        labels: (N,) class indices, kept as int64.
        classes: the name of each class, in the order of the indices.

    Raises:
        DataError: the counts differ, there is nothing, an input is NaN or infinite, or a label has no class.
    """

    inputs: InputArray
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        inputs = _check_inputs(self.inputs)
        classes = _check_classes(self.classes)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "labels", _check_labels(self.labels, len(inputs), classes))

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        return (
            f"Dataset({len(self)} samples of {format_sizes(self.shape)} {self.inputs.dtype}, "
            f"{len(self.classes)} classes)"
        )

    @property
    def shape(self) -> Shape:
        """Shape of one sample, (C, *spatial)."""
        return tuple(self.inputs.shape[1:])

    def subset(self, indices: ArrayLike) -> "Dataset":
        """The samples with these indices, or where a boolean array of N is true, in that order; class names stay."""
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise DataError(
                f"indices have the shape {format_sizes(chosen.shape) or 'of one number'} and the type {chosen.dtype}; "
                f"give a list of whole numbers, or {len(self)} booleans"
            )
        if not chosen.size:
            raise DataError(f"no sample of the {len(self)} was chosen; a data set has at least one")
        wrong = chosen[(chosen < 0) | (chosen >= len(self))]
        if wrong.size:
            raise DataError(f"there is no sample {wrong[0]}: the {len(self)} samples count from 0 to {len(self) - 1}")
        return Dataset(self.inputs[chosen], self.labels[chosen], self.classes)


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set in three parts, with the preprocessing that fits its training part.

    Raises:
        DataError: the parts differ in the shape of a sample or in their classes.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessing: Preprocessing
    name: str

    def __post_init__(self) -> None:
        for part, dataset in (("validation", self.validation), ("test", self.test)):
            if dataset.shape != self.train.shape:
                raise DataError(
                    f"{self.name}: a {part} sample is {format_sizes(dataset.shape)}, but a training sample is "
                    f"{format_sizes(self.train.shape)}; bring them to one shape"
                )
            if dataset.classes != self.train.classes:
                raise DataError(
                    f"{self.name}: the {part} part has other classes than the training part; "
                    f"give every part the same {len(self.train.classes)} names in one order"
                )
        if self.preprocessing.shape != self.train.shape:
            raise DataError(
                f"{self.name}: the preprocessing is for {format_sizes(self.preprocessing.shape)}, but a sample is "
                f"{format_sizes(self.train.shape)}; make it with Preprocessing.measure(train)"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that all parts share."""
        return self.train.classes


def split(dataset: Dataset, count: int, seed: int) -> tuple[Dataset, Dataset]:
    """(rest, held out): `count` samples chosen at random by `seed` are held out; both keep the order of the data set.

    Raises:
        DataError: nothing would be left on one side.
    """
    if not 1 <= count < len(dataset):
        raise DataError(
            f"{count} of {len(dataset)} samples cannot be held out; at least one must be, and at least one must stay"
        )
    order = permutation(len(dataset), seed, "split")
    return dataset.subset(np.sort(order[count:])), dataset.subset(np.sort(order[:count]))


def _check_inputs(values: ArrayLike) -> InputArray:
    inputs = pixels(np.ascontiguousarray(values), "inputs")
    if inputs.ndim < 2:
        raise DataError(
            f"inputs have the shape {format_sizes(inputs.shape) or 'of one number'}; "
            "they need a batch axis and channels: (N, C, H, W), (N, C, L) or (N, features)"
        )
    if not inputs.size:
        raise DataError(f"the data set is empty: its inputs are {format_sizes(inputs.shape)}; give at least one sample")
    bad = first_not_finite(inputs)
    if bad is not None:
        raise DataError(f"sample {bad} of {len(inputs)} holds NaN or infinity; mend it or leave it out")
    return inputs


def _check_classes(names: Sequence[Any]) -> tuple[str, ...]:
    classes = () if isinstance(names, str) else tuple(names)
    if not classes or not all(isinstance(name, str) for name in classes):
        raise DataError(f"classes are {names!r}; give the name of each class, as a tuple of strings")
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise DataError(f'two classes are called "{twice}"; give each its own name')
    return classes


def _check_labels(values: ArrayLike, count: int, classes: tuple[str, ...]) -> NDArray[np.int64]:
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise DataError(
            f"labels have the shape {format_sizes(labels.shape) or 'of one number'}; give one class index for each "
            "sample (argmax(axis=1) turns one-hot rows into indices)"
        )
    if len(labels) != count:
        raise DataError(f"there are {count} samples, but {len(labels)} labels; each sample needs one")
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers (class indices), but they are {labels.dtype}")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if wrong.size:
        raise DataError(
            f"sample {wrong[0]} has the label {labels[wrong[0]]}, but the {len(classes)} classes count from 0 to "
            f"{len(classes) - 1}"
        )
    return np.ascontiguousarray(labels, dtype=np.int64)

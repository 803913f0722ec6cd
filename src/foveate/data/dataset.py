"""Data in memory: inputs with their targets and task, checked once, and the three parts of a dataset."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.calls import Called
from foveate.data.batches import permutation
from foveate.data.measuring import InputArray, first_not_finite
from foveate.data.preprocessing import Preprocessing, pixels
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.layers import Shape
from foveate.tasks import AnyTask, Classification, Segmentation, Several, Task

Targets: TypeAlias = NDArray[Any] | Mapping[str, NDArray[Any]]
"""The targets as a task prepared them: one array, or for `Several` one for each output by its name."""

ONLY_INPUT = "input"
"""The name of the only input if it has none."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Dataset(metaclass=Called):
    """Inputs (N, C, *spatial), a target for each, and the task that says what targets mean.

    If a network has several inputs, the first with spatial axes is the image, to which preprocessing and augmentation
    apply; the others go to the network as they are.

    Args:
        inputs: uint8 from 0 to 255, or floating point on a scale from 0 to 1, which is kept as float32; for a network
            of several inputs a mapping of such arrays by the input's name.
        targets: as the task takes them: (N,) class indices for a classification. For `Several` a mapping by output.
        task: what the network is for; names of classes make a `Classification`.

    Raises:
        DataError: the counts differ, there is nothing, an input is NaN or infinite, or the task refuses the targets.

    >>> from foveate.tasks import Regression
    >>> Dataset(np.zeros((4, 1, 5, 6)), [0.0, 0.5, 1.0, 1.5], Regression(("angle",)))
    Dataset(4 samples of 1x5x6 float32, Regression)
    """

    by_input: Mapping[str, InputArray]
    targets: Targets
    task: AnyTask
    record: Mapping[str, Any] = field(default_factory=dict)
    """Which images of a folder are in which part, if these are its training images; a model trained on them keeps it
    in its `splits`."""

    def __init__(
        self,
        inputs: ArrayLike | Mapping[str, ArrayLike],
        targets: ArrayLike | Mapping[str, ArrayLike],
        task: AnyTask | Sequence[str],
    ) -> None:
        by_input = _check_named(inputs) if isinstance(inputs, Mapping) else {ONLY_INPUT: _check_inputs(inputs)}
        owner = task if isinstance(task, Task | Several) else Classification(task)  # type: ignore[arg-type]
        count = len(next(iter(by_input.values())))
        object.__setattr__(self, "by_input", by_input)
        object.__setattr__(self, "task", owner)
        object.__setattr__(self, "record", {})
        given = _masks(owner, targets, by_input[self.image_input].ndim)
        object.__setattr__(self, "targets", owner.check_targets(given, count))

    def __len__(self) -> int:
        return len(next(iter(self.by_input.values())))

    def __repr__(self) -> str:
        arrays = self.by_input.items()
        many = len(arrays) > 1
        samples = ", ".join(
            f"{name} " * many + f"{format_sizes(array.shape[1:])} {array.dtype}" for name, array in arrays
        )
        classes = isinstance(self.task, Classification)
        told = f"{len(self.classes)} classes" if classes else type(self.task).__name__
        return f"Dataset({len(self)} samples of {samples}, {told})"

    @property
    def inputs(self) -> InputArray:
        """The inputs (N, C, *spatial), or a DataError if each sample has several; those are in `by_input`."""
        if len(self.by_input) > 1:
            raise DataError(
                f"a sample has {len(self.by_input)} inputs ({', '.join(self.by_input)}); take one from dataset.by_input"
            )
        return next(iter(self.by_input.values()))

    @property
    def image_input(self) -> str:
        """The name of the input that is preprocessed: the first with spatial axes, or the first."""
        return image_input({name: array.shape[1:] for name, array in self.by_input.items()})

    @property
    def shape(self) -> Shape:
        """Shape of one sample, (C, *spatial); that of the image if there are several inputs."""
        return tuple(self.by_input[self.image_input].shape[1:])

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class indices (N,) of a classification; for fractions (N, K), the class with the largest.

        Raises:
            DataError: the data are for another task.
        """
        targets = self.targets
        if not isinstance(self.task, Classification) or isinstance(targets, Mapping):
            raise DataError(f"the data are for {type(self.task).__name__}, which has no labels; see dataset.targets")
        return np.asarray(targets.argmax(axis=1) if targets.ndim == 2 else targets, np.int64)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of a classification's classes, or a DataError if the data are for another task."""
        if not isinstance(self.task, Classification):
            raise DataError(f"the data are for {type(self.task).__name__}, which has no classes; see dataset.task")
        return self.task.classes

    def with_record(self, record: Mapping[str, Any]) -> "Dataset":
        """The same samples with this record."""
        result = copy(self)
        object.__setattr__(result, "record", dict(record))
        return result

    def subset(self, indices: ArrayLike) -> "Dataset":
        """The samples with these indices, or where a boolean array of N is true, in that order; the task is kept."""
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise DataError(
                f"indices have the shape {format_sizes(chosen.shape) or 'of one number'} and the type {chosen.dtype}; "
                f"give a list of whole numbers, or {len(self)} booleans"
            )
        if not chosen.size:
            raise DataError(f"none of the {len(self)} samples was chosen; a dataset needs at least one")
        wrong = chosen[(chosen < 0) | (chosen >= len(self))]
        if wrong.size:
            raise DataError(f"there is no sample {wrong[0]}: the {len(self)} samples are numbered 0 to {len(self) - 1}")
        inputs = {name: array[chosen] for name, array in self.by_input.items()}
        if isinstance(self.targets, Mapping):
            return Dataset(inputs, {name: array[chosen] for name, array in self.targets.items()}, self.task)
        return Dataset(inputs, self.targets[chosen], self.task)


@dataclass(frozen=True, eq=False)
class Splits:
    """A dataset in three parts, with the preprocessing that fits its training part.

    A folder of images also has `found`, what was found there in one line; `skipped`, why files were left out; and
    `record`, which image is in which part.

    Raises:
        DataError: the parts differ in the shape of a sample or in their task.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessing: Preprocessing
    name: str
    found: str = ""
    skipped: Mapping[Path, str] = field(default_factory=dict)

    @property
    def record(self) -> Mapping[str, Any]:
        """Which image of a folder is in which part, by the hash of its content; a trained model has it in `splits`."""
        return self.train.record

    def __post_init__(self) -> None:
        for part, dataset in (("validation", self.validation), ("test", self.test)):
            if dataset.shape != self.train.shape:
                raise DataError(
                    f"{self.name}: a {part} sample is {format_sizes(dataset.shape)}, but a training sample is "
                    f"{format_sizes(self.train.shape)}; bring them to one shape"
                )
            if dataset.task != self.train.task:
                raise DataError(f"{self.name}: the {part} part has {_other_task(dataset.task, self.train.task)}")
        if self.preprocessing.shape != self.train.shape:
            raise DataError(
                f"{self.name}: the preprocessing is for {format_sizes(self.preprocessing.shape)}, but a sample is "
                f"{format_sizes(self.train.shape)}; make it with Preprocessing.measure(train)"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that all parts share, or a DataError if the data are not a classification."""
        return self.train.classes


def split(dataset: Dataset, count: int, seed: int) -> tuple[Dataset, Dataset]:
    """(rest, held out): `count` samples chosen at random by `seed` are held out; both keep the order of the dataset.

    Raises:
        DataError: nothing would be left on one side.
    """
    if not 1 <= count < len(dataset):
        raise DataError(
            f"{count} of {len(dataset)} samples cannot be held out; at least one must be held out and one must stay"
        )
    order = permutation(len(dataset), seed, "split")
    return dataset.subset(np.sort(order[count:])), dataset.subset(np.sort(order[:count]))


def _check_inputs(values: ArrayLike) -> InputArray:
    try:
        array = np.ascontiguousarray(values)
    except ValueError:
        raise DataError("inputs differ in shape from sample to sample; bring all to one shape") from None
    inputs = pixels(array, "inputs")
    if inputs.ndim < 2:
        raise DataError(
            f"inputs have the shape {format_sizes(inputs.shape) or 'of one number'}; "
            "they need a batch axis and channels: (N, C, H, W), (N, C, L) or (N, features)"
        )
    if not inputs.size:
        raise DataError(f"the dataset is empty: its inputs are {format_sizes(inputs.shape)}; give at least one sample")
    bad = first_not_finite(inputs)
    if bad is not None:
        raise DataError(f"sample {bad} of {len(inputs)} holds NaN or infinity; fix or remove it")
    return inputs


def image_input(shapes: Mapping[str, Shape]) -> str:
    """Which of several inputs is the image: the first with spatial axes, or the first if none has any.

    >>> image_input({"table": (4,), "image": (1, 28, 28)})
    'image'
    """
    return next((name for name, shape in shapes.items() if len(shape) > 1), next(iter(shapes)))


def _check_named(inputs: Mapping[str, ArrayLike]) -> dict[str, InputArray]:
    if not inputs:
        raise DataError("the mapping of inputs is empty; give an array for each input of the network, by its name")
    checked = {}
    for name, values in inputs.items():
        if not isinstance(name, str):
            raise DataError(f"an input is called {name!r}; give each the network's name for it, a string")
        try:
            checked[name] = _check_inputs(values)
        except DataError as error:
            raise DataError(f"input {name}: {error}") from None
    first = next(iter(checked))
    for name, array in checked.items():
        if len(array) != len(checked[first]):
            raise DataError(
                f"the input {first} has {len(checked[first])} samples, but {name} has {len(array)}; each sample needs "
                "every input"
            )
    return checked


def _masks(task: AnyTask, targets: Any, axes: int) -> Any:
    """Masks without the single-channel axis that they may have, (N, 1, H, W) beside (N, C, H, W); other targets as
    given."""
    if isinstance(task, Several) and isinstance(targets, Mapping):
        tasks = task.tasks
        return {name: _masks(tasks[name], each, axes) if name in tasks else each for name, each in targets.items()}
    if not isinstance(task, Segmentation):
        return targets
    try:
        masks = np.asarray(targets)
    except ValueError:  # of different shapes, for which the task has the better error
        return targets
    return masks[:, 0] if masks.ndim == axes and masks.shape[1] == 1 else targets


def _other_task(task: AnyTask, wanted: AnyTask) -> str:
    """How a part's task differs from the training part's."""
    if isinstance(task, Classification) and isinstance(wanted, Classification):
        count = len(wanted.classes)
        return f"different classes from the training part; give every part the same {count} names in one order"
    return f"a different task from the training part ({task} and {wanted}); give every part the same"

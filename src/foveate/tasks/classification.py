"""Which one of several classes a sample belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import BinaryCrossEntropy, CrossEntropy, Loss
from foveate.graph.losses import TargetKind
from foveate.tasks.base import Answer, Task
from foveate.tasks.decoding import exclusive, is_single_logit
from foveate.tasks.metrics.base import Metric
from foveate.tasks.metrics.classes import CalibrationError, ClassAccuracy, TopAccuracy
from foveate.tasks.names import check_names, counted, there_are
from foveate.tasks.output import Output
from foveate.tasks.registry import register
from foveate.tasks.targets import as_numbers, check_range, shape_of, whole_numbers

TOP = 5
"""How many classes an answer lists, and how many the right one must be among to count as found."""

_FORM = "one class index for each sample, or (N, K) fractions of the classes"


@register
@dataclass(frozen=True)
class Classification(Task):
    """One of several classes for each sample.

    The network outputs a logit for each class, (N, K); for two classes (N, 1) will do, the logit of the second. Targets
    are class indices (N,), or the fraction of each class (N, K), as for mixed images. `decode` returns probabilities.

    Args:
        classes: the name of each class, in the order of the indices.

    Raises:
        DataError: a name is missing, repeated or not printable.

    >>> from foveate.tasks import Output
    >>> task, output = Classification(("cat", "dog")), Output("fc", (2,))
    >>> task.answers(task.decode(np.log([[1.0, 3.0]]), output))
    [[('dog', 0.75), ('cat', 0.25)]]
    """

    kind: ClassVar[str] = "classification"
    headline: ClassVar[str] = "accuracy"

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", check_names(self.classes, "class", "classes"))

    def fitting_losses(self, output: Output) -> tuple[str, ...]:
        """The losses that compare all classes, or for a single logit the binary ones."""
        if is_single_logit(output, len(self.classes)):
            return "BinaryCrossEntropy", "Focal"
        return ("CrossEntropy",)

    def target_kinds(self, output: Output) -> tuple[TargetKind, ...]:
        """Classes or fractions of them; for a single logit the probability of the second."""
        return ("probabilities",) if is_single_logit(output, len(self.classes)) else ("classes", "distributions")

    def default_loss(self, output: Output) -> Loss:
        """Cross-entropy, binary for a single logit."""
        return BinaryCrossEntropy() if is_single_logit(output, len(self.classes)) else CrossEntropy()

    def check_output(self, output: Output) -> None:
        """Refuse anything but a logit or probability for each class, or one number for two classes."""
        if len(output.shape) != 1:
            raise DataError(
                f"the network's output {output.name} is {format_sizes(output.shape)}, not one number for each class; "
                "end it with Flatten or a global pooling, and Linear(classes)"
            )
        single = is_single_logit(output, len(self.classes))
        if output.shape[0] != len(self.classes) and not single:
            raise DataError(
                f"the network has {counted(output.shape[0], 'output')}, but {there_are(self.classes, 'class name')}; "
                f"make its last layer Linear({len(self.classes)})"
            )
        check_exclusive_activation(output, single)

    def check_targets(self, targets: ArrayLike, count: int, output: Output | None = None) -> NDArray[Any]:
        """(N,) int64 class indices, or (N, K) float32 fractions; one-hot rows become indices."""
        values = as_numbers(targets, count, "labels", _FORM)
        if values.ndim == 1:
            indices = whole_numbers(values, "labels")
            check_range(indices, len(self.classes), "label")
            return np.ascontiguousarray(indices, np.int64)
        if values.shape != (count, len(self.classes)):
            raise DataError(
                f"labels have the shape {shape_of(values)}; give {_FORM}: {count:,} or {count:,}x{len(self.classes):,}"
            )
        return _shares(values)

    def loss_targets(self, targets: NDArray[Any], output: Output) -> NDArray[Any]:
        """The targets unchanged; for a single logit the fraction of the second class, (N, 1) float32."""
        if not is_single_logit(output, len(self.classes)):
            return targets
        second = targets[:, 1] if targets.ndim == 2 else targets
        return second.astype(np.float32).reshape(-1, 1)

    def decode(self, values: NDArray[Any], output: Output) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        return exclusive(values, output, len(self.classes))

    def answers(self, decoded: NDArray[Any]) -> list[Answer]:
        """The five most probable classes of each sample with their probabilities."""
        order = np.argsort(-decoded, axis=1, kind="stable")[:, :TOP]
        return [
            [(self.classes[index], float(row[index])) for index in best]
            for row, best in zip(decoded, order, strict=True)
        ]

    def metrics(self, output: Output) -> Sequence[Metric]:
        """accuracy, top5_accuracy if there are more than five classes, and calibration_error."""
        top = [TopAccuracy(TOP)] if len(self.classes) > TOP else []
        return [ClassAccuracy(self.classes), *top, CalibrationError()]


def check_exclusive_activation(output: Output, single: bool) -> None:
    """Refuse a last layer whose numbers are not probabilities of mutually exclusive classes."""
    if single and output.activation in ("softmax", "log_softmax"):
        raise DataError(
            f"the network's output {output.name} is a softmax over one number, which is always 1; leave that layer "
            "out, or give the network two outputs"
        )
    if not single and output.activation == "sigmoid":
        raise DataError(
            f"the network's output {output.name} ends with Sigmoid, but one of {output.shape[0]:,} classes is right; "
            "leave that layer out, or use MultiLabel, whose labels are not mutually exclusive"
        )


def _shares(values: NDArray[Any]) -> NDArray[Any]:
    """(N, K) fractions as float32, or as indices if each row has only one class."""
    values = values.astype(np.float64)
    sums = values.sum(axis=1)
    wrong = ~((values >= 0).all(axis=1) & (np.abs(sums - 1) <= 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"the class fractions in sample {row} are from {values[row].min():g} to {values[row].max():g} and "
            f"sum to {sums[row]:g}; they must be at least 0 and sum to 1"
        )
    if (values.max(axis=1) == 1).all() and (np.count_nonzero(values, axis=1) == 1).all():
        return np.asarray(values.argmax(axis=1), np.int64)
    return np.ascontiguousarray(values, np.float32)

"""Which of several labels a sample has, any number of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import BinaryCrossEntropy, Loss
from foveate.graph.losses import TargetKind
from foveate.tasks.base import Answer, Task
from foveate.tasks.decoding import independent
from foveate.tasks.metrics.base import Metric
from foveate.tasks.metrics.labels import AveragePrecision, LabelCounts
from foveate.tasks.names import check_names, counted, there_are
from foveate.tasks.output import Output
from foveate.tasks.registry import register
from foveate.tasks.targets import as_numbers, shape_of


@register
@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels for each sample.

    The network outputs a logit for each label, (N, K). Targets are 0 or 1 for each, (N, K); (N,) will do for one label.
    `decode` returns probabilities (N, K), which do not sum to 1.

    Args:
        labels: the name of each label, in the order of the outputs.
        threshold: the probability above which a label counts as found; above 0 and below 1.

    Raises:
        DataError: a name is missing, repeated or not printable, or the threshold is outside 0 to 1.

    >>> from foveate.tasks import Output
    >>> task, output = MultiLabel(("indoors", "people", "text")), Output("fc", (3,))
    >>> task.answers(task.decode(np.log([[1.0, 3.0, 7.0]]), output))
    [[('text', 0.875), ('people', 0.75)]]
    """

    kind: ClassVar[str] = "multi_label"
    headline: ClassVar[str] = "average_precision"

    labels: tuple[str, ...]
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", check_names(self.labels, "label", "labels"))
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise DataError(f"MultiLabel: threshold is {self.threshold!r}; it must be a number between 0 and 1")
        if not 0 < self.threshold < 1:
            raise DataError(f"MultiLabel: threshold is {self.threshold}; it must be above 0 and below 1")

    def fitting_losses(self, output: Output) -> tuple[str, ...]:
        """The losses that treat each label separately."""
        return "BinaryCrossEntropy", "Focal"

    def target_kinds(self, output: Output) -> tuple[TargetKind, ...]:
        """A probability, 0 or 1, for each label."""
        return ("probabilities",)

    def default_loss(self, output: Output) -> Loss:
        """Binary cross-entropy."""
        return BinaryCrossEntropy()

    def check_output(self, output: Output) -> None:
        """Refuse anything but a logit or probability for each label."""
        if output.shape != (len(self.labels),):
            raise DataError(
                f"the network's output {output.name} is {format_sizes(output.shape)}, but "
                f"{there_are(self.labels, 'label')}; make its last layer Linear({len(self.labels)})"
            )
        if output.activation in ("softmax", "log_softmax"):
            raise DataError(
                f"the network's output {output.name} ends with a softmax, which lets only one label win; leave that "
                "layer out, or use Classification, in which one class is right"
            )

    def check_targets(self, targets: ArrayLike, count: int, output: Output | None = None) -> NDArray[np.uint8]:
        """(N, K) zeros and ones as uint8."""
        form = f"0 or 1 for each of {counted(len(self.labels), 'label')}: {count:,}x{len(self.labels):,}"
        values = as_numbers(targets, count, "targets", form)
        if values.ndim == 1 and len(self.labels) == 1:
            values = values[:, None]
        if values.shape != (count, len(self.labels)):
            raise DataError(f"targets have the shape {shape_of(values)}; give {form}")
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            row, label = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise DataError(
                f'sample {row} has {values[row, label]:g} for the label "{self.labels[label]}"; it must be 0 (without) '
                "or 1 (with)"
            )
        return np.ascontiguousarray(values, np.uint8)

    def loss_targets(self, targets: NDArray[Any], output: Output) -> NDArray[np.float32]:
        """The targets as float32."""
        return targets.astype(np.float32)

    def decode(self, values: NDArray[Any], output: Output) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        return independent(values, output)

    def answers(self, decoded: NDArray[Any]) -> list[Answer]:
        """The labels found in each sample with their probabilities, the most probable first; perhaps none."""
        found = [
            [(name, float(value)) for name, value in zip(self.labels, row, strict=True) if value > self.threshold]
            for row in decoded
        ]
        return [sorted(answer, key=lambda pair: -pair[1]) for answer in found]

    def metrics(self, output: Output) -> Sequence[Metric]:
        """average_precision, precision, recall, f1 and exact_match."""
        return [AveragePrecision(self.labels), LabelCounts(self.labels, self.threshold)]

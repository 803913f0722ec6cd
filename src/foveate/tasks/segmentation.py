"""Which one of several classes each position of a sample belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError, TrainingError
from foveate.geometry import LARGEST_SIZE, format_sizes
from foveate.graph import BinaryCrossEntropy, CrossEntropy, Loss
from foveate.graph.losses import TargetKind
from foveate.tasks.base import Answer, Task
from foveate.tasks.classification import check_exclusive_activation
from foveate.tasks.decoding import check_finite, exclusive, is_single_logit
from foveate.tasks.metrics.base import Metric
from foveate.tasks.metrics.overlap import Overlap
from foveate.tasks.names import check_names, counted, there_are
from foveate.tasks.output import Output
from foveate.tasks.registry import register
from foveate.tasks.targets import as_numbers, check_range, shape_of, whole_numbers

_FORM = "a class index for each position: (N, H, W), (N, L) or (N, D, H, W)"


@register
@dataclass(frozen=True)
class Segmentation(Task):
    """One of several classes for each position of a sample.

    The network outputs a logit for each class and position, (N, K, *spatial); for two classes (N, 1, *spatial) will do,
    the logits of the second. Targets are maps of class indices (N, *spatial). `decode` returns such maps too, the most
    probable class of each position, in the smallest unsigned type; `probabilities` returns (N, K, *spatial).

    Args:
        classes: the name of each class, in the order of the indices; the background counts as one.
        ignore_index: a target that is neither learned nor measured, such as 255 in Pascal VOC (default: none).

    Raises:
        DataError: there are fewer than two classes; a name is missing, repeated or not printable; or
                `ignore_index` is a class, or not a whole number.

    >>> from foveate.tasks import Output
    >>> task, output = Segmentation(("background", "cat")), Output("conv9", (2, 1, 4))
    >>> maps = task.decode(np.array([[[[0, 0, 0, 9]], [[1, -1, 1, 1]]]]), output)
    >>> maps.tolist(), task.answers(maps)
    ([[[1, 0, 1, 0]]], [[('background', 0.5), ('cat', 0.5)]])
    """

    kind: ClassVar[str] = "segmentation"
    headline: ClassVar[str] = "mean_iou"

    classes: tuple[str, ...]
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        classes = check_names(self.classes, "class", "classes", least=2)
        object.__setattr__(self, "classes", classes)
        ignored = self.ignore_index
        if ignored is None:
            return
        if not isinstance(ignored, int) or isinstance(ignored, bool) or abs(ignored) > LARGEST_SIZE:
            raise DataError(
                f"Segmentation: ignore_index is {ignored!r}; it must be a whole number such as 255, or None"
            )
        if 0 <= ignored < len(classes):
            raise DataError(
                f'Segmentation: ignore_index is {ignored}, which is the class "{classes[ignored]}"; choose a number '
                f"that is not a class (0 to {len(classes) - 1}), such as 255 or -100"
            )

    def fitting_losses(self, output: Output) -> tuple[str, ...]:
        """Those that compare all classes, or for a single logit the binary ones."""
        if is_single_logit(output, len(self.classes)):
            return "BinaryCrossEntropy", "Focal"
        return "CrossEntropy", "Dice"

    def target_kinds(self, output: Output) -> tuple[TargetKind, ...]:
        """Classes; for a single logit the probability of the second."""
        return ("probabilities",) if is_single_logit(output, len(self.classes)) else ("classes",)

    def default_loss(self, output: Output) -> Loss:
        """Cross-entropy, binary for a single logit."""
        if is_single_logit(output, len(self.classes)):
            return BinaryCrossEntropy()
        return CrossEntropy(ignore_index=self.ignore_index)

    def check_loss(self, loss: Loss, output: Output) -> None:
        """Check as for every task; in addition, the loss must ignore what the task ignores."""
        super().check_loss(loss, output)
        ignored, name = loss.ignored, type(loss).__name__
        if self.ignore_index is not None and ignored != self.ignore_index:
            raise TrainingError(
                f"the task ignores the target {self.ignore_index}, but {name} "
                f"{'ignores none' if ignored is None else f'ignores {ignored}'}; "
                f"give it ignore_index={self.ignore_index}, or leave the loss out: the default is CrossEntropy with it"
            )

    def check_output(self, output: Output) -> None:
        """Refuse anything but a logit or probability for each class and position, or one for two classes."""
        if not 2 <= len(output.shape) <= 4:
            raise DataError(
                f"the network's output {output.name} is {format_sizes(output.shape)}, not a map for each class; end it "
                f"with a convolution of {len(self.classes):,} filters, and leave Flatten and Linear out"
            )
        single = is_single_logit(output, len(self.classes))
        if output.shape[0] != len(self.classes) and not single:
            raise DataError(
                f"the network's output {output.name} has {counted(output.shape[0], 'channel')}, but "
                f"{there_are(self.classes, 'class', 'classes')}; end it with a convolution of "
                f"{len(self.classes):,} filters"
            )
        if single and self.ignore_index is not None:
            raise DataError(
                f"the network's output {output.name} has one channel, so no target can be ignored "
                f"(ignore_index={self.ignore_index}); give it two, one for each class"
            )
        check_exclusive_activation(output, single)

    def check_targets(self, targets: ArrayLike, count: int, output: Output | None = None) -> NDArray[Any]:
        """(N, *spatial) class indices in the integer type that they had."""
        values = as_numbers(targets, count, "masks", _FORM)
        if not 2 <= values.ndim <= 4:
            raise DataError(f"masks have the shape {shape_of(values)}; give {_FORM}")
        if output is not None and values.shape[1:] != output.shape[1:]:
            raise DataError(
                f"a mask is {format_sizes(values.shape[1:])}, but the network's output {output.name} has "
                f"{format_sizes(output.shape[1:])} positions; resize the masks, or end the network with Upsample"
            )
        indices = whole_numbers(values, "masks")
        hint = "; for positions without a class give Segmentation its ignore_index" if self.ignore_index is None else ""
        check_range(indices, len(self.classes), "class", self.ignore_index, hint)
        return np.ascontiguousarray(indices)

    def loss_targets(self, targets: NDArray[Any], output: Output) -> NDArray[Any]:
        """(N, *spatial) int64; for a single logit (N, 1, *spatial) float32."""
        if is_single_logit(output, len(self.classes)):
            return targets.astype(np.float32)[:, None]
        return targets.astype(np.int64)

    def decode(self, values: NDArray[Any], output: Output) -> NDArray[Any]:
        """The most probable class of each position, (N, *spatial)."""
        smallest = np.min_scalar_type(len(self.classes) - 1)
        if is_single_logit(output, len(self.classes)):
            check_finite(values, output)
            border = 0.5 if output.activation == "sigmoid" else 0
            return (values[:, 0] > border).astype(smallest)
        check_finite(values, output, masked=output.activation != "softmax")
        return np.asarray(values.argmax(axis=1).astype(smallest))

    def probabilities(self, values: NDArray[Any], output: Output) -> NDArray[np.float32]:
        """The probability of each class at each position, (N, K, *spatial)."""
        return exclusive(values, output, len(self.classes))

    def answers(self, decoded: NDArray[Any]) -> list[Answer]:
        """The classes found in each sample and what fraction of it each takes, the largest first."""
        return [self._shares(sample) for sample in decoded]

    def metrics(self, output: Output) -> Sequence[Metric]:
        """mean_iou and pixel_accuracy."""
        return [Overlap(self.classes, self.ignore_index)]

    def _shares(self, sample: NDArray[Any]) -> Answer:
        counts = np.bincount(sample.reshape(-1), minlength=len(self.classes))
        order = np.argsort(-counts, kind="stable")
        return [(self.classes[index], float(counts[index] / sample.size)) for index in order if counts[index]]

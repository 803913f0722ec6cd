"""Losses for mutually exclusive answers: one class for each sample, or for each position of it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from foveate.errors import EngineError
from foveate.geometry import format_sizes
from foveate.graph.losses.base import Loss, TargetKind, check_index, check_positive, weights_of
from foveate.layers import Layer, Shape


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of the softmax of logits against a class for each sample, or for each position of it.

        loss = -sum over k of w[k] q[k] log softmax(logits)[k],   q = (1 - s) onehot + s / K

    averaged over samples n and positions p with the weights v[n] w[target[n, p]], where v is the sample's weight and w
    the class's; ignored targets have no weight. Outputs are (N, K, *positions), targets (N, *positions).

    Soft labels, numbers of the output's shape, replace onehot; their mean is weighted by v[n] alone, and `ignore_index`
    cannot be used with them. The values are PyTorch's; it has no sample weights, and equal ones change nothing.

    Two cases differ from PyTorch's: if nothing has weight (all targets ignored, say), loss and
    gradients are 0; and a class without weight (w q = 0) adds nothing, even if its logit is -inf.

    Args:
        label_smoothing: s, at least 0 and below 1.
        class_weights: w, one for each class (default: 1).
        ignore_index: targets of this value do not count; it need not be a class.

    Raises:
        LayerError: an option is out of range.

    Szegedy et al.: Rethinking the Inception architecture (label smoothing), 2015.
    """

    targets: ClassVar[tuple[TargetKind, ...]] = ("classes", "distributions")
    applies: ClassVar[Literal["softmax", "sigmoid"] | None] = "softmax"

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise self.refuse(f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1")
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", weights_of(self, "class_weights", self.class_weights))
        check_index(self, "ignore_index", self.ignore_index)

    @property
    def ignored(self) -> int | None:
        """The index of targets that do not count."""
        return self.ignore_index

    def check_output(self, output: str, shape: Shape, layer: Layer | None) -> None:
        """Refuse probabilities, and a number of classes that differs from the number of weights."""
        super().check_output(output, shape, layer)
        if self.class_weights is not None and len(self.class_weights) != shape[0]:
            raise EngineError(
                f"CrossEntropy has {len(self.class_weights)} class_weights, but the network's output {output} has "
                f"{shape[0]} classes; give one weight for each class"
            )


@dataclass(frozen=True)
class Dice(Loss):
    """How little the softmax of logits and the target regions overlap, averaged over classes and samples.

        loss = 1 - mean over k of (2 sum(p[k] t[k]) + smooth) / (sum(p[k]) + sum(t[k]) + smooth)

    with p = softmax(logits), t the one-hot targets, and sums over the positions of one sample that are not ignored.
    Outputs are (N, K, *positions), targets (N, *positions) class indices. The mean over samples uses the samples'
    weights; a sample whose targets are all ignored does not count, and if none counts, loss and gradients are 0.

    Small regions weigh as much as large ones, which helps when nearly every position is background.

    Args:
        smooth: steadies the loss of absent classes.
        ignore_index: targets of this value do not count.

    Raises:
        LayerError: an option is out of range.

    Milletari, Navab, Ahmadi: V-Net, 2016.
    """

    targets: ClassVar[tuple[TargetKind, ...]] = ("classes",)
    applies: ClassVar[Literal["softmax", "sigmoid"] | None] = "softmax"

    smooth: float = 1.0
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        check_positive(self, "smooth", self.smooth)
        check_index(self, "ignore_index", self.ignore_index)

    @property
    def ignored(self) -> int | None:
        """The index of targets that do not count."""
        return self.ignore_index

    def check_output(self, output: str, shape: Shape, layer: Layer | None) -> None:
        """Refuse probabilities, and a single class."""
        super().check_output(output, shape, layer)
        if shape[0] < 2:
            raise EngineError(
                f"Dice compares mutually exclusive classes, but the network's output {output} is "
                f"{format_sizes(shape)}: one channel only. Give it 2 channels, background and object"
            )

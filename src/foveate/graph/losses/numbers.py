"""Losses that compare each output with its own number."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

from foveate.errors import EngineError
from foveate.graph.losses.base import Loss, TargetKind, check_positive, weights_of
from foveate.layers import Layer, Shape


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of the sigmoid of each output against a target from 0 to 1, averaged over outputs and batch.

        loss = -(pos_weight t log sigmoid(x) + (1 - t) log(1 - sigmoid(x)))

    For answers that are not mutually exclusive: the network's output x has one number (a logit) for each question, and
    targets have its shape (N, K, ...); if that is (N, 1), (N,) will do.

    Args:
        pos_weight: weight of a target of 1 relative to one of 0: a number, or one for each of the K questions (the
            ratio of no to yes makes both count equally; default: 1).

    Raises:
        LayerError: a weight is negative or not a number.
    """

    targets: ClassVar[tuple[TargetKind, ...]] = ("probabilities",)
    applies: ClassVar[Literal["softmax", "sigmoid"] | None] = "sigmoid"

    pos_weight: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.pos_weight, Iterable):
            object.__setattr__(self, "pos_weight", weights_of(self, "pos_weight", self.pos_weight))
        elif self.pos_weight is not None:
            check_positive(self, "pos_weight", self.pos_weight)

    def check_output(self, output: str, shape: Shape, layer: Layer | None) -> None:
        """Refuse probabilities, and a number of questions that differs from the number of weights."""
        super().check_output(output, shape, layer)
        if isinstance(self.pos_weight, tuple) and len(self.pos_weight) != shape[0]:
            raise EngineError(
                f"BinaryCrossEntropy has {len(self.pos_weight)} numbers as pos_weight, but the network's output "
                f"{output} has {shape[0]} channels; give one for each, or a single number for all"
            )


@dataclass(frozen=True)
class Focal(Loss):
    """Binary cross-entropy that plays down easy answers, averaged over outputs and batch.

        loss = a (1 - p)^gamma BinaryCrossEntropy(x, t),   p = t sigmoid(x) + (1 - t) (1 - sigmoid(x))

    with a = t alpha + (1 - t) (1 - alpha), or 1 if alpha is None. Targets from 0 to 1 have the output's shape
    (N, K, ...); if that is (N, 1), (N,) will do. The numbers are those of torchvision's `sigmoid_focal_loss`.

    Args:
        gamma: how fast the loss of an answer falls as it becomes right; 0 is binary cross-entropy.
        alpha: weight of a target of 1, from 0 to 1; a target of 0 has the weight 1 - alpha.

    Raises:
        LayerError: an option is out of range.

    Lin et al.: Focal loss for dense object detection, 2017.
    """

    targets: ClassVar[tuple[TargetKind, ...]] = ("probabilities",)
    applies: ClassVar[Literal["softmax", "sigmoid"] | None] = "sigmoid"

    gamma: float = 2.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < inf:
            raise self.refuse(f"gamma is {self.gamma}; it must be at least 0 and finite")
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise self.refuse(f"alpha is {self.alpha}; it must be from 0 to 1, or None")


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared difference of output and target, averaged over outputs and batch: loss = (x - t)^2.

    Targets have the output's shape, (N, ...).
    """


@dataclass(frozen=True)
class L1(Loss):
    """Absolute difference of output and target, averaged over outputs and batch: loss = |x - t|.

    Targets have the output's shape, (N, ...). Its gradient at x = t is 0.
    """


@dataclass(frozen=True)
class Huber(Loss):
    """Squared error if output and target are near, absolute if they are far, averaged over outputs and batch.

        loss = (x - t)^2 / 2 if |x - t| <= delta else delta (|x - t| - delta / 2)

    Targets have the output's shape, (N, ...).

    Args:
        delta: the difference at which the square becomes linear.

    Raises:
        LayerError: delta is not positive.

    Huber: Robust estimation of a location parameter, 1964.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, "delta", self.delta)

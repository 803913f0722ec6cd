"""The table of NumPy losses: the value and gradient of each type, and what counts as correct.

Built-in losses are entered from `engines.reference`, custom ones with `register_loss`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.calls import called
from foveate.engines.base import FloatArray
from foveate.errors import EngineError, GradientError
from foveate.geometry import format_sizes
from foveate.graph.losses import CrossEntropy, Dice, Loss, register_loss_type


@dataclass(frozen=True, eq=False)
class Measured:
    """A mean loss, its gradient (N, K, ...) with respect to the outputs, and the sum of the weights averaged over."""

    loss: float
    gradient: FloatArray
    weight: float


Measure: TypeAlias = Callable[[Any, FloatArray, NDArray[Any], FloatArray], Measured]
"""measure(loss, outputs, targets, sample_weight) -> Measured"""

Value: TypeAlias = Callable[[Any, FloatArray, NDArray[Any], FloatArray], float]
"""value(loss, outputs, targets, sample_weight) -> the mean loss"""

Gradient: TypeAlias = Callable[[Any, FloatArray, NDArray[Any], FloatArray], FloatArray]
"""gradient(loss, outputs, targets, sample_weight) -> the mean loss's gradient with respect to the outputs"""

LOSSES: dict[type[Loss], Measure] = {}
"""By exact type: a loss is never computed as another, whatever it is derived from."""


def measure_of(loss: Loss) -> Measure:
    """How a loss's type measures, or an EngineError that says how to teach it."""
    measure = LOSSES.get(type(loss))
    if measure is None:
        name = type(loss).__name__
        raise EngineError(
            f"no engine knows how {name} computes; teach it with foveate.engines.register_loss({name}, value, gradient)"
        )
    return measure


def total_weight(loss: Loss, targets: NDArray[Any]) -> float:
    """The sum of the weights by which the loss of these targets is a mean; samples count alike.

    Losses of one's own are means over samples, also those that derive from another.

    >>> total_weight(CrossEntropy(class_weights=(1.0, 30.0), ignore_index=255), np.array([0, 1, 255]))
    31.0
    """
    there = np.ones(targets.shape, bool) if loss.ignored is None else targets != loss.ignored
    if type(loss) is Dice:
        return float(there.reshape(len(targets), -1).any(axis=1).sum())
    if type(loss) is not CrossEntropy or targets.dtype.kind not in "iu":
        return float(len(targets))
    return float(there.sum() if loss.class_weights is None else np.asarray(loss.class_weights)[targets[there]].sum())


def measure_loss(
    loss: Loss, outputs: FloatArray, targets: NDArray[Any], sample_weight: FloatArray | None = None
) -> Measured:
    """The weighted mean loss of (N, K, ...) outputs, and its gradient; targets as `check_targets` returns them."""
    weight = np.ones(len(outputs), outputs.dtype) if sample_weight is None else sample_weight
    return measure_of(loss)(loss, outputs, targets, weight)


def count_correct(loss: Loss, outputs: FloatArray, targets: NDArray[Any]) -> tuple[int, int]:
    """How many answers are correct, out of how many positions or samples; 0 out of 0 if there are no classes."""
    if targets.dtype.kind == "i":
        counts = targets >= 0
        return int((counts & (outputs.argmax(axis=1) == targets)).sum()), int(counts.sum())
    if "distributions" in loss.targets:
        right = outputs.argmax(axis=1) == targets.argmax(axis=1)
        return int(right.sum()), right.size
    if "probabilities" in loss.targets:
        right = (outputs > (0 if loss.applies == "sigmoid" else 0.5)) == (targets > 0.5)
        return int(right.reshape(len(outputs), -1).all(axis=1).sum()), len(outputs)
    return 0, 0


@called()
def register_loss(loss_type: type[Loss], value: Value, gradient: Gradient) -> None:
    """Teach every engine a custom loss, in NumPy; the native engine calls it back.

    Both functions get the loss itself, outputs (N, K, ...), targets of the kind that `loss_type.targets` names, and
    the sample weights (N,) (default: all 1). Class indices that the loss ignores are -1.

    Args:
        loss_type: a frozen dataclass derived from foveate.Loss; saved in files by its class name.
        value: (loss, outputs, targets, sample_weight) -> the mean loss.
        gradient: (loss, outputs, targets, sample_weight) -> its gradient with respect to the outputs, in their shape.

    Raises:
        LayerError: it is not a frozen dataclass, or foveate already has a loss of that name.
    """
    register_loss_type(loss_type)

    def measure(loss: Loss, outputs: FloatArray, targets: NDArray[Any], sample_weight: FloatArray) -> Measured:
        mean = float(value(loss, outputs, targets, sample_weight))
        slope = np.asarray(gradient(loss, outputs, targets, sample_weight))
        if slope.shape != outputs.shape:
            raise GradientError(
                f"{loss_type.__name__}: gradient returns the shape {format_sizes(slope.shape) or 'of one number'}, but "
                f"the outputs have {format_sizes(outputs.shape)}"
            )
        return Measured(mean, slope, float(sample_weight.sum()))

    LOSSES[loss_type] = measure

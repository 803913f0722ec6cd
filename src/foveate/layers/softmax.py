"""Softmax and its logarithm, over the channels or another axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, final

from foveate.geometry import AxisReach, Extent
from foveate.layers.base import OTHER_NAMES, Cost, ElementwiseLayer, Shape, positionwise
from foveate.layers.options import axis_number

_OVER_CHANNELS = {
    **OTHER_NAMES,
    "": "it is over the channels; axis is given by name, and counts them as 0",
    "dim": "it is called axis, and 0 is the channels",
}


@dataclass(frozen=True, kw_only=True)
class OverAxis(ElementwiseLayer):
    """What softmax and its logarithm share: the axis whose numbers belong together."""

    call_hints: ClassVar[Mapping[str, str]] = _OVER_CHANNELS

    axis: int = 0

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        shape = super().output_shape(input_shapes)
        axis_number(self.axis, shape)
        return shape

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position, and all along the axis."""
        axis, (reaches,) = axis_number(self.axis, input_shapes[0]), positionwise(input_shapes)
        return ((*reaches[: axis - 1], Extent.EVERYTHING, *reaches[axis:]) if axis else reaches,)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """An exponential and two more operations for each element."""
        return Cost(flops=3 * prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'Softmax', or 'Softmax over axis 1'."""
        return type(self).__name__ if self.axis == 0 else f"{type(self).__name__} over axis {self.axis}"


@final
@dataclass(frozen=True, kw_only=True)
class Softmax(OverAxis):
    """Probabilities of classes: y[c] = exp(x[c]) / sum over k of exp(x[k]), over the channels (a sample's first axis).

    CrossEntropy applies it itself: end a network that you train with the layer before it.

    Args:
        axis: another axis of a sample, 0 being the channels; a negative number counts from the last.
    """

    label: ClassVar[str] = "softmax"


@final
@dataclass(frozen=True, kw_only=True)
class LogSoftmax(OverAxis):
    """Logarithms of probabilities: y[c] = x[c] - log of the sum over k of exp(x[k]), over the channels.

    CrossEntropy applies it itself: end a network that you train with the layer before it.

    Args:
        axis: another axis of a sample, 0 being the channels; a negative number counts from the last.
    """

    label: ClassVar[str] = "log_softmax"

"""Layers that make one number of many along any axes: Reduce."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Extent, format_sizes, shift_reach
from foveate.layers.base import OTHER_NAMES, Cost, Layer, Shape
from foveate.layers.options import axis_number, ints, one_of

KINDS = ("mean", "sum", "prod", "max", "min")


@final
@dataclass(frozen=True)
class Reduce(Layer):
    """The mean, sum, product, maximum or minimum along any axes of a sample.

        y[h] = mean over c and w of x[c, h, w]     for Reduce("mean", axes=(0, 2))

    Equal maxima, or minima, share their gradient. For all positions of each channel, GlobalAvgPool2d and its like are
    faster.

    Args:
        kind: "mean", "sum", "prod", "max" or "min".
        axes: along which, 0 being the channels; a negative number counts from the last. None is all.
        keepdims: whether each of them stays, with length 1.

    Raises:
        LayerError: there is no such kind, or the axes are not ints.

    >>> Reduce("mean", axes=(0,)).output_shape([(16, 8)])
    (8,)
    """

    call_hints: ClassVar[Mapping[str, str]] = {
        **OTHER_NAMES, "dim": "it is called axes, and 0 is the channels", "keepdim": "it is called keepdims"
    }  # fmt: skip
    label: ClassVar[str] = "reduce"
    keeps_signal: ClassVar[bool] = True

    kind: str
    axes: tuple[int, ...] | None = None
    keepdims: bool = False

    def __post_init__(self) -> None:
        one_of(self.kind, KINDS, "kind", "Reduce")
        if self.axes is not None:
            object.__setattr__(self, "axes", ints(self.axes, "axes", "Reduce"))

    def axes_of(self, shape: Shape) -> tuple[int, ...]:
        """The axes that are reduced, in order, counted from the first."""
        wanted = range(len(shape)) if self.axes is None else self.axes
        axes = sorted(axis_number(axis, shape) for axis in wanted)
        if len(set(axes)) < len(axes) or not axes:
            raise ShapeError(
                f"has the axes {self.axes} for its input {format_sizes(shape)}; give at least one, and each once"
            )
        return tuple(axes)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The sizes of the other axes, with 1 between them if `keepdims`."""
        self.check_inputs(input_shapes)
        shape, axes = input_shapes[0], self.axes_of(input_shapes[0])
        if self.keepdims:
            return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        if len(axes) == len(shape):
            raise ShapeError(f"would leave no axis of its input {format_sizes(shape)}; give keepdims=True")
        return tuple(size for axis, size in enumerate(shape) if axis not in axes)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Everything along the axes that are reduced; its own position on others that keep their place."""
        axes, count = self.axes_of(input_shapes[0]), len(input_shapes[0])
        stay = self.keepdims or axes == tuple(range(count - len(axes), count))
        own: AxisReach = shift_reach(0) if stay else Extent.UNKNOWN
        return (tuple(Extent.EVERYTHING if axis in axes else own for axis in range(1, count)),)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each element."""
        return Cost(flops=prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'Reduce mean over axes 0 2'."""
        if self.axes is None:
            over = "all axes"
        else:
            over = ("axis " if len(self.axes) == 1 else "axes ") + " ".join(map(str, self.axes))
        return f"Reduce {self.kind} over {over}{', kept' if self.keepdims else ''}"

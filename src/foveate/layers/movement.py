"""Layers after which the same values lie elsewhere: Reshape, Transpose, Slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Extent, Reach, format_sizes
from foveate.layers.base import Layer, Shape, everything, positionwise
from foveate.layers.options import axis_number, ints


@final
@dataclass(frozen=True)
class Reshape(Layer):
    """The same values, in the same order, with other axes: (8, 4, 4) becomes (8, 16).

    Args:
        shape: the sizes of a sample's axes, channels first, without the batch; one of them may be -1, which takes what
            is left.

    Raises:
        LayerError: a size is neither positive nor -1, or several are -1.

    >>> Reshape((8, -1)).output_shape([(8, 4, 4)])
    (8, 16)
    """

    label: ClassVar[str] = "reshape"
    keeps_signal: ClassVar[bool] = True

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        shape = ints(self.shape, "shape", "Reshape")
        if not shape or any(size < 1 and size != -1 for size in shape) or shape.count(-1) > 1:
            raise self.refuse(f"shape is {shape}; give positive sizes, at most one of them -1 for what is left")
        object.__setattr__(self, "shape", shape)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The shape, -1 replaced by what is left."""
        self.check_inputs(input_shapes)
        before = input_shapes[0]
        values, known = prod(before), prod(size for size in self.shape if size != -1)
        if values % known or (values != known and -1 not in self.shape):
            raise ShapeError(
                f"puts the {values:,} values of its {format_sizes(before)} input into {format_sizes(self.shape)}, "
                f"which has room for {'multiples of ' if -1 in self.shape else ''}{known:,}"
            )
        return tuple(values // known if size == -1 else size for size in self.shape)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """All positions if the output has none of its own, the same one if nothing changes, else unknown."""
        made = self.output_shape(input_shapes)
        if made == input_shapes[0]:
            return positionwise(input_shapes)
        return everything(input_shapes) if len(made) == 1 else super().reaches(input_shapes)

    def size_steps(self, input_shapes: Sequence[Shape]) -> tuple[str, ...]:
        """The product of the sizes before and after."""
        before, after = ("*".join(map(str, shape)) for shape in (input_shapes[0], self.output_shape(input_shapes)))
        return (f"`{before} = {after} = {prod(input_shapes[0]):,}`",)

    def describe(self) -> str:
        """For example 'Reshape to 8x-1'."""
        return f"Reshape to {format_sizes(self.shape)}"


@final
@dataclass(frozen=True)
class Transpose(Layer):
    """The same values with their axes in another order: (C, H, W) becomes (H, W, C).

    Args:
        axes: for each axis of the output the number of that of the input, 0 for the channels; the batch stays first.

    Raises:
        LayerError: the axes are not 0, 1, 2, ... in some order.

    >>> Transpose((1, 2, 0)).output_shape([(8, 4, 5)])
    (4, 5, 8)
    """

    label: ClassVar[str] = "transpose"
    keeps_signal: ClassVar[bool] = True

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        axes = ints(self.axes, "axes", "Transpose")
        if not axes or sorted(axes) != list(range(len(axes))):
            raise self.refuse(f"axes are {axes}; give each of 0, 1, 2, ... once, such as (1, 2, 0) for channels last")
        object.__setattr__(self, "axes", axes)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The sizes in the new order."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) != len(self.axes):
            raise ShapeError(
                f"orders {len(self.axes)} axes, but its input {format_sizes(shape)} has {len(shape)}; "
                "give every axis of a sample a place, channels included"
            )
        return tuple(shape[axis] for axis in self.axes)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position if nothing moves, else unknown: an axis is told by its place."""
        still = self.axes == tuple(range(len(self.axes)))
        return positionwise(input_shapes) if still else super().reaches(input_shapes)

    @property
    def opposite(self) -> tuple[int, ...]:
        """The order that brings every axis back."""
        return tuple(map(self.axes.index, range(len(self.axes))))

    def describe(self) -> str:
        """For example 'Transpose 1 2 0'."""
        return f"Transpose {' '.join(map(str, self.axes))}"


@final
@dataclass(frozen=True)
class Slice(Layer):
    """Part of an axis, or every n-th position of it: y[i] = x[begin + i step].

    Args:
        axis: of a sample, 0 for the channels; a negative number counts from the last.
        begin: the first position; a negative number counts from the end. None is the first, or the last if step < 0.
        end: the position before which it stops, in the same way. None takes all.
        step: from one position to the next; -1 turns the axis round.

    Raises:
        LayerError: a number is not an int, or step is 0.

    >>> Slice(1, 0, None, 2).output_shape([(3, 9, 9)])
    (3, 5, 9)
    """

    label: ClassVar[str] = "slice"
    keeps_signal: ClassVar[bool] = True

    axis: int
    begin: int | None = None
    end: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("axis", "begin", "end", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | None) or (value is None and name[-1] not in "nd"):
                raise self.refuse(f"{name} is {value!r}; it must be an int")
        if self.step == 0:
            raise self.refuse("step is 0; it must go forward (1, 2, ...) or back (-1, ...)")

    def positions(self, shape: Shape) -> tuple[int, range]:
        """The axis, counted from the first, and the positions of it that are taken."""
        axis = axis_number(self.axis, shape)
        return axis, range(*slice(self.begin, self.end, self.step).indices(shape[axis]))

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The number of positions taken, and the other sizes."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        axis, taken = self.positions(shape)
        if not taken:
            raise ShapeError(
                f"takes {self._words()} of axis {axis}, which has {shape[axis]} positions in its {format_sizes(shape)} "
                "input; nothing would be left"
            )
        return *shape[:axis], len(taken), *shape[axis + 1 :]

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The position that is taken; unknown on an axis that is turned round."""
        axis, taken = self.positions(input_shapes[0])
        (reaches,) = positionwise(input_shapes)
        if axis == 0:
            return (reaches,)
        own = Reach(taken.step, ((taken.start,),)) if taken.step > 0 else Extent.UNKNOWN
        return ((*reaches[: axis - 1], own, *reaches[axis:]),)

    def describe(self) -> str:
        """For example 'Slice axis 1, 0::2'."""
        return f"Slice axis {self.axis}, {self._words()}"

    def _words(self) -> str:
        begin, end = ("" if place is None else str(place) for place in (self.begin, self.end))
        return f"{begin}:{end}" if self.step == 1 else f"{begin}:{end}:{self.step}"

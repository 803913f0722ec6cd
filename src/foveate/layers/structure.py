"""Layers that move, join or drop values: Flatten, Add, Concatenate, Pad, Dropout."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from foveate.errors import ShapeError
from foveate.geometry import format_sizes
from foveate.layers.base import Cost, ElementwiseLayer, Layer, Shape


@dataclass(frozen=True)
class Flatten(Layer):
    """Stretch a sample to one axis, channels first: (3, 32, 32) becomes (3072,).

    >>> Flatten().output_shape([(3, 32, 32)])
    (3072,)
    """

    label: ClassVar[str] = "flatten"
    keeps_signal: ClassVar[bool] = True

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(product of the sizes,)."""
        self.check_inputs(input_shapes)
        return (prod(input_shapes[0]),)


@dataclass(frozen=True)
class Add(Layer):
    """Sum of two or more inputs of one shape."""

    label: ClassVar[str] = "add"
    inputs_expected: ClassVar[tuple[int, int | None]] = (2, None)
    keeps_signal: ClassVar[bool] = True

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The shape that all inputs share."""
        self.check_inputs(input_shapes)
        if len(set(input_shapes)) > 1:
            raise ShapeError(f"adds inputs of different shapes: {' and '.join(map(format_sizes, input_shapes))}")
        return input_shapes[0]

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One addition for each element of each further input."""
        return Cost(flops=(len(input_shapes) - 1) * prod(input_shapes[0]))


@dataclass(frozen=True)
class Concatenate(Layer):
    """Inputs joined along their channels; their other axes must agree."""

    label: ClassVar[str] = "concat"
    inputs_expected: ClassVar[tuple[int, int | None]] = (1, None)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(sum of the channels, *spatial sizes)."""
        self.check_inputs(input_shapes)
        if len({shape[1:] for shape in input_shapes}) > 1:
            raise ShapeError(
                f"joins inputs whose spatial sizes differ: {' and '.join(map(format_sizes, input_shapes))}. "
                "Give the branches the same stride and padding"
            )
        return sum(shape[0] for shape in input_shapes), *input_shapes[0][1:]


@dataclass(frozen=True)
class Pad(Layer):
    """Zeros around a sample, channels included; a negative number crops.

    Args:
        padding: a (begin, end) pair for each axis of a sample, channels first.

    ResNet's parameter-free shortcut is MaxPool2d(1, stride=2) and then Pad(((8, 8), (0, 0), (0, 0))).

    >>> Pad(((0, 0), (1, 1), (1, 1))).output_shape([(3, 32, 32)])
    (3, 34, 34)
    """

    label: ClassVar[str] = "pad"
    keeps_signal: ClassVar[bool] = True

    padding: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        pairs: tuple[tuple[int, ...], ...] = ()
        if isinstance(self.padding, Sequence) and all(isinstance(pair, Sequence) for pair in self.padding):
            pairs = tuple(tuple(pair) for pair in self.padding)
        if not pairs or any(len(pair) != 2 or not all(isinstance(n, int) for n in pair) for pair in pairs):
            raise self.refuse(f"padding is {self.padding!r}; give a (begin, end) pair of ints for each axis")
        object.__setattr__(self, "padding", pairs)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """size + begin + end for each axis."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) != len(self.padding):
            raise ShapeError(
                f"has padding for {len(self.padding)} axes, but its input {format_sizes(shape)} has {len(shape)}; "
                "give one pair for each axis, channels first"
            )
        axes = list(zip(shape, self.padding, strict=True))
        sizes = tuple(size + begin + end for size, (begin, end) in axes)
        if min(sizes) < 1 or any(size + min(0, begin) + min(0, end) < 1 for size, (begin, end) in axes):
            raise ShapeError(f"crops its {format_sizes(shape)} input to {format_sizes(sizes)}; nothing would be left")
        return sizes

    def describe(self) -> str:
        """For example 'Pad (8, 8) (0, 0) (0, 0)'."""
        return f"Pad {' '.join(map(str, self.padding))}"


@dataclass(frozen=True)
class Dropout(ElementwiseLayer):
    """In training each element is set to zero with probability `rate`, the others divided by 1 - rate. Any shape.

    In inference it does nothing. Which elements fall is decided by (seed, node, step, element) alone.

    Args:
        rate: from 0 to below 1.

    Srivastava et al.: Dropout, 2014.
    """

    label: ClassVar[str] = "dropout"
    keeps_signal: ClassVar[bool] = True

    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise self.refuse(f"rate is {self.rate}; it is the share that is dropped, at least 0 and below 1")

    def describe(self) -> str:
        """For example 'Dropout 0.5'."""
        return f"Dropout {self.rate:g}"

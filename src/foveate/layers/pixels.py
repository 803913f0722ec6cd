"""Layers that trade channels for positions and back: PixelShuffle and PixelUnshuffle."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Window, format_sizes, nearest_reach, window_reach
from foveate.layers.base import Layer, Shape
from foveate.layers.options import positive_int

Movement: TypeAlias = tuple[Shape, tuple[int, ...]]
"""The axes into which a sample is split, and the order in which they are joined again."""


@dataclass(frozen=True)
class PixelMoving(Layer):
    """The base of both: they have a factor, and only move values."""

    keeps_signal: ClassVar[bool] = True

    factor: int

    def __post_init__(self) -> None:
        positive_int(self.factor, "factor", type(self).__name__)

    @abstractmethod
    def movement(self, shape: Shape) -> Movement:
        """How the values of an input of this shape move."""

    def describe(self) -> str:
        """For example 'PixelShuffle 2'."""
        return f"{type(self).__name__} {self.factor}"

    def _axes(self, input_shapes: Sequence[Shape]) -> tuple[int, int, int]:
        self.check_inputs(input_shapes)
        if len(input_shapes[0]) != 3:
            raise ShapeError(f"needs an input (C, H, W), but gets {format_sizes(input_shapes[0])}")
        channels, height, width = input_shapes[0]
        return channels, height, width


@final
@dataclass(frozen=True)
class PixelShuffle(PixelMoving):
    """Channels become positions, r along each axis: sub-pixel upsampling.

        y[c, h r + i, w r + j] = x[c r^2 + i r + j, h, w]

    Input (C r^2, H, W), output (C, H r, W r).

    Args:
        factor: r.

    Raises:
        LayerError: the factor is not a positive int.

    Shi et al.: Real-time single image and video super-resolution, 2016.

    >>> PixelShuffle(2).output_shape([(12, 7, 7)])
    (3, 14, 14)
    """

    label: ClassVar[str] = "pixelshuffle"

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C, H r, W r)."""
        channels, height, width = self._axes(input_shapes)
        if channels % self.factor**2:
            raise ShapeError(
                f"makes one channel from every {self.factor}*{self.factor} = {self.factor**2}, but its input has "
                f"{channels:,}; give it a multiple of {self.factor**2}"
            )
        return channels // self.factor**2, height * self.factor, width * self.factor

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The position whose channels are placed there."""
        return (tuple(map(nearest_reach, input_shapes[0][1:], self.output_shape(input_shapes)[1:])),)

    def movement(self, shape: Shape) -> Movement:
        """(C, r, r, H, W) to (C, H, r, W, r)."""
        channels, height, width = shape
        return (channels // self.factor**2, self.factor, self.factor, height, width), (0, 3, 1, 4, 2)


@final
@dataclass(frozen=True)
class PixelUnshuffle(PixelMoving):
    """Positions become channels, the opposite of PixelShuffle: downsampling that loses nothing.

        y[c r^2 + i r + j, h, w] = x[c, h r + i, w r + j]

    Input (C, H r, W r), output (C r^2, H, W).

    Args:
        factor: r; it must divide H and W.

    Raises:
        LayerError: the factor is not a positive int.

    Shi et al.: Real-time single image and video super-resolution, 2016.

    >>> PixelUnshuffle(2).output_shape([(3, 14, 14)])
    (12, 7, 7)
    """

    label: ClassVar[str] = "pixelunshuffle"

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C r^2, H / r, W / r)."""
        channels, *sizes = self._axes(input_shapes)
        if any(size % self.factor for size in sizes):
            nearest = format_sizes([max(1, size // self.factor) * self.factor for size in sizes])
            raise ShapeError(
                f"has the factor {self.factor}, which does not divide its {format_sizes(sizes)} input; {nearest} fits"
            )
        return channels * self.factor**2, *(size // self.factor for size in sizes)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The r x r positions that become its channels."""
        self.output_shape(input_shapes)
        return ((window_reach(Window(self.factor, stride=self.factor)),) * 2,)

    def movement(self, shape: Shape) -> Movement:
        """(C, H, r, W, r) to (C, r, r, H, W)."""
        channels, height, width = shape
        split = (channels, height // self.factor, self.factor, width // self.factor, self.factor)
        return split, (0, 2, 4, 1, 3)

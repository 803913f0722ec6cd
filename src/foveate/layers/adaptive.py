"""Adaptive pooling: one bin for each output position, whatever the size of the input. No parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Never, final

from foveate.geometry import AxisReach, adaptive_bins, adaptive_reach, format_sizes
from foveate.layers.base import Cost, Shape, SpatialLayer
from foveate.layers.options import Ints, no_surplus, per_axis


@dataclass(frozen=True, init=False)
class AdaptivePooling(SpatialLayer):
    """What adaptive average and maximum pooling share."""

    label: ClassVar[str] = "pool"
    keeps_signal: ClassVar[bool] = True

    output_size: tuple[int, ...]

    def __init__(self, output_size: Ints, *surplus: Never) -> None:
        owner = type(self).__name__
        no_surplus(
            surplus,
            owner,
            "only output_size can be given without a name; a tuple has one size for each spatial axis",
        )
        object.__setattr__(self, "output_size", per_axis(output_size, self.spatial_axes, "output_size", owner))

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C, *output_size), for an input of any size."""
        channels, _ = self.spatial_input(input_shapes)
        return channels, *self.output_size

    def bins(self, spatial: Sequence[int]) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each spatial axis the (begin, end) of each output's bin."""
        return tuple(adaptive_bins(size, count) for size, count in zip(spatial, self.output_size, strict=True))

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its bin."""
        return (tuple(map(adaptive_reach, input_shapes[0][1:], self.output_size)),)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each position of each bin."""
        channels, spatial = self.spatial_input(input_shapes)
        return Cost(flops=channels * prod(sum(end - begin for begin, end in axis) for axis in self.bins(spatial)))

    def describe(self) -> str:
        """For example 'AdaptiveAvgPool2d to 6x6'."""
        return f"{type(self).__name__} to {format_sizes(self.output_size)}"


@dataclass(frozen=True, init=False)
class AdaptiveAveragePooling(AdaptivePooling):
    """Mean over each bin; use AdaptiveAvgPool1d, AdaptiveAvgPool2d or AdaptiveAvgPool3d."""


@final
class AdaptiveAvgPool1d(AdaptiveAveragePooling):
    """Mean over bins of one axis. Input (C, L), output (C, output_size). Arguments as for AdaptiveAvgPool2d."""

    spatial_axes: ClassVar[int] = 1


@final
class AdaptiveAvgPool2d(AdaptiveAveragePooling):
    """Mean over one bin for each output position.

        y[c, i, j] = mean of x[c, h, w] over floor(i H/O) <= h < ceil((i + 1) H/O), and w likewise

    Input (C, H, W) of any size, output (C, *output_size). Bins overlap if O does not divide H; if the output is larger
    than the input, positions repeat.

    Args:
        output_size: O, an int or (height, width).

    Raises:
        LayerError: output_size is neither a positive int nor one for each axis.

    >>> AdaptiveAvgPool2d(6).output_shape([(256, 13, 13)])
    (256, 6, 6)
    """

    spatial_axes: ClassVar[int] = 2


@final
class AdaptiveAvgPool3d(AdaptiveAveragePooling):
    """Mean over bins of three axes. Input (C, D, H, W), output (C, *output_size). As AdaptiveAvgPool2d."""

    spatial_axes: ClassVar[int] = 3


@dataclass(frozen=True, init=False)
class AdaptiveMaximumPooling(AdaptivePooling):
    """Maximum over each bin; use AdaptiveMaxPool1d, AdaptiveMaxPool2d or AdaptiveMaxPool3d."""


@final
class AdaptiveMaxPool1d(AdaptiveMaximumPooling):
    """Maximum over bins of one axis. Input (C, L), output (C, output_size). Arguments as for AdaptiveAvgPool2d."""

    spatial_axes: ClassVar[int] = 1


@final
class AdaptiveMaxPool2d(AdaptiveMaximumPooling):
    """Maximum over the bins of AdaptiveAvgPool2d. Input (C, H, W), output (C, *output_size).

    >>> AdaptiveMaxPool2d((3, 2)).output_shape([(8, 7, 5)])
    (8, 3, 2)
    """

    spatial_axes: ClassVar[int] = 2


@final
class AdaptiveMaxPool3d(AdaptiveMaximumPooling):
    """Maximum over bins of three axes. Input (C, D, H, W), output (C, *output_size). As AdaptiveAvgPool2d."""

    spatial_axes: ClassVar[int] = 3

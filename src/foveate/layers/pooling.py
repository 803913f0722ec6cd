"""Pooling over 1, 2 and 3 spatial axes: each channel is summarised window by window. No parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import ClassVar, Never, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Window, input_of, sees_only_padding
from foveate.layers.base import Cost, Shape, SpatialLayer, everything
from foveate.layers.options import Ints, Padding, PaddingOption, no_surplus, padding_pairs, per_axis
from foveate.layers.sliding import derive_sizes, describe_windows, resolve_windows, window_sizes


@dataclass(frozen=True, init=False)
class Pooling(SpatialLayer):
    """What maximum and average pooling share."""

    label: ClassVar[str] = "pool"
    keeps_signal: ClassVar[bool] = True
    pads_less_than_window: ClassVar[bool] = True

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    ceil_mode: bool

    def _set_windows(
        self,
        kernel_size: Ints,
        surplus: Sequence[object],
        stride: Ints | None,
        padding: PaddingOption,
        dilation: Ints,
        ceil_mode: bool,
    ) -> None:
        owner, axes = type(self).__name__, self.spatial_axes
        no_surplus(surplus, owner, "only kernel_size can be given without a name: write {owner}(2, stride=2)")
        checked = {
            "kernel_size": per_axis(kernel_size, axes, "kernel_size", owner),
            "stride": per_axis(kernel_size if stride is None else stride, axes, "stride", owner),
            "padding": padding_pairs(padding, axes, owner),
            "dilation": per_axis(dilation, axes, "dilation", owner),
            "ceil_mode": ceil_mode,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.padding != "same":
            self._check_padding(
                [Window(self.kernel_size[axis], 1, pair, self.dilation[axis]) for axis, pair in enumerate(self.padding)]
            )

    def _check_padding(self, windows: Sequence[Window]) -> None:
        most = min(window.effective_size for window in windows) - 1
        for window in windows:
            if max(window.padding) >= window.effective_size:
                raise self.refuse(
                    f"padding {max(window.padding)} is as long as the window ({window.effective_size}), so a window "
                    f"would see only padding. Use at most padding {most}, or a Pad layer before it"
                )

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C, *sizes), each size floor((W - F_eff + P_begin + P_end)/S) + 1, or rounded up under `ceil_mode`."""
        channels, spatial = self.spatial_input(input_shapes)
        windows = self.windows(input_shapes)
        outputs = window_sizes(self, input_shapes[0], windows, ceil_mode=self.ceil_mode)
        for size, window, count in zip(spatial, windows, outputs, strict=True):
            position = sees_only_padding(size, window, count)
            if position is not None:
                raise ShapeError(
                    f"does not fit its {input_of(spatial)}: its window {position + 1} of {count} would see "
                    f"only padding, because {window.kernel_size} taps {window.dilation} apart miss all {size} "
                    f"positions. Use a smaller dilation or padding, or an input longer than {window.dilation}"
                )
        return channels, *outputs

    def windows(self, input_shapes: Sequence[Shape]) -> tuple[Window, ...]:
        """One window for each spatial axis, "same" resolved."""
        _, spatial = self.spatial_input(input_shapes)
        return resolve_windows(spatial, self.kernel_size, self.stride, self.padding, self.dilation)

    def size_steps(self, input_shapes: Sequence[Shape]) -> tuple[str, ...]:
        """The size formula of each axis."""
        return derive_sizes(input_shapes[0][1:], self.windows(input_shapes), self.output_shape(input_shapes)[1:])

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each position of each window."""
        return Cost(flops=prod(self.output_shape(input_shapes)) * prod(self.kernel_size))

    def describe(self) -> str:
        """For example 'MaxPool2d 2x2, stride 2'."""
        words = f"{type(self).__name__} {describe_windows(self.kernel_size, self.stride, self.padding, self.dilation)}"
        return words + (", ceil_mode" if self.ceil_mode else "")


@dataclass(frozen=True, init=False)
class MaxPooling(Pooling):
    """Maximum over each window; use MaxPool1d, MaxPool2d or MaxPool3d."""

    def __init__(
        self,
        kernel_size: Ints,
        *surplus: Never,
        stride: Ints | None = None,
        padding: PaddingOption = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
    ) -> None:
        self._set_windows(kernel_size, surplus, stride, padding, dilation, ceil_mode)


@final
class MaxPool1d(MaxPooling):
    """Maximum over windows of one axis. Input (C, L), output (C, L'). Arguments as for MaxPool2d.

    >>> MaxPool1d(2).output_shape([(8, 100)])
    (8, 50)
    """

    spatial_axes: ClassVar[int] = 1


@final
class MaxPool2d(MaxPooling):
    """Maximum over windows of two axes.

        y[c, h, w] = max over i, j of x[c, h*S + i*D - P, w*S + j*D - P]

    Input (C, H, W), output (C, H', W'). Padding never wins: it counts as minus infinity.

    Args:
        kernel_size: F, an int or (height, width).
        stride: S (default: the kernel size, which makes the windows tile the input).
        padding: at most F_eff - 1 on each side.
        dilation: D, the distance between neighbouring taps.
        ceil_mode: whether a last, incomplete window counts (PyTorch's rule: it must start inside).

    Raises:
        LayerError: a hyper-parameter is out of range, or a window would see only padding.

    >>> MaxPool2d(2).output_shape([(6, 28, 28)])
    (6, 14, 14)
    """

    spatial_axes: ClassVar[int] = 2


@final
class MaxPool3d(MaxPooling):
    """Maximum over windows of three axes. Input (C, D, H, W), output (C, D', H', W'). Arguments as for MaxPool2d."""

    spatial_axes: ClassVar[int] = 3


@dataclass(frozen=True, init=False)
class AveragePooling(Pooling):
    """Mean over each window; use AvgPool1d, AvgPool2d or AvgPool3d."""

    count_include_pad: bool

    def __init__(
        self,
        kernel_size: Ints,
        *surplus: Never,
        stride: Ints | None = None,
        padding: PaddingOption = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self._set_windows(kernel_size, surplus, stride, padding, dilation, ceil_mode)
        object.__setattr__(self, "count_include_pad", count_include_pad)
        if any(gap != 1 for gap in self.dilation):
            raise self.refuse(
                f"dilation is {max(self.dilation)}; averages are taken over whole windows: use dilation 1"
            )


@final
class AvgPool1d(AveragePooling):
    """Mean over windows of one axis. Input (C, L), output (C, L'). Arguments as for AvgPool2d."""

    spatial_axes: ClassVar[int] = 1


@final
class AvgPool2d(AveragePooling):
    """Mean over windows of two axes.

        y[c, h, w] = (1 / count) * sum over i, j of x[c, h*S + i - P, w*S + j - P]

    Input (C, H, W), output (C, H', W').

    Args:
        kernel_size: F, an int or (height, width).
        stride: S (default: the kernel size).
        padding: at most F - 1 on each side.
        dilation: must be 1; it is here for symmetry with MaxPool2d.
        ceil_mode: whether a last, incomplete window counts.
        count_include_pad: whether padded zeros count in `count`; cells that ceil_mode adds never do (as in PyTorch).

    Raises:
        LayerError: a hyper-parameter is out of range, or a window would see only padding.

    >>> AvgPool2d(2).output_shape([(6, 28, 28)])
    (6, 14, 14)
    """

    spatial_axes: ClassVar[int] = 2


@final
class AvgPool3d(AveragePooling):
    """Mean over windows of three axes. Input (C, D, H, W), output (C, D', H', W'). Arguments as for AvgPool2d."""

    spatial_axes: ClassVar[int] = 3


@dataclass(frozen=True, init=False)
class LPPooling(Pooling):
    """The norm of each window; use LPPool1d, LPPool2d or LPPool3d."""

    norm_type: float

    def __init__(
        self,
        norm_type: float,
        kernel_size: Ints,
        *surplus: Never,
        stride: Ints | None = None,
        padding: PaddingOption = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
    ) -> None:
        self._set_windows(kernel_size, surplus, stride, padding, dilation, ceil_mode)
        object.__setattr__(self, "norm_type", norm_type)
        if not 1 <= norm_type < inf:
            raise self.refuse(f"norm_type is {norm_type}; it must be at least 1 and finite (2 is usual)")
        if any(gap != 1 for gap in self.dilation):
            raise self.refuse(f"dilation is {max(self.dilation)}; norms are taken over whole windows: use dilation 1")

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """A power and an addition for each position of each window; a window's root replaces its first addition."""
        return Cost(flops=2 * super().cost(input_shapes).flops)

    def describe(self) -> str:
        """For example 'LPPool2d 3x3, stride 3, norm 2'."""
        return f"{super().describe()}, norm {self.norm_type:g}"


@final
class LPPool1d(LPPooling):
    """Norm of windows of one axis. Input (C, L), output (C, L'). Arguments as for LPPool2d."""

    spatial_axes: ClassVar[int] = 1


@final
class LPPool2d(LPPooling):
    """Norm of windows of two axes.

        y[c, h, w] = (sum over i, j of |x[c, h*S + i - P, w*S + j - P]|^p)^(1/p)

    Input (C, H, W), output (C, H', W'). p = 1 is the sum of magnitudes; a larger p comes closer to the maximum.
    The gradient of a window of zeros is 0 (PyTorch's is NaN). PyTorch does not take the magnitude, and so differs
    where x is negative and p is odd; it also counts the cells that ceil_mode adds as if they held the average.

    Args:
        norm_type: p, at least 1.
        kernel_size: F, an int or (height, width).
        stride: S (default: the kernel size).
        padding: at most F - 1 on each side.
        dilation: must be 1; it is here for symmetry with MaxPool2d.
        ceil_mode: whether a last, incomplete window counts.

    Raises:
        LayerError: a hyper-parameter is out of range, or a window would see only padding.

    Gulcehre, Cho, Pascanu, Bengio: Learned-norm pooling for deep feedforward and recurrent neural networks, 2014.

    >>> LPPool2d(2, 2).output_shape([(6, 28, 28)])
    (6, 14, 14)
    """

    spatial_axes: ClassVar[int] = 2


@final
class LPPool3d(LPPooling):
    """Norm of windows of three axes. Input (C, D, H, W), output (C, D', H', W'). Arguments as for LPPool2d."""

    spatial_axes: ClassVar[int] = 3


@dataclass(frozen=True)
class GlobalPooling(SpatialLayer):
    """What global average and maximum pooling share."""

    label: ClassVar[str] = "pool"
    keeps_signal: ClassVar[bool] = True

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C,): one number for each channel."""
        channels, _ = self.spatial_input(input_shapes)
        return (channels,)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """All positions."""
        return everything(input_shapes)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each element."""
        return Cost(flops=prod(input_shapes[0]))


@dataclass(frozen=True)
class GlobalAveragePooling(GlobalPooling):
    """Mean over all positions; use GlobalAvgPool1d, GlobalAvgPool2d or GlobalAvgPool3d."""


@final
class GlobalAvgPool1d(GlobalAveragePooling):
    """Mean over the one spatial axis. Input (C, L), output (C,)."""

    spatial_axes: ClassVar[int] = 1


@final
class GlobalAvgPool2d(GlobalAveragePooling):
    """Mean over both spatial axes, y[c] = mean over h, w of x[c, h, w]. Input (C, H, W), output (C,).

    Lin, Chen, Yan: Network in network, 2013.

    >>> GlobalAvgPool2d().output_shape([(512, 7, 7)])
    (512,)
    """

    spatial_axes: ClassVar[int] = 2


@final
class GlobalAvgPool3d(GlobalAveragePooling):
    """Mean over all three spatial axes. Input (C, D, H, W), output (C,)."""

    spatial_axes: ClassVar[int] = 3


@dataclass(frozen=True)
class GlobalMaximumPooling(GlobalPooling):
    """Maximum over all positions; use GlobalMaxPool1d, GlobalMaxPool2d or GlobalMaxPool3d."""


@final
class GlobalMaxPool1d(GlobalMaximumPooling):
    """Maximum over the one spatial axis. Input (C, L), output (C,)."""

    spatial_axes: ClassVar[int] = 1


@final
class GlobalMaxPool2d(GlobalMaximumPooling):
    """Maximum over both spatial axes, y[c] = max over h, w of x[c, h, w]. Input (C, H, W), output (C,).

    >>> GlobalMaxPool2d().output_shape([(512, 7, 7)])
    (512,)
    """

    spatial_axes: ClassVar[int] = 2


@final
class GlobalMaxPool3d(GlobalMaximumPooling):
    """Maximum over all three spatial axes. Input (C, D, H, W), output (C,)."""

    spatial_axes: ClassVar[int] = 3

"""Transposed convolution over 1, 2 and 3 spatial axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Never, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Window, format_sizes, input_of, transposed_output_size, transposed_reach
from foveate.layers.base import Cost, Parameter, Shape, SpatialLayer
from foveate.layers.options import (
    FILTERS_FIRST,
    Ints,
    PaddingOption,
    initializer_name,
    no_surplus,
    padding_pairs,
    per_axis,
    positive_int,
)
from foveate.layers.sliding import by_axis, describe_windows, divisors


@dataclass(frozen=True, init=False)
class TransposedConvolution(SpatialLayer):
    """What the transposed convolutions share; use ConvTranspose1d, ConvTranspose2d or ConvTranspose3d."""

    label: ClassVar[str] = "conv"
    scatters: ClassVar[bool] = True

    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    bias: bool
    initializer: str
    frozen: bool

    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        *surplus: Never,
        stride: Ints = 1,
        padding: PaddingOption = 0,
        output_padding: Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str = "auto",
        frozen: bool = False,
    ) -> None:
        owner, axes = type(self).__name__, self.spatial_axes
        no_surplus(surplus, owner, FILTERS_FIRST)
        checked = {
            "out_channels": positive_int(out_channels, "out_channels", owner),
            "kernel_size": per_axis(kernel_size, axes, "kernel_size", owner),
            "stride": per_axis(stride, axes, "stride", owner),
            "padding": padding_pairs(padding, axes, owner),
            "output_padding": per_axis(output_padding, axes, "output_padding", owner, least=0),
            "dilation": per_axis(dilation, axes, "dilation", owner),
            "groups": positive_int(groups, "groups", owner),
            "bias": bias,
            "initializer": initializer_name(initializer, owner),
            "frozen": frozen,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_together()

    def _check_together(self) -> None:
        if isinstance(self.padding, str):
            raise self.refuse(
                'padding is "same", which has no meaning here: many sizes convolve to the same one. '
                "Give ints; for kernel F and stride S, padding (F - S) / 2 multiplies the size by S"
            )
        for extra, step, gap in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(step, gap):
                raise self.refuse(
                    f"output_padding is {extra}; it chooses among the sizes that convolve to the same one, and must be "
                    f"smaller than stride {step} or dilation {gap}. Use at most {max(step, gap) - 1}"
                )
        if self.out_channels % self.groups:
            raise self.refuse(
                f"groups is {self.groups}, which does not divide out_channels {self.out_channels}: each group makes an "
                "equal share of the outputs. Use out_channels "
                f"{self.groups * max(1, round(self.out_channels / self.groups))}, or groups 1"
            )

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(out_channels, *sizes), each size (W - 1)S - P_begin - P_end + F_eff + output padding."""
        channels, spatial = self.spatial_input(input_shapes)
        if channels % self.groups:
            raise ShapeError(
                f"groups is {self.groups}, which does not divide its {channels} input channels: each group sees an "
                f"equal share of them. Divisors of {channels} are {divisors(channels)}"
            )
        axes = list(zip(spatial, self.transposed_windows, self.output_padding, strict=True))
        for size, window, extra in axes:
            if transposed_output_size(size, window, extra) < 1:
                padding = sum(window.padding)
                whole = transposed_output_size(size, window, extra) + padding
                raise ShapeError(
                    f"leaves nothing of its {input_of(spatial)}: it spreads {size} to {whole} positions, of "
                    f"which padding removes {window.padding[0]} + {window.padding[1]} = {padding}. "
                    f"Use less padding (at most {whole - 1} in total), or a larger input"
                )
        return self.out_channels, *(transposed_output_size(*axis) for axis in axes)

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (C, O/groups, *kernel_size), and bias (O,) unless `bias` is False.

        An output meets one tap in every stride for each channel of its group; fan_in counts these.
        """
        channels, taps = input_shapes[0][0], prod(self.kernel_size)
        weight = Parameter(
            shape=(channels, self.out_channels // self.groups, *self.kernel_size),
            initializer=self.initializer,
            decay=True,
            trainable=not self.frozen,
            fan_in=max(1, channels // self.groups * taps // prod(self.stride)),
            fan_out=self.out_channels // self.groups * taps,
        )
        if not self.bias:
            return {"weight": weight}
        bias = Parameter((self.out_channels,), "zeros", decay=False, trainable=not self.frozen)
        return {"weight": weight, "bias": bias}

    @property
    def transposed_windows(self) -> tuple[Window, ...]:
        """The window of each axis as it slides over the *output*; none slides over the input, so `windows` is None."""
        return tuple(map(Window, self.kernel_size, self.stride, self.padding, self.dilation))

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The inputs whose windows on the output contain its position."""
        return (tuple(map(transposed_reach, self.transposed_windows)),)

    def size_steps(self, input_shapes: Sequence[Shape]) -> tuple[str, ...]:
        """The size formula of each axis."""
        axes = zip(input_shapes[0][1:], self.transposed_windows, self.output_padding, strict=True)
        return by_axis([_derived(*axis) for axis in axes])

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Each input element is multiplied by its whole filter and added to the outputs, plus the biases."""
        macs = prod(input_shapes[0]) * (self.out_channels // self.groups) * prod(self.kernel_size)
        return Cost(macs=macs, flops=2 * macs + (prod(self.output_shape(input_shapes)) if self.bias else 0))

    def describe(self) -> str:
        """For example 'ConvTranspose2d 4x4, stride 2, padding 1'."""
        words = f"{type(self).__name__} {describe_windows(self.kernel_size, self.stride, self.padding, self.dilation)}"
        if any(self.output_padding):
            words += f", output padding {format_sizes(self.output_padding)}"
        words += f", groups {self.groups}" if self.groups != 1 else ""
        return words + (", frozen" if self.frozen else "")


def _derived(size: int, window: Window, extra: int) -> str:
    begin, end = window.padding
    added = f" + {extra}" if extra else ""
    made = transposed_output_size(size, window, extra)
    return f"`({size} - 1)*{window.stride} - {begin} - {end} + {window.effective_size}{added} = {made}`"


@final
class ConvTranspose1d(TransposedConvolution):
    """Transposed convolution over one axis. Input (C, L). Arguments as for ConvTranspose2d."""

    spatial_axes: ClassVar[int] = 1


@final
class ConvTranspose2d(TransposedConvolution):
    """Transposed convolution over two axes: the gradient of a convolution as a layer, with weights of its own.

        y[o, h*S + i*D - P, w*S + j*D - P] += w[c, o, i, j] x[c, h, w],   and b[o] once

    Input (C, H, W), output (out_channels, H', W') with H' = (H - 1)S - 2P + D(F - 1) + 1 + output_padding.

    Args:
        out_channels: number of output channels; input channels are inferred when the network is built.
        kernel_size: F, an int or (height, width).
        stride: S, the distance between neighbouring inputs in the output.
        padding: positions taken from the borders of the output: an int, one for each axis, or (begin, end) pairs.
        output_padding: positions added at the end of the output, to choose among sizes that convolve to the same one.
        dilation: D, the distance between neighbouring taps.
        groups: channels are split into this many groups, treated separately and concatenated.
        bias: whether to add a number to each output channel.
        initializer: how the weights start: "auto", "he", "xavier", "zeros" or "ones".
        frozen: whether the weights stay fixed, as in a filter bank: they get no gradient and no update.

    Raises:
        LayerError: a hyper-parameter is out of range, or `groups` does not divide `out_channels`.

    Zeiler, Krishnan, Taylor, Fergus: Deconvolutional networks, 2010.

    >>> ConvTranspose2d(8, 4, stride=2, padding=1).output_shape([(16, 14, 14)])
    (8, 28, 28)
    """

    spatial_axes: ClassVar[int] = 2


@final
class ConvTranspose3d(TransposedConvolution):
    """Transposed convolution over three axes. Input (C, D, H, W). Arguments as for ConvTranspose2d."""

    spatial_axes: ClassVar[int] = 3

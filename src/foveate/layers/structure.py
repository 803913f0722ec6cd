"""Layers that move, join or drop values: Flatten, Add, Multiply, Concatenate, Pad, Upsample, Dropout and others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, aligned_reach, format_sizes, linear_reach, nearest_reach, shift_reach
from foveate.layers.base import (
    OTHER_NAMES,
    SPATIAL_LETTERS,
    Cost,
    ElementwiseLayer,
    Layer,
    Shape,
    everything,
    positionwise,
)
from foveate.layers.broadcasting import broadcast, broadcast_reaches
from foveate.layers.options import Ints, axis_number, one_of, per_axis, positive_int
from foveate.layers.sliding import divisors


@final
@dataclass(frozen=True)
class Flatten(Layer):
    """Flatten a sample to one axis, channels first: (3, 32, 32) becomes (3072,).

    >>> Flatten().output_shape([(3, 32, 32)])
    (3072,)
    """

    label: ClassVar[str] = "flatten"
    keeps_signal: ClassVar[bool] = True

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(product of the sizes,)."""
        self.check_inputs(input_shapes)
        return (prod(input_shapes[0]),)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """All positions: the output has none of its own."""
        return everything(input_shapes)

    def size_steps(self, input_shapes: Sequence[Shape]) -> tuple[str, ...]:
        """The product of the sizes."""
        (shape,) = input_shapes
        return (f"`{'*'.join(map(str, shape))} = {prod(shape):,}`",) if len(shape) > 1 else ()


@final
@dataclass(frozen=True)
class Add(Layer):
    """Sum of two or more inputs, element by element; an axis of length 1, or one that is missing, is repeated.

    Axes are matched starting with the channels, so missing axes are the last ones.
    """

    label: ClassVar[str] = "add"
    inputs_expected: ClassVar[tuple[int, int | None]] = (2, None)
    keeps_signal: ClassVar[bool] = True

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The longest size of each axis; the others must be 1 or missing there."""
        self.check_inputs(input_shapes)
        return broadcast(input_shapes, "adds inputs of different shapes")

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position in every input, or the only one on an axis that is repeated."""
        return broadcast_reaches(input_shapes, self.output_shape(input_shapes))

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One addition for each output element and further input."""
        return Cost(flops=(len(input_shapes) - 1) * prod(self.output_shape(input_shapes)))


@final
@dataclass(frozen=True)
class Multiply(Layer):
    """Product of two or more inputs, element by element; an axis of length 1, or one that is missing, is repeated.

        y[c, h, w] = x[c, h, w] * s[c]

    Squeeze and excitation multiplies feature maps (C, H, W) by one number for each channel, (C,) or (C, 1, 1). Axes are
    matched starting with the channels, so missing axes are the last ones.

    Hu, Shen, Albanie, Sun, Wu: Squeeze-and-excitation networks, 2017.

    >>> Multiply().output_shape([(64, 7, 7), (64,)])
    (64, 7, 7)
    """

    label: ClassVar[str] = "multiply"
    inputs_expected: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The longest size of each axis; the others must be 1 or missing there."""
        self.check_inputs(input_shapes)
        return broadcast(input_shapes, "multiplies inputs of shapes that do not match")

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position in every input, or the only one on an axis that is repeated."""
        return broadcast_reaches(input_shapes, self.output_shape(input_shapes))

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One multiplication for each output element and further input."""
        return Cost(flops=(len(input_shapes) - 1) * prod(self.output_shape(input_shapes)))


@final
@dataclass(frozen=True, kw_only=True)
class Concatenate(Layer):
    """Inputs joined along their channels, or along another axis; their other axes must agree.

    Args:
        axis: of a sample, 0 for the channels; a negative number counts from the last.
    """

    call_hints: ClassVar[Mapping[str, str]] = {**OTHER_NAMES, "dim": "it is called axis, and 0 is the channels"}

    label: ClassVar[str] = "concat"
    inputs_expected: ClassVar[tuple[int, int | None]] = (1, None)

    axis: int = 0

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(sum of the channels, *spatial sizes), or the sum of the axis and the other sizes."""
        self.check_inputs(input_shapes)
        axis = axis_number(self.axis, input_shapes[0])
        if len({(len(shape), *shape[:axis], None, *shape[axis + 1 :]) for shape in input_shapes}) > 1:
            different = "spatial sizes" if axis == 0 else "other sizes"
            way_out = "Give the branches the same stride and padding" if axis == 0 else f"Only axis {axis} may differ"
            raise ShapeError(
                f"joins inputs whose {different} differ: {' and '.join(map(format_sizes, input_shapes))}. {way_out}"
            )
        first = input_shapes[0]
        return *first[:axis], sum(shape[axis] for shape in input_shapes), *first[axis + 1 :]

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position in every input, moved by the inputs before it."""
        axis, reaches, begin = axis_number(self.axis, input_shapes[0]), [], 0
        for shape, own in zip(input_shapes, positionwise(input_shapes), strict=True):
            moved = (shift_reach(begin),) if axis else ()
            reaches.append((*own[: axis - 1], *moved, *own[axis:]) if axis else own)
            begin += shape[axis]
        return tuple(reaches)

    def describe(self) -> str:
        """'Concatenate', or 'Concatenate along axis 1'."""
        return "Concatenate" if self.axis == 0 else f"Concatenate along axis {self.axis}"


@final
@dataclass(frozen=True)
class Pad(Layer):
    """Zeros around a sample, channels included; a negative number crops.

    Args:
        padding: a (begin, end) pair for each axis of a sample, channels first.
        mode: what is around: "constant", or copies of 1 to 3 spatial axes: "reflect" (mirrored at the border position),
            "replicate" (of the border position) or "circular" (from the other end).
        value: the constant (default: 0).

    Raises:
        LayerError: the padding is not one of pairs, the mode is unknown, or it does not go with the padding or value.

    ResNet's parameter-free shortcut is MaxPool2d(1, stride=2) and then Pad(((8, 8), (0, 0), (0, 0))).

    >>> Pad(((0, 0), (1, 1), (1, 1))).output_shape([(3, 32, 32)])
    (3, 34, 34)
    """

    label: ClassVar[str] = "pad"
    keeps_signal: ClassVar[bool] = True

    padding: tuple[tuple[int, int], ...]
    mode: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        pairs: tuple[tuple[int, ...], ...] = ()
        if isinstance(self.padding, Sequence) and all(isinstance(pair, Sequence) for pair in self.padding):
            pairs = tuple(tuple(pair) for pair in self.padding)
        if not pairs or any(len(pair) != 2 or not all(isinstance(n, int) for n in pair) for pair in pairs):
            raise self.refuse(f"padding is {self.padding!r}; give a (begin, end) pair of ints for each axis")
        object.__setattr__(self, "padding", pairs)
        one_of(self.mode, ("constant", "reflect", "replicate", "circular"), "mode", "Pad")
        if self.mode != "constant" and (self.value or any(pairs[0]) or min(map(min, pairs)) < 0 or len(pairs) > 4):
            raise self.refuse(
                f'"{self.mode}" copies positions of 1 to 3 spatial axes, but padding is {pairs} and value '
                f"{self.value:g}; give (0, 0) for the channels, no negative number and no value"
            )

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
        spare = {"reflect": 1, "circular": 0}.get(self.mode)
        if spare is not None and any(max(pair) > size - spare for size, pair in axes[1:]):
            raise ShapeError(
                f'takes its padding from the input by "{self.mode}": at most size{" - 1" * spare} positions, '
                f"but its input is {format_sizes(shape)} and its padding {self.padding}; replicate gives any number"
            )
        return sizes

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The position that was moved there, or none in the padding."""
        border = "zeros" if self.mode == "constant" else self.mode
        return (tuple(replace(shift_reach(begin), border=border) for begin, _ in self.padding[1:]),)

    def describe(self) -> str:
        """For example 'Pad (8, 8) (0, 0) (0, 0)', or 'Pad (0, 0) (1, 1), reflect'."""
        how = f", {self.value:g}" if self.value else "" if self.mode == "constant" else f", {self.mode}"
        return f"Pad {' '.join(map(str, self.padding))}{how}"


@final
@dataclass(frozen=True)
class Upsample(Layer):
    """More positions on each spatial axis; the values between are copied or interpolated.

        "nearest": y[i] = x[floor(i W / W')]
        "linear":  y[i] between the two neighbours of (i + 1/2) W / W' - 1/2, along each axis (bilinear, trilinear)

    Input (C, ...) with 1 to 3 spatial axes. "linear" is PyTorch's linear, bilinear or trilinear. A `size` may also be
    smaller than the input. An output between infinity and a number is infinite; one that falls exactly on a position
    may be NaN if that position or its neighbour is infinite.

    Args:
        scale: the factor, an int or one for each spatial axis.
        size: W', the output size, an int or one for each spatial axis; used instead of `scale`.
        mode: "nearest" or "linear".
        align_corners: for "linear": y[i] lies at i (W - 1) / (W' - 1), so that the first and last positions stay.

    Raises:
        LayerError: neither or both of scale and size are given, one is not positive, the mode is unknown, or
            align_corners is given for "nearest".

    >>> Upsample(2).output_shape([(8, 7, 7)])
    (8, 14, 14)
    """

    label: ClassVar[str] = "upsample"
    keeps_signal: ClassVar[bool] = True

    scale: Ints | None = None
    size: Ints | None = None
    mode: str = "nearest"
    align_corners: bool = False

    def __post_init__(self) -> None:
        if (self.scale is None) == (self.size is None):
            given = "neither is" if self.scale is None else "both are"
            raise self.refuse(f"give either scale or size; {given} given. Upsample(2) doubles every spatial axis")
        for name in ("scale", "size"):
            value = getattr(self, name)
            if isinstance(value, float):
                raise self.refuse(f"{name} is {value}; it must be an int. For other factors give the size")
            if isinstance(value, Sequence) and not isinstance(value, str):
                object.__setattr__(self, name, per_axis(value, len(value), name, "Upsample"))
            elif value is not None:
                positive_int(value, name, "Upsample")
        one_of(self.mode, ("nearest", "linear"), "mode", "Upsample")
        if self.align_corners and self.mode == "nearest":
            raise self.refuse('corners are aligned between neighbours only; give mode="linear" too')

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C, *sizes), each size times `scale`, or `size`."""
        self.check_inputs(input_shapes)
        channels, *spatial = input_shapes[0]
        if len(spatial) not in SPATIAL_LETTERS:
            raise ShapeError(
                f"needs an input with 1 to 3 spatial axes after its channels, but gets {format_sizes(input_shapes[0])}"
            )
        wanted = self.size if self.scale is None else self.scale
        values = wanted if isinstance(wanted, tuple) else (wanted,) * len(spatial)
        if len(values) != len(spatial):
            raise ShapeError(
                f"has {len(values)} numbers, {values}, for the {len(spatial)} spatial axes of its input "
                f"{format_sizes(input_shapes[0])}; give one int, or {len(spatial)}"
            )
        if self.scale is None:
            return channels, *values
        return channels, *(size * factor for size, factor in zip(spatial, values, strict=True))

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The position that is copied, or those that it lies between."""
        linear = aligned_reach if self.align_corners else linear_reach
        rule = nearest_reach if self.mode == "nearest" else linear
        return (tuple(map(rule, input_shapes[0][1:], self.output_shape(input_shapes)[1:])),)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Nothing for copies; a mean of 2, 4 or 8 neighbours for each output."""
        neighbours = 2 ** (len(input_shapes[0]) - 1) if self.mode == "linear" else 0
        return Cost(flops=2 * neighbours * prod(self.output_shape(input_shapes)))

    def describe(self) -> str:
        """For example 'Upsample x2, linear' or 'Upsample to 7x7, nearest'."""
        wanted = self.size if self.scale is None else self.scale
        words = format_sizes(wanted) if isinstance(wanted, tuple) else str(wanted)
        how = f"{self.mode}, corners aligned" if self.align_corners else self.mode
        return f"Upsample {'to ' if self.scale is None else 'x'}{words}, {how}"


@final
@dataclass(frozen=True)
class ChannelShuffle(ElementwiseLayer):
    """Channels of all groups interleaved, so the next grouped convolution sees some of each.

        y[k*G + g] = x[g*K + k]

    G groups of K channels each become K groups of G. Any shape.

    Args:
        groups: G; it must divide the channels.

    Raises:
        LayerError: groups is not a positive int.

    Zhang, Zhou, Lin, Sun: ShuffleNet, 2017.
    """

    label: ClassVar[str] = "shuffle"
    keeps_signal: ClassVar[bool] = True

    groups: int

    def __post_init__(self) -> None:
        positive_int(self.groups, "groups", "ChannelShuffle")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        channels = input_shapes[0][0]
        if channels % self.groups:
            raise ShapeError(
                f"groups is {self.groups}, which does not divide its {channels} input channels. "
                f"Divisors of {channels} are {divisors(channels)}"
            )
        return input_shapes[0]

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Nothing: values only move."""
        return Cost()

    def describe(self) -> str:
        """For example 'ChannelShuffle 3'."""
        return f"ChannelShuffle {self.groups}"


@dataclass(frozen=True)
class Dropping(ElementwiseLayer):
    """What Dropout and SpatialDropout share."""

    label: ClassVar[str] = "dropout"
    keeps_signal: ClassVar[bool] = True

    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise self.refuse(f"rate is {self.rate}; it is the fraction to drop, at least 0 and below 1")

    def describe(self) -> str:
        """For example 'Dropout 0.5'."""
        return f"{type(self).__name__} {self.rate:g}"


@final
class Dropout(Dropping):
    """In training, each element is zeroed with probability `rate`, and the others are divided by 1 - rate. Any shape.

    In inference it does nothing. Which elements are dropped depends only on (seed, node, step, element).

    Args:
        rate: at least 0 and below 1.

    Raises:
        LayerError: rate is out of range.

    Srivastava et al.: Dropout, 2014.
    """


@final
class SpatialDropout(Dropping):
    """Dropout of whole channels: all positions of a channel are dropped, or divided by 1 - rate, together.

    Neighbouring positions are alike, so dropping single ones hides little. In inference it does nothing. Which
    channels are dropped depends only on (seed, node, step, channel). Any shape (C, ...).

    Args:
        rate: at least 0 and below 1.

    Raises:
        LayerError: rate is out of range.

    Tompson et al.: Efficient object localization using convolutional networks, 2014.
    """

"""Arithmetic on single numbers: with constants, with learned numbers, with those of another input; powers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, prod
from typing import ClassVar, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, format_sizes
from foveate.layers.base import OTHER_NAMES, Cost, ElementwiseLayer, Layer, Parameter, Shape
from foveate.layers.broadcasting import broadcast, broadcast_reaches
from foveate.layers.options import axis_number, ints


@final
@dataclass(frozen=True)
class Clip(ElementwiseLayer):
    """Numbers clipped to a range that may be open at one end: y = min(max(low, x), high). Any shape.

    It is PyTorch's clamp: at a bound itself the gradient passes, which Hardtanh's does not.

    Args:
        low: the least output, or None for no bound.
        high: the greatest, or None; at least `low`.

    Raises:
        LayerError: both are None, one is not finite, or low is above high.

    >>> Clip(low=0.0, high=None).describe()
    'Clip from 0'
    """

    call_hints: ClassVar[Mapping[str, str]] = {
        **OTHER_NAMES, **dict.fromkeys(("min", "min_val"), "it is called low"),
        **dict.fromkeys(("max", "max_val"), "it is called high"),
    }  # fmt: skip

    label: ClassVar[str] = "clip"

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if self.low is None and self.high is None:
            raise self.refuse("neither low nor high is given; give a number for one of them, or leave the layer out")
        if not low <= high or (self.low, self.high) != tuple(None if abs(n) == inf else n for n in (low, high)):
            raise self.refuse(f"it clips to {self.low} and {self.high}; give finite numbers, low no greater than high")

    @property
    def bounds(self) -> tuple[float, float]:
        """Both bounds, infinite where there is none."""
        return -inf if self.low is None else self.low, inf if self.high is None else self.high

    def describe(self) -> str:
        """For example 'Clip 0 to 1', 'Clip from 0' or 'Clip to 1'."""
        if self.low is None or self.high is None:
            return f"Clip to {self.high:g}" if self.low is None else f"Clip from {self.low:g}"
        return f"Clip {self.low:g} to {self.high:g}"


@final
@dataclass(frozen=True)
class Rescale(ElementwiseLayer):
    """Every number times a constant, plus a constant: y = factor x + shift. Any shape.

    With it a network brings its input to the range that it was trained on: Rescale(2, -1) takes 0 to 1 to -1 to 1.

    Args:
        factor: what every number is multiplied by.
        shift: what is added to the product.

    Raises:
        LayerError: one is not finite.
    """

    label: ClassVar[str] = "rescale"
    keeps_signal: ClassVar[bool] = True

    factor: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (isfinite(self.factor) and isfinite(self.shift)):
            raise self.refuse(f"factor is {self.factor} and shift is {self.shift}; both must be finite")

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """A multiplication and an addition for each element, where they do anything."""
        return Cost(flops=((self.factor != 1) + (self.shift != 0)) * prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'Rescale 2 x - 1'."""
        added = "" if self.shift == 0 else f" {'-' if self.shift < 0 else '+'} {abs(self.shift):g}"
        return f"Rescale {self.factor:g} x{added}"


@final
@dataclass(frozen=True)
class Power(ElementwiseLayer):
    """Every number to a constant power: y = x^p. Any shape.

    2 squares, 0.5 is the square root, -1 the reciprocal. A negative number has no power whose exponent is not whole;
    the result is NaN. With two of them, and pooling between them, pooling is by a generalised mean (GeM).

    Args:
        exponent: p.

    Raises:
        LayerError: the exponent is not finite.
    """

    label: ClassVar[str] = "power"

    exponent: float

    def __post_init__(self) -> None:
        if not isfinite(self.exponent):
            raise self.refuse(f"exponent is {self.exponent}; it must be finite (2 squares, 0.5 takes the root)")

    def describe(self) -> str:
        """For example 'Power 2'."""
        return f"Power {self.exponent:g}"


@final
@dataclass(frozen=True)
class Exp(ElementwiseLayer):
    """Exponential function: y = exp(x). Any shape."""

    label: ClassVar[str] = "exp"


@final
@dataclass(frozen=True)
class Log(ElementwiseLayer):
    """Natural logarithm: y = log(x). Any shape. Of 0 it is minus infinity, of a negative number NaN."""

    label: ClassVar[str] = "log"


@final
@dataclass(frozen=True)
class Erf(ElementwiseLayer):
    """Error function: y = 2 / sqrt(pi) times the integral of exp(-t^2) for t from 0 to x. Any shape."""

    label: ClassVar[str] = "erf"


@final
@dataclass(frozen=True)
class Abs(ElementwiseLayer):
    """Magnitude: y = |x|. Any shape. At 0 the gradient is 0."""

    label: ClassVar[str] = "abs"


class Combining(Layer):
    """What Subtract, Divide, Maximum and others share: inputs that may be repeated along axes, as in Add."""

    inputs_expected: ClassVar[tuple[int, int | None]] = (2, 2)
    does: ClassVar[str]

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The longest size of each axis; others must be 1 or missing there."""
        self.check_inputs(input_shapes)
        return broadcast(input_shapes, f"{self.does} inputs of shapes that do not match")

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position in every input, or the only one on an axis that is repeated."""
        return broadcast_reaches(input_shapes, self.output_shape(input_shapes))

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each output element and further input."""
        return Cost(flops=(len(input_shapes) - 1) * prod(self.output_shape(input_shapes)))


@final
@dataclass(frozen=True)
class Subtract(Combining):
    """The first input minus the second, element by element; an axis of length 1, or one that is missing, is repeated.

        y[c, h, w] = a[c, h, w] - b[c]

    Axes are matched starting with the channels, so missing axes are the last ones.
    """

    label: ClassVar[str] = "subtract"
    does: ClassVar[str] = "subtracts"


@final
@dataclass(frozen=True)
class Divide(Combining):
    """The first input over the second, element by element; an axis of length 1, or one that is missing, is repeated.

        y[c, h, w] = a[c, h, w] / b[c]

    Axes are matched starting with the channels, so missing axes are the last ones.
    """

    label: ClassVar[str] = "divide"
    does: ClassVar[str] = "divides"


@final
@dataclass(frozen=True)
class Raise(Combining):
    """The first input to the power of the second; an axis of length 1, or one that is missing, is repeated.

        y[c, h, w] = a[c, h, w]^b[c]

    A negative number has no power whose exponent is not whole; the result is NaN. With one exponent for all use Power.
    """

    label: ClassVar[str] = "raise"
    does: ClassVar[str] = "raises"


@final
@dataclass(frozen=True)
class Maximum(Combining):
    """The largest of two or more inputs, element by element; an axis of length 1, or one that is missing, is repeated.

        y[c, h, w] = max(a[c, h, w], b[c])

    Of two equal numbers each gets half of the gradient. Axes are matched starting with the channels, so missing axes
    are the last ones.
    """

    label: ClassVar[str] = "maximum"
    does: ClassVar[str] = "compares"
    inputs_expected: ClassVar[tuple[int, int | None]] = (2, None)


@final
@dataclass(frozen=True)
class Minimum(Combining):
    """The smallest of two or more inputs, element by element; an axis of length 1, or one that is missing, is repeated.

        y[c, h, w] = min(a[c, h, w], b[c])

    Of two equal numbers each gets half of the gradient. Axes are matched starting with the channels, so missing axes
    are the last ones.
    """

    label: ClassVar[str] = "minimum"
    does: ClassVar[str] = "compares"
    inputs_expected: ClassVar[tuple[int, int | None]] = (2, None)


@final
@dataclass(frozen=True)
class Affine(ElementwiseLayer):
    """Learned numbers that every sample is multiplied by, and others that are added: y = weight x + bias.

    One of each for every position on `axes`, the same along the others: per channel they are ConvNeXt's layer scale,
    over all axes a position embedding. `weight` starts as ones and `bias` as zeros; neither has weight decay. Any
    shape.

    Args:
        axes: on which the numbers differ, 0 for the channels; a negative number counts from the last. None is all.
        scale: whether there is a weight.
        shift: whether there is a bias.

    Raises:
        LayerError: axes are not ints or given twice, or there is neither weight nor bias.

    Touvron et al.: Going deeper with image transformers, 2021.

    >>> Affine((0, 1), scale=False).parameters([(4, 3, 2)])["bias"].shape
    (4, 3)
    """

    label: ClassVar[str] = "affine"
    keeps_signal: ClassVar[bool] = True

    axes: tuple[int, ...] | None = (0,)
    scale: bool = True
    shift: bool = True

    def __post_init__(self) -> None:
        if self.axes is not None:
            object.__setattr__(self, "axes", ints(self.axes, "axes", "Affine"))
        if not self.scale and not self.shift:
            raise self.refuse("neither scale nor shift is there; give one of them, or leave the layer out")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        shape = super().output_shape(input_shapes)
        self.axes_of(shape)
        return shape

    def axes_of(self, shape: Shape) -> tuple[int, ...]:
        """The axes on which the numbers differ, in order, counted from the first."""
        if self.axes is None:
            return tuple(range(len(shape)))
        axes = sorted(axis_number(axis, shape) for axis in self.axes)
        if len(set(axes)) < len(axes):
            raise ShapeError(f"has the axes {self.axes}, two of which are one in its input {format_sizes(shape)}")
        return tuple(axes)

    def spread_shape(self, shape: Shape) -> Shape:
        """The shape of weight and bias with an axis of length 1 where they do not differ."""
        axes = self.axes_of(shape)
        return tuple(size if axis in axes else 1 for axis, size in enumerate(shape))

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight and bias, of the sizes of `axes`."""
        shape = tuple(input_shapes[0][axis] for axis in self.axes_of(input_shapes[0])) or (1,)
        weight, bias = (Parameter(shape, start, decay=False) for start in ("ones", "zeros"))
        return {**({"weight": weight} if self.scale else {}), **({"bias": bias} if self.shift else {})}

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """A multiplication and an addition for each element, where there are numbers for them."""
        return Cost(flops=(self.scale + self.shift) * prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'Affine over axis 0, scale', or 'Affine over all axes, scale and shift'."""
        axes = "all axes" if self.axes is None else f"axes {' '.join(map(str, self.axes))}"
        if self.axes is not None and len(self.axes) < 2:
            axes = f"axis {self.axes[0]}" if self.axes else "no axis"
        return f"Affine over {axes}, {' and '.join(n for n in ('scale', 'shift') if getattr(self, n))}"

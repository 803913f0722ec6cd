"""Arithmetic on single numbers: with constants, and powers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, prod
from typing import ClassVar, final

from foveate.layers.base import OTHER_NAMES, Cost, ElementwiseLayer, Shape


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
class Abs(ElementwiseLayer):
    """Magnitude: y = |x|. Any shape. At 0 the gradient is 0."""

    label: ClassVar[str] = "abs"

"""Activation functions: of one number, with learned slopes, or the largest of neighbouring channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, prod
from typing import ClassVar, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach
from foveate.layers.base import OTHER_NAMES, Cost, ElementwiseLayer, Layer, Parameter, Shape, positionwise
from foveate.layers.options import axis_number, ints, one_of, positive_int
from foveate.layers.sliding import divisors


@final
@dataclass(frozen=True)
class ReLU(ElementwiseLayer):
    """Rectified linear unit: y = max(0, x). Any shape.

    Nair, Hinton: Rectified linear units improve restricted Boltzmann machines, 2010.
    """

    label: ClassVar[str] = "relu"
    notation: ClassVar[str] = r"$\max(0, x)$"
    rectifies: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class LeakyReLU(ElementwiseLayer):
    """Rectifier with a slope below zero: y = max(slope * x, x). Any shape.

    Args:
        slope: at least 0 and below 1 (default: 0.1, as in the lecture; PyTorch's is 0.01).

    Maas, Hannun, Ng: Rectifier nonlinearities improve neural network acoustic models, 2013.
    """

    label: ClassVar[str] = "leaky_relu"
    notation: ClassVar[str] = r"$\max(<slope>x, x)$"
    rectifies: ClassVar[bool] = True

    slope: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.slope < 1:
            raise self.refuse(f"slope is {self.slope}; it must be at least 0 and below 1 (0 is ReLU)")

    def describe(self) -> str:
        """For example 'LeakyReLU 0.1'."""
        return f"LeakyReLU {self.slope:g}"


@final
@dataclass(frozen=True)
class ELU(ElementwiseLayer):
    """Exponential linear unit: y = x for x >= 0, alpha * (exp(x) - 1) below. Any shape.

    Args:
        alpha: y tends to -alpha for very negative x; positive.

    Clevert, Unterthiner, Hochreiter: Fast and accurate deep network learning by exponential linear units, 2015.
    """

    label: ClassVar[str] = "elu"
    notation: ClassVar[str] = r"$x$ for $x \geq 0$, $\alpha(e^x - 1)$ below, $\alpha = <alpha>$"
    rectifies: ClassVar[bool] = True

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < inf:
            raise self.refuse(f"alpha is {self.alpha}; it must be positive and finite (1 is usual)")

    def describe(self) -> str:
        """For example 'ELU 1'."""
        return f"ELU {self.alpha:g}"


@final
@dataclass(frozen=True)
class SELU(ElementwiseLayer):
    """Scaled exponential linear unit: y = s x for x >= 0, s a (exp(x) - 1) below. Any shape.

    s = 1.0507 and a = 1.6733 keep mean 0 and variance 1 from layer to layer.

    Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks, 2017.
    """

    label: ClassVar[str] = "selu"
    notation: ClassVar[str] = r"$s x$ for $x \geq 0$, $s a(e^x - 1)$ below"
    rectifies: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class CELU(ElementwiseLayer):
    """Exponential linear unit without a kink at 0: y = x for x >= 0, alpha * (exp(x / alpha) - 1) below. Any shape.

    Args:
        alpha: y tends to -alpha for very negative x; positive.

    Raises:
        LayerError: alpha is not positive and finite.

    Barron: Continuously differentiable exponential linear units, 2017.
    """

    label: ClassVar[str] = "celu"
    notation: ClassVar[str] = r"$x$ for $x \geq 0$, $\alpha(e^{x / \alpha} - 1)$ below, $\alpha = <alpha>$"
    rectifies: ClassVar[bool] = True

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < inf:
            raise self.refuse(f"alpha is {self.alpha}; it must be positive and finite (1 is usual)")

    def describe(self) -> str:
        """For example 'CELU 1'."""
        return f"CELU {self.alpha:g}"


@final
@dataclass(frozen=True)
class Sigmoid(ElementwiseLayer):
    """Logistic function: y = 1 / (1 + exp(-x)). Any shape."""

    label: ClassVar[str] = "sigmoid"
    notation: ClassVar[str] = r"$1 / (1 + e^{-x})$"


@final
@dataclass(frozen=True)
class Tanh(ElementwiseLayer):
    """Hyperbolic tangent: y = tanh(x). Any shape."""

    label: ClassVar[str] = "tanh"
    notation: ClassVar[str] = r"$\tanh(x)$"


@final
@dataclass(frozen=True)
class ReLU6(ElementwiseLayer):
    """Rectifier capped at six: y = min(max(0, x), 6). Any shape.

    Krizhevsky: Convolutional deep belief networks on CIFAR-10, 2010; used by MobileNet.
    """

    label: ClassVar[str] = "relu"
    notation: ClassVar[str] = r"$\min(\max(0, x), 6)$"
    rectifies: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class Hardtanh(ElementwiseLayer):
    """Numbers clipped to a range: y = min(max(low, x), high). Any shape.

    Args:
        low: the least output.
        high: the greatest; above `low`, both finite.

    Collobert: Large scale machine learning, 2004; from 0 to 1 it is GhostNet's gate.
    """

    call_hints: ClassVar[Mapping[str, str]] = {
        **OTHER_NAMES, "min_val": "it is called low", "max_val": "it is called high"
    }  # fmt: skip

    label: ClassVar[str] = "hardtanh"
    notation: ClassVar[str] = r"$\min(\max(<low>, x), <high>)$"

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -inf < self.low < self.high < inf:
            raise self.refuse(f"it clips to {self.low} and {self.high}; give low below high, both finite")

    def describe(self) -> str:
        """For example 'Hardtanh 0 to 1'."""
        return f"Hardtanh {self.low:g} to {self.high:g}"


@final
@dataclass(frozen=True)
class SiLU(ElementwiseLayer):
    """Sigmoid linear unit, also called swish: y = x / (1 + exp(-x)). Any shape.

    Elfwing, Uchibe, Doya: Sigmoid-weighted linear units, 2017. Ramachandran, Zoph, Le: Swish, 2017.
    """

    label: ClassVar[str] = "silu"
    notation: ClassVar[str] = r"$x / (1 + e^{-x})$"
    rectifies: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class Hardsigmoid(ElementwiseLayer):
    """Sigmoid in three straight lines: y = min(max(0, x + 3), 6) / 6. Any shape.

    Howard et al.: Searching for MobileNetV3, 2019.
    """

    label: ClassVar[str] = "hardsigmoid"
    notation: ClassVar[str] = r"$\min(\max(0, x + 3), 6) / 6$"


@final
@dataclass(frozen=True)
class Hardswish(ElementwiseLayer):
    """SiLU with the hard sigmoid: y = x min(max(0, x + 3), 6) / 6. Any shape.

    Howard et al.: Searching for MobileNetV3, 2019.
    """

    label: ClassVar[str] = "hardswish"
    notation: ClassVar[str] = r"$x\,\min(\max(0, x + 3), 6) / 6$"
    rectifies: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class GELU(ElementwiseLayer):
    """Gaussian error linear unit: y = x Phi(x), Phi the standard normal distribution function. Any shape.

    Args:
        approximate: "none", or "tanh" for x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    Raises:
        LayerError: `approximate` is neither.

    Hendrycks, Gimpel: Gaussian error linear units, 2016.
    """

    label: ClassVar[str] = "gelu"
    notation: ClassVar[str] = r"$x\,\Phi(x)$"
    rectifies: ClassVar[bool] = True

    approximate: str = "none"

    def __post_init__(self) -> None:
        one_of(self.approximate, ("none", "tanh"), "approximate", "GELU")

    def describe(self) -> str:
        """For example 'GELU, tanh'."""
        return "GELU" if self.approximate == "none" else f"GELU, {self.approximate}"


@final
@dataclass(frozen=True)
class Mish(ElementwiseLayer):
    """Smooth rectifier that dips below zero: y = x tanh(log(1 + exp(x))). Any shape.

    Misra: Mish, a self regularized non-monotonic activation function, 2019.
    """

    label: ClassVar[str] = "mish"
    notation: ClassVar[str] = r"$x\,\tanh(\log(1 + e^x))$"
    rectifies: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class Softplus(ElementwiseLayer):
    """Smooth rectifier: y = log(1 + exp(beta x)) / beta. Any shape.

    Args:
        beta: how sharply it bends at 0; positive.

    Raises:
        LayerError: beta is not positive.

    Dugas et al.: Incorporating second-order functional knowledge for better option pricing, 2000.
    """

    label: ClassVar[str] = "softplus"
    notation: ClassVar[str] = r"$\log(1 + e^{\beta x}) / \beta$, $\beta = <beta>$"
    rectifies: ClassVar[bool] = True

    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < inf:
            raise self.refuse(f"beta is {self.beta}; it must be positive and finite (1 is usual)")

    def describe(self) -> str:
        """For example 'Softplus 1'."""
        return f"Softplus {self.beta:g}"


@final
@dataclass(frozen=True)
class ThresholdedReLU(ElementwiseLayer):
    """Rectifier that jumps: y = x for x > threshold, 0 elsewhere. Any shape. PyTorch's is Threshold(threshold, 0).

    Args:
        threshold: which numbers become 0: it and those below it.

    Raises:
        LayerError: the threshold is not finite.

    Konda, Memisevic, Krueger: Zero-bias autoencoders and the benefits of co-adapting features, 2014.
    """

    label: ClassVar[str] = "thresholded_relu"
    notation: ClassVar[str] = r"$x$ for $x > <threshold>$, $0$ elsewhere"
    rectifies: ClassVar[bool] = True

    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not isfinite(self.threshold):
            raise self.refuse(f"threshold is {self.threshold}; it must be finite (0 is ReLU)")

    def describe(self) -> str:
        """For example 'ThresholdedReLU 1'."""
        return f"ThresholdedReLU {self.threshold:g}"


@final
@dataclass(frozen=True)
class PReLU(ElementwiseLayer):
    """Rectifier whose slope below zero is learned: y = x for x > 0, weight * x below. Any shape.

    `weight` has the shape (1,), or (C,) per channel, or the sizes of `axes`; it starts at 0.25 and has no weight decay.

    Args:
        per_channel: a slope for each channel instead of one for all.
        axes: on which the slopes differ, 0 for the channels; a negative number counts from the last. Instead of
            `per_channel`.

    Raises:
        LayerError: both are given, or the axes are not ints.

    He et al.: Delving deep into rectifiers, 2015.
    """

    label: ClassVar[str] = "prelu"
    notation: ClassVar[str] = r"$\max(0, x) + w\,\min(0, x)$, $w$ learned"
    rectifies: ClassVar[bool] = True

    per_channel: bool = False
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.axes is not None:
            object.__setattr__(self, "axes", ints(self.axes, "axes", "PReLU"))
            if self.per_channel:
                raise self.refuse(f"per_channel and the axes {self.axes} are both given; axes=(0,) is per channel")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        shape = super().output_shape(input_shapes)
        self.spread_shape(shape)
        return shape

    def spread_shape(self, shape: Shape) -> Shape:
        """The shape of the slopes with an axis of length 1 where they do not differ."""
        wanted = self.axes if self.axes is not None else (0,) if self.per_channel else ()
        axes = {axis_number(axis, shape) for axis in wanted}
        return tuple(size if axis in axes else 1 for axis, size in enumerate(shape))

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight: the slope, or the slope of each channel, or of each position on `axes`."""
        shape = input_shapes[0]
        axes = {axis_number(axis, shape) for axis in self.axes or ()}
        own = tuple(size for axis, size in enumerate(shape) if axis in axes) or (shape[0] if self.per_channel else 1,)
        return {"weight": Parameter(own, "constant 0.25", decay=False)}

    def describe(self) -> str:
        """For example 'PReLU, per channel', or 'PReLU over axes 0 1'."""
        if self.axes is not None:
            return f"PReLU over {'axis' if len(self.axes) == 1 else 'axes'} {' '.join(map(str, self.axes))}"
        return "PReLU, per channel" if self.per_channel else "PReLU"


@final
@dataclass(frozen=True)
class Maxout(Layer):
    """Maximum over groups of channels, so the previous layer gives each output several linear pieces.

        y[c] = max over p of x[c * pieces + p]

    After a Linear or a convolution with C * pieces outputs this is max(w1 x + b1, w2 x + b2, ...), a learned convex
    function. Input (C * pieces, ...), output (C, ...).

    Args:
        pieces: how many channels each maximum is taken over, at least 1.

    Raises:
        LayerError: pieces is not a positive int.

    Goodfellow et al.: Maxout networks, 2013.

    >>> Maxout(2).output_shape([(64, 7, 7)])
    (32, 7, 7)
    """

    label: ClassVar[str] = "maxout"
    notation: ClassVar[str] = r"$\max(w_1 x + b_1, \ldots)$"

    pieces: int

    def __post_init__(self) -> None:
        positive_int(self.pieces, "pieces", "Maxout")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(channels / pieces, ...)."""
        self.check_inputs(input_shapes)
        channels, *rest = input_shapes[0]
        if channels % self.pieces:
            below = channels // self.pieces * self.pieces
            ways = [str(count) for count in (below, below + self.pieces) if count]
            raise ShapeError(
                f"takes the maximum over {self.pieces} pieces, which do not divide its {channels} input channels. "
                f"Give the previous layer {' or '.join(ways)} outputs, or use a number of pieces that divides "
                f"{channels}: {divisors(channels)}"
            )
        return channels // self.pieces, *rest

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position."""
        return positionwise(input_shapes)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One comparison for each element."""
        return Cost(flops=prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'Maxout 2'."""
        return f"Maxout {self.pieces}"

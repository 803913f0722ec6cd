"""Activations as the kernels define them: a name, a number, and whether oneDNN may apply them to a product."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias

from foveate.engines.native import _native
from foveate.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clip,
    Erf,
    Exp,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Layer,
    LeakyReLU,
    Log,
    Mish,
    Power,
    ReLU,
    ReLU6,
    Rescale,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    ThresholdedReLU,
)

Bounds: TypeAlias = tuple[float, float]
"""The smallest and the largest number that a rectifier lets through as it is."""

TINY = -1e-45
"""A slope for oneDNN's rectifier: a denormal number, flushed to minus zero when the kernel runs. Where the slope is 0
its rectifier makes 0 of NaN; with this one NaN passes, and minus infinity becomes NaN too, which `program` knows."""

_LOGISTIC = (0.0, 0.0) if _native.vector_lanes() > 4 else None
"""Of oneDNN's sigmoid, which with SSE4.1 makes a number of NaN."""


@dataclass(frozen=True)
class Elementwise:
    """A function of one number.

    `from_output`: y is enough for the derivative, so x need not be kept. `keeps_zero`: f(0) = 0 and f'(0) is finite, so
    a block of channels may have unused places. `fused`: oneDNN's two numbers if its own post-operation is as good as
    our kernel.
    """

    kind: str
    alpha: float = 0.0
    beta: float = 0.0
    from_output: bool = True
    keeps_zero: bool = True
    fused: tuple[float, float] | None = None

    def post_operation(self, *, exact: bool) -> _native.PostOperation | None:
        """What oneDNN applies to a product's result; None if our kernel does it, as for rectifiers if `exact`."""
        if self.fused is None or (exact and self.fused_makes_nan):
            return None
        return _native.PostOperation(self.kind, *self.fused)

    @property
    def fused_makes_nan(self) -> bool:
        """Whether the post-operation turns minus infinity into NaN."""
        return self.fused is not None and TINY in self.fused


def _rectifier(kind: str, slope: float) -> Elementwise:
    """A rectifier with a slope for numbers below 0."""
    return Elementwise(kind, slope, fused=(slope, 0.0) if slope else (TINY, 0.0))


def _clipping(kind: str, bounds: Bounds) -> Elementwise:
    """A function that clips; of Clip, which lets gradients pass at its bounds, the derivative needs the input."""
    low, high = bounds
    return Elementwise(kind, low, high, from_output=kind == "hardtanh", keeps_zero=low <= 0 <= high)


_FUNCTIONS: dict[type[Layer], Callable[[Any], Elementwise]] = {
    ReLU: lambda _: _rectifier("relu", 0.0),
    LeakyReLU: lambda layer: _rectifier("leaky_relu", layer.slope),
    ELU: lambda layer: Elementwise("elu", layer.alpha, from_output=False),
    Sigmoid: lambda _: Elementwise("sigmoid", keeps_zero=False, fused=_LOGISTIC),
    Tanh: lambda _: Elementwise("tanh", fused=(0.0, 0.0)),
    ReLU6: lambda _: Elementwise("relu6"),
    Hardtanh: lambda layer: _clipping("hardtanh", (layer.low, layer.high)),
    SiLU: lambda _: Elementwise("silu", from_output=False, fused=(1.0, 0.0)),
    Hardswish: lambda _: Elementwise("hardswish", from_output=False, fused=(1 / 6, 0.5)),
    Hardsigmoid: lambda _: Elementwise("hardsigmoid", from_output=False, keeps_zero=False),
    GELU: lambda layer: Elementwise("gelu_tanh" if layer.approximate == "tanh" else "gelu", from_output=False),
    Mish: lambda _: Elementwise("mish", from_output=False),
    SELU: lambda _: Elementwise("selu", from_output=False),
    CELU: lambda layer: Elementwise("celu", layer.alpha, from_output=False),
    Clip: lambda layer: _clipping("clip", layer.bounds),
    Rescale: lambda layer: Elementwise("line", layer.factor, layer.shift, keeps_zero=layer.shift == 0),
    Power: lambda layer: Elementwise("power", layer.exponent, from_output=False, keeps_zero=layer.exponent >= 1),
    Exp: lambda _: Elementwise("exponential", keeps_zero=False),
    Log: lambda _: Elementwise("logarithm", from_output=False, keeps_zero=False),
    Erf: lambda _: Elementwise("error_function", from_output=False),
    ThresholdedReLU: lambda layer: Elementwise("thresholded", layer.threshold, from_output=False),
    Abs: lambda _: Elementwise("absolute", from_output=False),
    Softplus: lambda layer: Elementwise("softplus", layer.beta, from_output=False, keeps_zero=False),
}

ACTIVATIONS = tuple(_FUNCTIONS)
"""The layer types that are functions of single numbers."""


def elementwise(layer: Layer) -> Elementwise:
    """The function of an activation layer."""
    return _FUNCTIONS[type(layer)](layer)


def bounds_of(layer: Layer) -> Bounds | None:
    """The bounds of a layer that clips its input, and does nothing else."""
    match layer:
        case ReLU():
            return 0.0, inf
        case ReLU6():
            return 0.0, 6.0
        case Hardtanh():
            return layer.low, layer.high
        case Clip():
            return layer.bounds
    return None

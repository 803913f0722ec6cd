"""Activation functions with their derivatives as arrays, and how signal and gradient fare by depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result
from foveate.layers import ELU, GELU, Layer, LeakyReLU, Maxout, ReLU, Sigmoid, SiLU, Tanh
from foveate.layers.registry import built_in_layers

_LECTURE: tuple[Layer, ...] = (Sigmoid(), Tanh(), ReLU(), LeakyReLU(), Maxout(2), ELU())

ACTIVATION_FUNCTIONS: tuple[Layer, ...] = (
    *_LECTURE,
    *(kind() for kind in built_in_layers() if kind.notation and kind not in map(type, _LECTURE)),
)
"""All activation functions, the lecture's six first."""

SURVIVORS: tuple[Layer, ...] = (Sigmoid(), Tanh(), ReLU(), LeakyReLU(), Maxout(2), ELU(), SiLU(), GELU())
"""Those whose deep networks are compared by default."""

STARTS = ("auto", 0.01)
"""The initialisations compared by default in figures of signals: foveate's own, and small weights in all layers."""


@dataclass(frozen=True, eq=False)
class ActivationCurve(Result):
    """An activation function at the points `x`: its values and its derivatives, as the engine computes them."""

    x: FloatArray
    value: FloatArray
    derivative: FloatArray


def maxout_pieces(count: int) -> tuple[tuple[float, float], ...]:
    """An example of Maxout's linear pieces, as (slope, intercept): tangents of the parabola x^2 / 2.

    >>> maxout_pieces(2)
    ((-1.0, -0.5), (1.0, -0.5))
    """
    return tuple((float(slope), 0.0 - float(slope**2) / 2) for slope in np.linspace(-1, 1, count))


def formula(layer: Layer, pieces: Sequence[tuple[float, float]] | None = None) -> str:
    """The function in matplotlib's mathematical notation; if there is none, the layer's description.

    >>> formula(LeakyReLU(0.3))
    '$\\\\max(0.3x, x)$'
    """
    if isinstance(layer, Maxout):
        lines = [_line(*piece) for piece in pieces or maxout_pieces(layer.pieces)]
        return rf"$\max({', '.join(lines)})$"
    text = layer.notation or layer.describe()
    for name, value in layer.options().items():
        if isinstance(value, int | float):
            text = text.replace(f"<{name}>", f"{value:g}")
    return text


@dataclass(frozen=True, eq=False)
class SignalSurvival(Result):
    """How large signal and gradient are at each depth of one network, from its input at 0 to its last layer.

    `signal` is the variance over samples and units of each weighted layer's output, before its activation function;
    `gradient` is that of the gradient with respect to it, 1 at the last layer. A signal may keep its variance and yet
    say nothing about the input, as under a sigmoid: the gradient has then vanished.
    """

    activation: str
    initializer: str
    signal: NDArray[np.float64]
    gradient: NDArray[np.float64]


def _line(slope: float, intercept: float) -> str:
    """A straight line in words, for example '-x - 0.5'."""
    head = {0.0: "", 1.0: "x", -1.0: "-x"}.get(slope, f"{slope:g}x")
    if not head or not intercept:
        return head or f"{intercept:g}"
    return f"{head} {'-' if intercept < 0 else '+'} {abs(intercept):g}"

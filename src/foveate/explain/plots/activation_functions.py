"""Activation functions, and how deep a signal survives under each, in figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate.engines import Engine
from foveate.explain.draw.activation_functions import draw_activation_functions, draw_signal_survival
from foveate.explain.measure.activation_functions import ACTIVATION_FUNCTIONS, STARTS, SURVIVORS
from foveate.explain.probe.activation_functions import activation_curve, kinks, signal_survival
from foveate.layers import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_activation_functions(
    layers: Sequence[Layer] = ACTIVATION_FUNCTIONS, *, limit: float = 7, engine: Engine | None = None
) -> "Figure":
    """A grid of activation functions: each with its derivative, its formula, and its kinks marked.

    Args:
        layers: activation functions of one number.
        limit: they are drawn from -limit to limit.
        engine: the engine to use (default: the fastest available).

    Raises:
        LayerError: a layer is not a function of one number.
    """
    x = np.linspace(-limit, limit, 1401)
    return draw_activation_functions(
        [(layer, activation_curve(layer, x, engine=engine), kinks(layer, -limit, limit)) for layer in layers]
    )


def plot_signal_survival(
    activations: Sequence[Layer] = SURVIVORS,
    *,
    initializers: Sequence[str | float] = STARTS,
    **options: Any,
) -> "Figure":
    """Signal and gradient by depth, on logarithmic axes, with a column for each initialisation of the weights.

    Args:
        activations: a line for each.
        initializers: as `initializer` of `signal_survival`.
        options: further arguments of `signal_survival`.

    Raises:
        LayerError, DataError: as in `signal_survival`.
    """
    return draw_signal_survival([signal_survival(activations, initializer=each, **options) for each in initializers])

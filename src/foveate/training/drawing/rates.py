"""A figure of a learning-rate range test."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.figures import colour, drawn, in_three_digits, new_figure, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADROOM = 0.15
"""Of the height that matters, how much is added above it."""


@drawn
def draw_rates(
    rates: NDArray[np.float64], losses: NDArray[np.float64], curve: NDArray[np.float64], suggestion: float
) -> "Figure":
    """The loss over the learning rate on a logarithmic axis, smoothed and as measured, and the suggested rate.

    The vertical axis ends a little above the losses before the suggestion, so that an explosion flattens nothing.
    """
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.plot(rates, losses, color=colour("soft"), linewidth=0.8, alpha=0.7, label="loss of each batch")
    axes.plot(rates, curve, color=tint(0), linewidth=2.2, label="smoothed")
    chosen = int(np.abs(rates - suggestion).argmin())
    axes.axvline(suggestion, color=tint(1), linewidth=1.5, linestyle="--")
    label = f"suggestion: {in_three_digits(suggestion)}"
    axes.plot(rates[chosen], curve[chosen], "o", markersize=8, color=tint(1), label=label)
    top = float(max(losses[: chosen + 1].max(), curve[: chosen + 1].max()))
    bottom = float(min(losses.min(), curve.min()))
    room = _HEADROOM * max(top - bottom, 1e-12)
    axes.set_ylim(bottom - room / 3, top + room)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.grid(visible=True)
    axes.legend()
    return figure

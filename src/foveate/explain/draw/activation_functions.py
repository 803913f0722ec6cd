"""Figures of activation functions, and of what is left of a signal and its gradient."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.explain.draw.style import MARKERS, colour, drawn, grid_shape, new_figure, tint
from foveate.explain.measure.activation_functions import ActivationCurve, SignalSurvival, formula
from foveate.layers import Layer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def draw_activation_functions(functions: Sequence[tuple[Layer, ActivationCurve, NDArray[np.float64]]]) -> "Figure":
    """A grid of activation functions, each given as a layer, its curve and the positions of its kinks."""
    rows, columns = grid_shape(len(functions) + 1, columns=4)
    figure = new_figure(2.7 * columns, 0.5 + 2.35 * rows, "Activation functions and their derivatives")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, function in zip(panels, functions, strict=False):
        _draw_curve(axes, *function)
    for axes in panels[len(functions) :]:
        axes.axis("off")
    samples = [
        panels[-1].plot([], [], color=tint(0), label="function $f(x)$")[0],
        panels[-1].plot([], [], color=tint(1), linestyle="--", label="derivative $f'(x)$")[0],
        panels[-1].plot([], [], "o", color=colour("ink"), fillstyle="none", label="kink: the derivative jumps")[0],
    ]
    for text in panels[len(functions)].legend(handles=samples, loc="center").get_texts():
        text.set_parse_math(True)
    figure.supxlabel("x (no unit)", fontsize=10)
    return figure


@drawn
def draw_signal_survival(results: Sequence[Sequence[SignalSurvival]]) -> "Figure":
    """A column for each initialisation of the weights, with a line for each network."""
    depth = len(results[0][0].signal) - 1
    spacing = max(1, min(len(results[0]), depth // 3))
    title = f"What is left of signal and gradient in a random network of {depth} layers"
    figure = new_figure(1.8 + 4.3 * len(results), 7.2, title)
    panels = figure.subplots(2, len(results), squeeze=False, sharex=True)
    for column, networks in zip(panels.T, results, strict=True):
        column[0].set_title(f"weights: {networks[0].initializer}", fontsize=10)
        for number, network in enumerate(networks):
            look: dict[str, Any] = {
                "color": tint(number),
                "marker": MARKERS[number % len(MARKERS)],
                "markevery": (number % spacing, spacing),
                "linewidth": 1.5,
                "label": network.activation,
            }
            for axes, values in zip(column, (network.signal, network.gradient), strict=True):
                axes.semilogy(np.where(values > 0, values, np.nan), **look)
        column[1].set_xlabel("depth: weighted layers from the input")
        for axes in column:
            axes.grid(visible=True)
    panels[0][0].set_ylabel("variance of the signal\n(input: 1)")
    panels[1][0].set_ylabel("variance of the gradient\n(last layer: 1)")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right center", title="activation")
    note = "A signal that keeps its variance but not its gradient no longer says anything about the input."
    if any(
        (network.gradient == 0).any() or (network.signal == 0).any() for networks in results for network in networks
    ):
        note += "\nA line ends where the numbers are too small for the engine."
    figure.supxlabel(note, fontsize=9, color=colour("soft"))
    return figure


def _draw_curve(axes: "Axes", layer: Layer, curve: ActivationCurve, at: NDArray[np.float64]) -> None:
    axes.axhline(0, color=colour("faint"), linewidth=1)
    axes.axvline(0, color=colour("faint"), linewidth=1)
    axes.plot(curve.x, curve.value, color=tint(0))
    slopes = curve.derivative.astype(np.float64)
    slopes[np.searchsorted(curve.x, at)] = np.nan  # a gap, so a jump is not a steep line
    axes.plot(curve.x, slopes, color=tint(1), linestyle="--")
    heights = np.interp(at, curve.x, curve.value)
    axes.plot(at, heights, "o", color=colour("ink"), fillstyle="none", markersize=7)
    axes.set_title(f"{layer.describe()}\n{formula(layer)}", fontsize=9.5, parse_math=True)
    axes.set_xlim(curve.x[0], curve.x[-1])

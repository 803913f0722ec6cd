"""A figure of an input beside the likeliest classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foveate.engines.base import FloatArray
from foveate.explain.draw.inputs import middle, name_axes, show_input
from foveate.explain.draw.style import colour, drawn, new_figure, tint
from foveate.text import number_words, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def draw_prediction(shown: FloatArray, names: Sequence[str], shares: FloatArray) -> "Figure":
    """A displayed input, and bars of the percentages `shares` of the classes `names`, the likeliest first."""
    words = [f"{share:.1f} %" if share >= 0.05 else "below 0.1 %" for share in shares]
    figure, right = _beside(shown, names, shares, words)
    right.set_xlim(0, 118)
    right.set_xticks(range(0, 101, 25))
    right.set_xlabel("probability (%)")
    return figure


@drawn
def draw_values(shown: FloatArray, names: Sequence[str], values: FloatArray) -> "Figure":
    """A displayed input, and bars of the predicted `values` called `names`."""
    figure, right = _beside(shown, names, values, [number_words(float(value)) for value in values])
    right.axvline(0, color=colour("soft"), linewidth=0.8)
    right.margins(x=0.25)
    right.set_xlabel("predicted value")
    return figure


def _beside(
    shown: FloatArray, names: Sequence[str], lengths: FloatArray, words: Sequence[str]
) -> "tuple[Figure, Axes]":
    """The input on the left, and the axes on the right with a bar and its words for each name."""
    figure = new_figure(8, max(2.2, 0.28 * len(names) + 1))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    show_input(left, shown)
    name_axes(left, shown)
    cut = middle(shown.shape[1:])[1] if shown.ndim == 4 else ""
    left.set_title(f"what the network receives{', ' if cut else ''}{cut}", fontsize=10)
    right.bar_label(right.barh(range(len(names)), lengths, color=tint(0)), words, padding=3, fontsize=9)
    right.set_yticks(range(len(names)), [shortened(name, 28) for name in names])
    right.invert_yaxis()
    right.set_title("prediction", fontsize=10)
    return figure, right

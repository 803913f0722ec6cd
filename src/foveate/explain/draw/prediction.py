"""A figure of an input beside the likeliest classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foveate.engines.base import FloatArray
from foveate.explain.draw.inputs import middle, name_axes, show_input
from foveate.explain.draw.style import drawn, new_figure, tint
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawn
def draw_prediction(shown: FloatArray, names: Sequence[str], shares: FloatArray) -> "Figure":
    """A displayed input, and bars of the percentages `shares` of the classes `names`, the likeliest first."""
    figure = new_figure(8, max(2.2, 0.28 * len(names) + 1))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    show_input(left, shown)
    name_axes(left, shown)
    cut = middle(shown.shape[1:])[1] if shown.ndim == 4 else ""
    left.set_title(f"what the network receives{', ' if cut else ''}{cut}", fontsize=10)
    words = [f"{share:.1f} %" if share >= 0.05 else "below 0.1 %" for share in shares]
    right.bar_label(right.barh(range(len(names)), shares, color=tint(0)), words, padding=3, fontsize=9)
    right.set_yticks(range(len(names)), [shortened(name, 28) for name in names])
    right.invert_yaxis()
    right.set_xlim(0, 118)
    right.set_xticks(range(0, 101, 25))
    right.set_xlabel("probability (%)")
    right.set_title("prediction", fontsize=10)
    return figure

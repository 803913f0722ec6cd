"""Figures of the sanity check: maps at each stage, and their rank correlations."""

from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.draw.attribution import limit_of
from foveate.explain.draw.inputs import middle, show_titled_input
from foveate.explain.draw.style import MARKERS, bare, colour, drawn, new_figure, show_map, tint
from foveate.explain.measure.attribution import upsample
from foveate.explain.measure.explanation import magnitude, with_channels
from foveate.explain.measure.sanity import SIMILAR, SanityCheck

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAPS_SHOWN = 5


_LONGEST_LINE = 12

_MOST_TICKS = 16
"""The most names of stages under the curve; with more stages, some are left out."""


@drawn
def draw_sanity_check(check: SanityCheck, shown: FloatArray, title: str) -> "Figure":
    """The maps of one displayed input at some stages, the rank correlations at every stage, and the verdict."""
    figure = new_figure(10, 5.2, title)
    chosen = _evenly(len(check.maps), _MAPS_SHOWN + 1)
    grid = figure.add_gridspec(2, 1 + len(chosen), height_ratios=[1, 1.1])
    show_titled_input(figure.add_subplot(grid[0, 0]), shown)
    for column, stage in enumerate(chosen, start=1):
        _show_stage(figure.add_subplot(grid[0, column]), check, stage, shown)
    _show_correlations(figure.add_subplot(grid[1, :]), check)
    return figure


def _evenly(count: int, shown: int) -> list[int]:
    """At most `shown` of 0 to `count` - 1, including the first and the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, shown))})


def _show_stage(axes: "Axes", check: SanityCheck, stage: int, shown: FloatArray) -> None:
    size = magnitude(with_channels(check.maps[stage, 0], shown))
    words = f"random to\n{broken_lines(check.stages[stage - 1])}" if stage else "the network\nas it is"
    if size.ndim == 1:
        axes.plot(upsample(size[None], shown.shape[1:])[0], color=tint(0), linewidth=0.6)
        bare(axes, words)
        return
    show_map(axes, size[middle(size.shape)[0]], words, limit=limit_of(size))


def broken_lines(name: str) -> str:
    """The name of a layer in lines short enough to stand above a map."""
    lines = [""]
    for part in name.replace(".", ". ").split(" "):
        if lines[-1] and len(lines[-1] + part) > _LONGEST_LINE:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _show_correlations(axes: "Axes", check: SanityCheck) -> None:
    places = np.arange(len(check.stages) + 1)
    lines = {"magnitudes": check.magnitudes[:, 0]}
    if check.maps.min() < 0:
        lines["signed values"] = check.signed[:, 0]
    for number, (label, values) in enumerate(lines.items()):
        told = np.where(check.flat[:, 0], np.nan, [1.0, *values])  # a flat map has no rank correlation
        axes.plot(places, told, marker=MARKERS[number], color=tint(number), label=label)
    axes.axhline(0, color=colour("soft"), linewidth=0.8)
    for height, label in ((SIMILAR, "beyond: hardly changed"), (-SIMILAR, "")):
        axes.axhline(height, color=colour("soft"), linewidth=0.8, linestyle="--", label=label)
    axes.set_ylim(-1.05 if min(values.min() for values in lines.values()) < -0.3 else -0.35, 1.08)
    axes.set_ylabel("rank correlation with\nthe network's own map")
    axes.set_xlabel("random from the output layer down to")
    every = ceil(len(places) / _MOST_TICKS)
    shown = sorted({*places[::every][:-1].tolist(), len(places) - 1}) if every > 1 else places.tolist()
    names = ["none", *check.stages]
    axes.set_xticks(shown, [names[place] for place in shown], rotation=35, ha="right")
    axes.set_xticks(places, minor=True)
    axes.set_title(fill(check.verdict, 100), fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

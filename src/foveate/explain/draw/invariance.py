"""Figures of invariance: curves over shifts, turns and sizes, and an error for each layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.explain.draw.inputs import show_input
from foveate.explain.draw.style import MARKERS, colour, drawn, new_figure, tint
from foveate.explain.measure.invariance import EquivarianceError, ResponseCurve, ResponseCurves, SurvivingShare
from foveate.explain.measure.words import element_noun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THUMBNAILS = 5


_MOST_TICKS = 24


@dataclass(frozen=True)
class Line:
    """A line (V,) of a panel: its name, and the number of its colour and marker."""

    name: str
    chances: FloatArray
    number: int


@drawn
def draw_response_curves(one: ResponseCurves, lines: Sequence[Sequence[Line]], title: str, legend: str) -> "Figure":
    """A panel for each of the curves of `one`, with its `lines` and its images below."""
    figure = new_figure(10.5, 4.4, title)
    grid = figure.add_gridspec(2, len(one.curves), height_ratios=[4, 1])
    panels: list[Axes] = []
    for column, curve in enumerate(one.curves):
        panel = figure.add_subplot(grid[0, column], sharey=panels[0] if panels else None)
        _curve_panel(panel, curve, lines[column], unchanged=float(curve is one.scaled))
        if curve is one.turned and np.ptp(curve.values) >= 180:
            panel.set_xticks(np.arange(-180, 181, 90))
        panels.append(panel)
        _thumbnails(figure.add_subplot(grid[1, column]), panel, curve)
    panels[0].set_ylabel("probability (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, title=legend, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


@drawn
def draw_shares(shares: Mapping[str, SurvivingShare], title: str) -> "Figure":
    """The fractions of predictions that survive, and accuracies, by model name, in two panels.

    A sentence replaces the curves of a network at chance level, whose unchanged answers would mean nothing.
    """
    said = [at_chance(name, share) for name, share in shares.items() if not share.learnt]
    figure = new_figure(10, 4.6, title)
    if len(said) == len(shares):
        figure.text(
            0.5, 0.5, "\n\n".join(fill(sentence, 90) for sentence in said), ha="center", va="center", fontsize=11
        )
        return figure
    left, right = figure.subplots(1, 2, sharey=True)
    one, several = next(iter(shares.values())), len(shares) > 1
    for number, (name, share) in enumerate(shares.items()):
        if not share.learnt:
            continue
        for panel, values in ((left, share.share), (right, share.accuracy)):
            _line(panel, share.shifts, 100 * values.mean(axis=1), number, name)
            if not several:
                low, high = 100 * values.min(axis=1), 100 * values.max(axis=1)
                panel.fill_between(share.shifts, low, high, color=tint(0), alpha=0.2, linewidth=0)
    unit = element_noun(len(one.directions) // 2) + "s"
    _percent_axis(left, f"shift ({unit})", "predictions that stay the same (%)")
    _percent_axis(right, f"shift ({unit})", "accuracy (%)")
    right.yaxis.set_tick_params(labelleft=True)
    for panel in (left, right):
        panel.locator_params(axis="x", integer=True)
    left.set_title("the same answer as without a shift")
    right.set_title("the right answer")
    note = f"Mean over {', '.join(one.directions)} on {one.samples:,} inputs"
    note = "\n".join([note, *(fill(sentence, 120) for sentence in said)])
    if several:
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, title=note, loc="outside lower center", ncols=min(3, len(labels)))
    else:
        figure.supxlabel(f"{note}; the band runs from the worst direction to the best", fontsize=9)
    return figure


def at_chance(name: str, share: SurvivingShare) -> str:
    """A sentence in place of the curves of a network that has learnt nothing."""
    return (
        f"{name or 'The network'} is at chance level: {100 * share.best:.0f} % right, while always answering the "
        f"commonest class gives {100 * share.chance:.0f} %, so it means nothing whether its answers survive a shift."
    )


@drawn
def draw_equivariance_errors(errors: Mapping[str, EquivarianceError]) -> "Figure":
    """A panel for each model, by its name, with the error of each layer."""
    longest = max(len(error.layers) for error in errors.values())
    crowded = any(map(_crowded, errors.values()))
    title = "Equivariance error of each layer: 0 where its map moves with the input"
    figure = new_figure(max(8.5, min(11.0, 3 + 0.5 * longest)), 1.2 + (4.0 if crowded else 3.0) * len(errors), title)
    panels = figure.subplots(len(errors), 1, squeeze=False)[:, 0]
    for panel, (name, error) in zip(panels, errors.items(), strict=True):
        _error_panel(panel, error, name)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1)
    return figure


def _curve_panel(panel: "Axes", curve: ResponseCurve, lines: Sequence[Line], *, unchanged: float) -> None:
    for line in lines:
        _line(panel, curve.values, 100 * line.chances, line.number, line.name, marker=len(curve.values) <= 40)
    _percent_axis(panel, curve.label, "")
    if (curve.values == curve.values.round()).all():
        panel.locator_params(axis="x", integer=True)
    panel.axvline(unchanged, color=colour("soft"), linewidth=1, linestyle=":")


def _line(panel: "Axes", x: NDArray[Any], y: FloatArray, number: int, label: str, *, marker: bool = True) -> None:
    style = {"marker": MARKERS[number % len(MARKERS)], "markersize": 4.5} if marker else {}
    panel.plot(x, y, color=tint(number), label=label or None, **style)  # type: ignore[arg-type]


def _percent_axis(panel: "Axes", x_label: str, y_label: str) -> None:
    panel.set_xlabel(x_label)
    panel.set_ylabel(y_label)
    panel.set_ylim(-3, 103)
    panel.grid(axis="y")


def _thumbnails(strip: "Axes", panel: "Axes", curve: ResponseCurve) -> None:
    """The changed images under the axis, each at its value."""
    strip.set_axis_off()
    low, high = panel.get_xlim()
    shares = (curve.values - low) / (high - low)
    wanted = (np.arange(_THUMBNAILS) + 0.5) / _THUMBNAILS
    chosen = dict.fromkeys(int(np.abs(shares - each).argmin()) for each in wanted)
    for index in chosen:
        left = min(max(shares[index] - 0.078, 0.0), 0.844)
        inset = strip.inset_axes((left, 0.0, 0.156, 0.85))
        show_input(inset, curve.images[index])
        inset.set_title(f"{curve.values[index]:g}".replace("-", "\N{MINUS SIGN}"), fontsize=8, pad=2)


def _error_panel(panel: "Axes", error: EquivarianceError, name: str) -> None:
    rows = {
        "shift by whole steps of the map, only where no padding is seen (no mark: nowhere)": (
            error.interior,
            error.aligned,
        ),
        "shift by whole steps of the map, everywhere": (error.whole, error.aligned),
        "shift by a fraction of a step (the map is blended), everywhere": (error.whole, ~error.aligned),
    }
    places = np.arange(len(error.layers))
    for number, (label, (values, where)) in enumerate(rows.items()):
        mean = np.array([_mean(row[mask]) for row, mask in zip(values, where, strict=True)])
        style = {"color": tint(number), "marker": MARKERS[number], "linestyle": "none"}
        # Smaller and smaller, so none hides another.
        panel.plot(places, mean, label=label, markersize=10 - 2 * number, **style)  # type: ignore[arg-type]
    panel.set_ylim(min(-0.03, *panel.get_ylim()), max(0.5, *panel.get_ylim()))
    panel.axhline(0, color=colour("soft"), linewidth=1, linestyle=":", zorder=0)
    ticks = [f"{layer}\n(step {jump:g})" for layer, jump in zip(error.layers, error.jumps, strict=True)]
    every = ceil(len(ticks) / _MOST_TICKS)
    panel.set_xticks(places[::every], ticks[::every], rotation=90 if _crowded(error) else 0, fontsize=8)
    panel.set_ylabel("error (share of the map's norm)\n||f(Tx) - T'f(x)|| / ||T'f(x)||")
    panel.set_title(name)
    panel.grid(axis="y")


def _crowded(error: EquivarianceError) -> bool:
    """Whether the names of the layers must be set vertically."""
    return len(error.layers) > 12 or max(map(len, error.layers)) > 8


def _mean(values: FloatArray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else float("nan")

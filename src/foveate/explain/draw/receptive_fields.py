"""Figures of receptive fields: boxes on the input, and the effective field beside them."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.draw.sampling import name_samples
from foveate.explain.draw.style import colour, colour_bar, drawn, new_figure, show_image, show_map, tint
from foveate.explain.measure.receptive_fields import PART, EffectiveField, Position, TheoreticalField
from foveate.geometry import format_sizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BOXES = 8
"""The most boxes in one figure; with more, neither colours nor lines could be told apart."""


_LINES = ("-", "--", "-.", ":")


_AXIS_NAMES = {1: ("sample",), 2: ("row", "column"), 3: ("depth", "row", "column")}


@drawn
def draw_receptive_fields(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position, title: str
) -> "Figure":
    """The boxes of the fields on a displayed input, around the position `at`, and an effective field beside them."""
    draw = {1: _plot_spans, 2: _plot_boxes, 3: _plot_slices}[len(at)]
    figure = draw(picture, fields, seen, at)
    figure.suptitle(title, fontsize=12)
    return figure


def distinct_fields(fields: Sequence[TheoreticalField]) -> tuple[TheoreticalField, ...]:
    """The first field of each visible box, smallest first: at most `MOST_BOXES`, evenly chosen."""
    first: dict[Any, TheoreticalField] = {}
    for field in fields:
        first.setdefault(field.region.clipped, field)
    boxes = sorted(first.values(), key=lambda field: prod(field.clipped_size))
    if len(boxes) <= MOST_BOXES:
        return tuple(boxes)
    return tuple(boxes[round(index)] for index in np.linspace(0, len(boxes) - 1, MOST_BOXES))


def fields_title(network: str, at: Position, shown: int, known: int) -> str:
    """What the figure shows, and how many layers are left out of it."""
    place = ", ".join(map(str, at))
    left = known - shown
    rest = f"\n{shown} of {known} layers drawn; the boxes of the others equal one of them or lie between two"
    return f"What the elements of {network} around position {place} of the input see{rest if left else ''}"


def _label(field: TheoreticalField) -> str:
    whole, part = format_sizes(field.size), format_sizes(field.clipped_size)
    return f"{field.layer}: {whole}" + (f" ({part} inside)" if whole != part else "")


def _cut_off(fields: Sequence[TheoreticalField]) -> str:
    return ", cut off at the input's borders" if any(field.size != field.clipped_size for field in fields) else ""


def _effective_title(seen: EffectiveField) -> str:
    return (
        f"Effective field of {seen.field.layer}: {100 * PART:.0f} % of what it depends on\n"
        f"is in {100 * seen.share():.1f} % of its box of {format_sizes(seen.field.clipped_size)}"
    )


def _strength(seen: EffectiveField) -> FloatArray:
    """The root of the energy, scaled to a largest value of 1: squares would leave one bright position in the dark."""
    strength: FloatArray = np.sqrt(seen.energy / seen.energy.max())
    return strength


def _visible(picture: FloatArray) -> FloatArray:
    """Three channels are colours; with any other number the first is shown."""
    return picture if len(picture) == 3 else picture[:1]


def _look(index: int) -> dict[str, Any]:
    from matplotlib.patheffects import Normal, Stroke

    halo = [Stroke(linewidth=4, foreground=colour("paper"), alpha=0.7), Normal()]
    look = {"color": tint(index), "linestyle": _LINES[index % len(_LINES)]}
    return {**look, "linewidth": 2, "path_effects": halo, "clip_on": False}


def _rectangle(axes: "Axes", box: Sequence[range], label: str | None = None, **look: Any) -> None:
    """The outline of rows and columns around the cells that it holds."""
    from matplotlib.patches import Rectangle

    rows, columns = box
    corner = (columns.start - 0.5, rows.start - 0.5)
    axes.add_patch(Rectangle(corner, len(columns), len(rows), fill=False, label=label, **look))


def _legend(figure: "Figure", axes: "Axes") -> None:
    """Under the picture, in as many columns as the longest label allows: 0.075 inches a letter, 0.8 for its line."""
    handles, labels = axes.get_legend_handles_labels()
    columns = int(figure.get_figwidth() / (0.8 + 0.075 * max(map(len, labels))))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(max(columns, 1), 4), handlelength=3)


def _plot_boxes(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position
) -> "Figure":
    figure = new_figure(10, 5.8)
    left, right = figure.subplots(1, 2)
    show_image(left, _visible(picture), f"Theoretical boxes{_cut_off(fields)}")
    for index, field in enumerate(fields):
        _rectangle(left, field.region.clipped, _label(field), **_look(index))
    left.plot(at[1], at[0], "+", color=tint(1), markersize=9, label="the position")
    image = show_map(right, _strength(seen), _effective_title(seen))
    _rectangle(right, seen.field.region.clipped, color=tint(1), linewidth=2, clip_on=False)
    colour_bar(figure, image, right, "root mean squared gradient, largest = 1")
    _legend(figure, left)
    return figure


def _plot_spans(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position
) -> "Figure":
    figure = new_figure(10, 5.2 + 0.3 * len(fields))
    curve, bars, below = figure.subplots(3, 1, sharex=True, height_ratios=(1.6, 0.3 + 0.3 * len(fields), 1.6))
    for index, channel in enumerate(picture):
        curve.plot(channel, linewidth=0.8, color=tint(index))
    curve.set_ylabel("signal")
    for index, field in enumerate(fields):
        (span,) = field.region.clipped
        bars.barh(index, len(span), left=span.start - 0.5, height=0.6, color=tint(index))
    bars.set_yticks(range(len(fields)), [_label(field) for field in fields])
    bars.invert_yaxis()
    bars.set_title(f"Theoretical spans{_cut_off(fields)}", fontsize=9)
    below.plot(_strength(seen), color=tint(0), linewidth=1)
    (span,) = seen.field.region.clipped
    below.axvspan(span.start - 0.5, span.stop - 0.5, color=tint(1), alpha=0.15)
    below.set_title(f"{_effective_title(seen)}, shaded", fontsize=9)
    below.set_ylabel("root mean squared gradient,\nlargest = 1")
    below.set_xlim(*_around([field.region.clipped[0] for field in (*fields, seen.field)], len(seen.energy)))
    name_samples(below)
    for axes in (curve, bars, below):
        axes.axvline(at[0], color=colour("soft"), linestyle=":", linewidth=1)
    return figure


def _around(spans: Sequence[range], size: int) -> tuple[float, float]:
    """The ends of the part of a curve that holds all spans, with some room beside them."""
    first, last = min(span.start for span in spans), max(span.stop for span in spans)
    room = (last - first) / 4 + 1
    return max(0, first - room) - 0.5, min(size, last + room) - 0.5


def _plot_slices(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position
) -> "Figure":
    """Three slices through the position, each along two of the axes; boxes above, energy below."""
    figure = new_figure(10, 7.8)
    grid = figure.subplots(2, 3)
    energy = _strength(seen)
    for axis, name in enumerate(_AXIS_NAMES[3]):
        above, below = grid[:, axis]
        rest = [each for each in range(3) if each != axis]
        show_image(above, np.take(_visible(picture), at[axis], axis=axis + 1), f"{name} {at[axis]}")
        for index, field in enumerate(fields):
            _rectangle(above, [field.region.clipped[each] for each in rest], _label(field), **_look(index))
        image = show_map(below, energy.take(at[axis], axis=axis), limit=1.0)
        _rectangle(below, [seen.field.region.clipped[each] for each in rest], color=tint(1), linewidth=2, clip_on=False)
        for axes in (above, below):
            axes.set_ylabel(_AXIS_NAMES[3][rest[0]])
            axes.set_xlabel(_AXIS_NAMES[3][rest[1]])
    grid[1, 1].set_title(_effective_title(seen), fontsize=9)
    colour_bar(figure, image, list(grid[1]), "root mean squared gradient,\nlargest = 1")
    _legend(figure, grid[0, 0])
    return figure

"""Figures of attributions: a map beside and over its image, and every method side by side."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.draw.inputs import LONG_SIGNAL, middle, pixels, show_spectrogram, show_titled_input, slices
from foveate.explain.draw.sampling import count_frequencies, name_samples
from foveate.explain.draw.style import (
    SEQUENTIAL,
    bare,
    colour,
    colour_bar,
    drawn,
    new_figure,
    show_image,
    show_map,
    tint,
    widened,
)
from foveate.explain.measure.attribution import upsample
from foveate.explain.measure.explanation import Explanation, magnitude, with_channels
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD_NAMES = {
    "saliency": "input gradient",
    "guided_backpropagation": "guided backpropagation",
    "integrated_gradients": "integrated gradients",
    "grad_cam": "Grad-CAM",
    "occlusion": "occlusion",
}


_BRIGHTEST = 99.5
"""The percentile of a map's magnitudes at which its colours saturate, so a few outliers do not blacken the rest."""


_OWN_SCALE = (
    "Each map has its own colour scale (occlusion that of the whole score); the strongest 0.5 % of the "
    "values share the last colour."
)


_SIGNS = " (above zero: for the class, below: against it)"


@drawn
def draw_attribution(shown: FloatArray, values: FloatArray, title: str) -> "Figure":
    """A displayed input beside an attribution (C, *spatial) of its size: signed, as magnitudes, and overlaid."""
    signed, size = values.sum(axis=0), magnitude(values)
    maps = {"signed: + for, - against": signed} if signed.min() < 0 else {}
    if signed.ndim == 1:
        return _curves(shown, maps | {"magnitude": size}, title)
    cuts = slices(signed.shape, 3)
    figure = new_figure(2.6 * (3 + len(maps)), 2.5 * len(cuts) + 0.5, title)
    rows = figure.subplots(len(cuts), 3 + len(maps), squeeze=False)
    for row, (place, name) in zip(rows, cuts, strict=True):
        image = pixels(shown, place)
        show_image(row[0], image)
        row[0].set_ylabel(name, fontsize=9)
        for axes, both in zip(row[1:], maps.values(), strict=False):
            coloured = show_map(axes, both[place], signed=True, limit=limit_of(both))
            colour_bar(figure, coloured, axes, "attribution")
        colour_bar(figure, show_map(row[-2], size[place], limit=limit_of(size)), row[-2], "attribution")
        show_overlay(row[-1], image, size[place], limit_of(size))
    for axes, label in zip(rows[0], ("the image", *maps, "magnitude", "magnitude over the image"), strict=True):
        axes.set_title(label, fontsize=9)
    return figure


def limit_of(values: FloatArray) -> float:
    """The magnitude at which a map's colours saturate."""
    size = np.abs(values)
    return float(np.percentile(size, _BRIGHTEST)) or float(size.max()) or 1.0


def show_overlay(axes: "Axes", image: FloatArray, values: FloatArray, limit: float, title: str = "") -> None:
    """A magnitude map in colours over its image in grey; stronger values are less transparent."""
    show_image(axes, image.mean(axis=0), title)
    strength = np.clip(values / limit, 0, 1)
    axes.imshow(strength, cmap=SEQUENTIAL, vmin=0, vmax=1, alpha=0.85 * strength**0.5, interpolation="nearest")
    widened(axes, strength.shape)


@drawn
def draw_map_comparison(
    shown: FloatArray, explained: Mapping[str, Explanation], title: str, likeliest: Sequence[tuple[str, float]]
) -> "Figure":
    """Every method's map of a displayed image, signed and over the image, beside the likeliest classes."""
    place, _ = middle(shown.shape[1:])
    figure = new_figure(11, 4.8, title)
    top, bottom = figure.subplots(2, 1 + len(explained))
    image = pixels(shown, place)
    show_titled_input(top[0], shown)
    _show_chances(bottom[0], likeliest)
    coloured = None
    for above, below, (method, found) in zip(top[1:], bottom[1:], explained.items(), strict=True):
        label = METHOD_NAMES[method].replace(" ", "\n", 1)
        if found.map is None:
            _say(above, below, label, found.noted)
            continue
        values = with_channels(found.map, shown)
        signed = values.sum(axis=0)
        own_place = middle(signed.shape)[0]
        coloured = show_map(above, signed[own_place] / max(limit_of(signed), found.whole), label, signed=True, limit=1)
        full = upsample(magnitude(found.meant(values))[None], shown.shape[1:])[0]
        show_overlay(below, image, full[place], max(limit_of(full), found.whole))
        below.set_xlabel(_below(found), fontsize=8)
    for axes, words in ((top[1], "signed"), (bottom[1], "magnitude\nover the image")):
        axes.set_ylabel(words, fontsize=9)
    figure.supxlabel(_OWN_SCALE, fontsize=9, color=colour("soft"))
    if coloured is not None:
        bar = figure.colorbar(coloured, ax=list(top), shrink=0.8, aspect=20, pad=0.01, ticks=[-1, 0, 1])
        bar.ax.set_yticklabels(["against", "0", "for"])
        bar.outline.set_edgecolor(colour("faint"))
    return figure


@drawn
def draw_curve_comparison(shown: FloatArray, explained: Mapping[str, Explanation], title: str) -> "Figure":
    """Every method's map below a displayed signal, as curves."""
    figure = new_figure(9, 1.25 * (1 + len(explained)) + 0.5, title)
    first, *others = figure.subplots(1 + len(explained), 1, sharex=True)
    _input_curve(first, shown)
    for axes, (method, found) in zip(others, explained.items(), strict=True):
        label = METHOD_NAMES[method]
        if found.map is None:
            axes.set_axis_off()
            axes.set_title(f"{label}: {found.noted}", fontsize=9, loc="left", wrap=True)
            continue
        values = with_channels(found.map, shown)
        curve = upsample(values.sum(axis=0)[None], shown.shape[1:])[0]
        note = found.noted.replace("\n", " ")
        _attribution_curve(axes, curve, f"{label} ({note})" if note else label)
    name_samples(others[-1], _SIGNS)
    return figure


def _curves(shown: FloatArray, maps: dict[str, FloatArray], title: str) -> "Figure":
    figure = new_figure(9, 1.7 * (1 + len(maps)) + 0.5, title)
    first, *others = figure.subplots(1 + len(maps), 1, sharex=True)
    _input_curve(first, shown)
    for axes, (label, values) in zip(others, maps.items(), strict=True):
        _attribution_curve(axes, values, label)
    name_samples(others[-1], _SIGNS if len(maps) > 1 else "")
    return figure


def _input_curve(axes: "Axes", shown: FloatArray) -> None:
    if shown.shape[1] >= LONG_SIGNAL:
        show_spectrogram(axes, shown)
        axes.set_title(f"the input: how strong each frequency is, {count_frequencies(axes)}", fontsize=9, loc="left")
        return
    for number, channel in enumerate(shown):
        axes.plot(channel, color=tint(number - 1) if number else colour("ink"), linewidth=0.7)
    axes.set_title("the input" + (f", {len(shown)} channels" if len(shown) > 1 else ""), fontsize=9, loc="left")
    axes.set_xlim(0, max(1, shown.shape[1] - 1))


def _attribution_curve(axes: "Axes", values: FloatArray, label: str) -> None:
    """Positive values in one colour and negative ones in another, with the zero line."""
    places = np.arange(len(values))
    axes.fill_between(places, np.maximum(values, 0), color=tint(0), linewidth=0.4)
    axes.fill_between(places, np.minimum(values, 0), color=tint(1), linewidth=0.4)
    axes.axhline(0, color=colour("soft"), linewidth=0.6)
    axes.set_title(label, fontsize=9, loc="left")


def _below(found: Explanation) -> str:
    """The notes on a map, in lines as narrow as its panel."""
    lines = found.noted.splitlines() + (["over the image: only what is for"] if found.only_for else [])
    return "\n".join(fill(line, 27) for line in lines)


def _show_chances(axes: "Axes", likeliest: Sequence[tuple[str, float]]) -> None:
    """Classes as bars with their percentages, the most probable on top; nothing if there are none."""
    if not likeliest:
        axes.set_axis_off()
        return
    axes.barh(
        np.arange(len(likeliest)), [chance for _, chance in likeliest], color=colour("faint"), edgecolor=colour("soft")
    )
    for place, (name, chance) in enumerate(likeliest):
        told = f"{shortened(name, 12)}: {in_percent(chance)}"
        axes.text(0.03, place, told, va="center", fontsize=8, color=colour("ink"))
    bare(axes)
    axes.set_xlim(0, 1)
    axes.set_box_aspect(1)
    axes.set_xlabel("probability", fontsize=8)


def _say(above: "Axes", below: "Axes", label: str, sentence: str) -> None:
    """A sentence in place of a map."""
    for axes in (above, below):
        bare(axes)
        axes.set_box_aspect(1)
    above.set_title(label, fontsize=9)
    above.text(0.5, 0.5, fill(sentence, 20), ha="center", va="center", fontsize=8, transform=above.transAxes)


def in_percent(chance: float) -> str:
    """A probability in readable form."""
    return f"{100 * chance:.1f} %" if chance >= 0.0005 else "below 0.1 %"

"""Figures of normalisations: blocks of values that share statistics, and histograms before and after."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.explain.draw.style import colour, drawn, new_figure, tint
from foveate.explain.measure.normalization import (
    COMPARED,
    NormalizationEffect,
    checked_normalization,
    letters_of,
    normalized_cells,
    statistics_shape,
)
from foveate.layers import GroupNorm, Layer, LayerNorm, LocalResponseNorm, RMSNorm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEFORE, _AFTER = 1, 0
"""Colours by their numbers."""

_MOST_STAIRS = 120
"""Bins of a histogram in a figure."""


@drawn
def plot_normalization_cubes(layers: Sequence[Layer] = COMPARED, shape: Sequence[int] = (5, 6, 3, 2)) -> "Figure":
    """Batches as blocks of values, one block for each layer, with one group of values that share statistics in blue.

    Args:
        layers: normalisations.
        shape: the shape of the batch drawn, (N, C, *spatial); all positions lie along one edge.

    Raises:
        LayerError, ShapeError: as in `normalized_cells`.

    Wu, He: Group normalization, 2018, figure 2.
    """
    sizes = tuple(shape)
    blocks = [normalized_cells(layer, sizes).reshape(*sizes[:2], -1) for layer in layers]
    figure = new_figure(max(6.0, 2.75 * len(blocks)), 4.25, "Which values share one mean and variance (blue)")
    panels = figure.subplots(1, len(blocks), squeeze=False)[0]
    for axes, layer, cells in zip(panels, layers, blocks, strict=True):
        _draw_block(axes, cells, ", ".join(letters_of(sizes)[2:]))
        axes.set_title(layer.describe())
        words = _statistics_text(layer, sizes)
        axes.text(0.5, -0.02, words, transform=axes.transAxes, ha="center", va="top", parse_math=True)
    figure.supxlabel(
        "N: samples of the batch, C: channels, the others: positions. Batch normalisation: in training",
        fontsize=9,
        color=colour("soft"),
    )
    return figure


@drawn
def draw_normalization_effects(
    effects: Sequence[NormalizationEffect], described: Sequence[str], title: str
) -> "Figure":
    """A row for each effect, its layer as `described`: histograms before and after, and each channel's moments."""
    figure = new_figure(9.5, 1.2 + 1.75 * len(effects), title)
    rows = figure.subplots(len(effects), 2, squeeze=False, width_ratios=(1.5, 1))
    for (left, right), effect, words in zip(rows, effects, described, strict=True):
        _draw_histograms(left, effect, words)
        _draw_channels(right, effect)
    rows[-1][0].set_xlabel("activation (no unit), without the outermost 1 % on each side")
    rows[-1][1].set_xlabel("mean of a channel")
    figure.legend(*rows[0][1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _statistics_text(layer: Layer, shape: tuple[int, ...]) -> str:
    axes = checked_normalization(layer, shape).normalized_axes(len(shape) - 2)
    lines = [f"over {', '.join(axes)}"]
    if isinstance(layer, LocalResponseNorm):
        return f"{lines[0]}\nno mean, no variance:\na sum of squares"
    groups = f", G = {layer.groups}" if isinstance(layer, GroupNorm) else ""
    lines.append(rf"$\mu, \sigma^2$: {' x '.join(statistics_shape(layer, shape))}{groups}")
    affine = axes if isinstance(layer, LayerNorm | RMSNorm) else ("C",)
    has_affine = bool(layer.parameters([shape[1:]]))
    lines.append(rf"$\gamma, \beta$: {' x '.join(affine)}" if has_affine else r"no $\gamma$, $\beta$ unless asked for")
    return "\n".join(lines)


def _draw_block(axes: "Axes", cells: NDArray[np.bool_], positions: str) -> None:
    """A block of cells (N, C, positions) seen from its upper left: N goes back, C to the right, positions down."""
    from matplotlib.collections import PolyCollection

    samples, channels, depth = cells.shape
    corners = {  # the four corners of a cell on the front, left and top face, as steps from its index
        "front": ((0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1)),
        "left": ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),
        "top": ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)),
    }
    faces = {"front": cells[:1], "left": cells[:, :1], "top": cells[:, :, :1]}
    for side, opacity in (("front", 0.95), ("left", 0.7), ("top", 0.8)):
        indices = np.argwhere(np.ones_like(faces[side]))
        polygons = [[_project(*(index + step)) for step in np.array(corners[side])] for index in indices]
        shared = [bool(faces[side][tuple(index)]) for index in indices]
        fills = [(tint(0), opacity) if blue else (colour("faint"), opacity * 0.6) for blue in shared]
        axes.add_collection(PolyCollection(polygons, facecolors=fills, edgecolors=colour("soft"), linewidths=0.6))
    x, y = _project(samples / 2, 0, depth)
    axes.text(x - 0.35, y - 0.35, "N", ha="right", va="top")
    axes.text(*_project(0, channels / 2, depth + 0.3), "C", ha="center", va="top")
    x, y = _project(samples, 0, depth / 2)
    axes.text(x - 0.3, y, positions, ha="right", va="center", rotation=90)
    far = _project(samples, 0, 0)
    axes.set(xlim=(far[0] - 1.2, channels + 0.3), ylim=(-depth - 1.2, far[1] + 0.3), aspect="equal")
    axes.axis("off")


def _project(sample: float, channel: float, position: float) -> tuple[float, float]:
    """The position of a corner on the paper, in an oblique projection."""
    return channel - 0.5 * sample, 0.4 * sample - position


def _draw_histograms(axes: "Axes", effect: NormalizationEffect, words: str) -> None:
    described = []
    low, high = _middle(effect)
    merged = max(1, round((high - low) / (effect.edges[1] - effect.edges[0]) / _MOST_STAIRS))
    for name, part, number in (("before", effect.before, _BEFORE), ("after", effect.after, _AFTER)):
        counts = np.add.reduceat(part.counts, np.arange(0, len(part.counts), merged))
        edges = np.append(effect.edges[:-1:merged], effect.edges[-1])
        heights = counts / counts.max()
        axes.stairs(heights, edges, fill=True, color=tint(number), alpha=0.3)
        axes.stairs(heights, edges, color=tint(number), linewidth=1.5, linestyle="--" if name == "before" else "-")
        described.append("{:.2g} ± {:.2g}".format(*part.overall).replace("-", "\N{MINUS SIGN}"))
    axes.set_title(f"{effect.layer} ({words}): {described[0]} becomes {described[1]}", fontsize=9)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share of values\n(peak = 1)", fontsize=9)


def _middle(effect: NormalizationEffect) -> tuple[float, float]:
    """The range of values without the outermost hundredth on each side, before or after."""
    ends = []
    for counts in (effect.before.counts, effect.after.counts):
        share = np.cumsum(counts) / counts.sum()
        ends += [int(np.searchsorted(share, 0.01)), int(np.searchsorted(share, 0.99)) + 1]
    return float(effect.edges[min(ends)]), float(effect.edges[max(ends)])


def _draw_channels(axes: "Axes", effect: NormalizationEffect) -> None:
    for name, part, number, marker in (("before", effect.before, _BEFORE, "s"), ("after", effect.after, _AFTER, "o")):
        axes.scatter(
            part.mean, part.std, s=12, c=tint(number), marker=marker, alpha=0.7, linewidths=0, label=f"{name} the layer"
        )
    alone = "normalised, before \N{GREEK SMALL LETTER GAMMA} and \N{GREEK SMALL LETTER BETA}: mean 0, deviation 1"
    axes.plot(0, 1, "+", color=colour("ink"), markersize=11, label=alone)
    axes.locator_params(nbins=5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("standard deviation\nof a channel", fontsize=9)
    axes.set_title(f"the {len(effect.before.mean)} channels of {effect.layer}", fontsize=9)

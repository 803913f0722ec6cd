"""Normalisations compared: which values share one mean and variance, and what a layer does to what passes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.errors import GraphError, LayerError, ShapeError
from foveate.explain.draw.style import OKABE_ITO, colour, drawn, new_figure
from foveate.explain.probe.probe import Images, fitting_batch, in_passes, prepare
from foveate.geometry import format_sizes
from foveate.graph import Node, nearest
from foveate.layers import BatchNorm2d, GroupNorm, InstanceNorm2d, Layer, LayerNorm, LocalResponseNorm
from foveate.layers.base import SPATIAL_LETTERS, axis_letters
from foveate.layers.normalization import Normalization
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPARED = (BatchNorm2d(), LayerNorm(), InstanceNorm2d(), GroupNorm(2))
"""The lecture's four."""

_BEFORE, _AFTER = OKABE_ITO[1], OKABE_ITO[0]

_MOST_STAIRS = 120
"""Bins of a histogram in a picture."""


def normalized_cells(layer: Layer, shape: Sequence[int], cell: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """The values that share a mean and variance with one of them, in training.

    Args:
        layer: a normalisation. For LocalResponseNorm, which takes no mean, the values in its sum of squares.
        shape: of a batch, (N, C, *spatial).
        cell: the index of the one value; the first unless given.

    Returns:
        booleans of `shape`, true where a value enters the mean and variance that `cell` is normalised by.

    Raises:
        LayerError: the layer is no normalisation.
        ShapeError: the batch does not fit the layer, or has no such cell.

    Wu, He: Group normalization, 2018, figure 2.

    >>> normalized_cells(BatchNorm2d(), (4, 3, 2, 2))[:, :, 0, 0].astype(int).tolist()
    [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    """
    sizes = tuple(shape)
    normalization = _checked(layer, sizes)
    place = (0,) * len(sizes) if cell is None else tuple(cell)
    inside = len(place) == len(sizes) and all(0 <= index < size for index, size in zip(place, sizes, strict=True))
    if not inside:
        raise ShapeError(f"there is no cell {place} in a batch of {format_sizes(sizes)}; indices count from 0")
    axes = normalization.normalized_axes(len(sizes) - 2)
    window = [
        slice(None) if letter in axes else slice(index, index + 1)
        for letter, index in zip(_letters(sizes), place, strict=True)
    ]
    if isinstance(normalization, GroupNorm | LocalResponseNorm):
        window[1] = _channels(normalization, place[1], sizes[1])
    cells = np.zeros(sizes, np.bool_)
    cells[tuple(window)] = True
    return cells


def statistics_shape(layer: Layer, shape: Sequence[int]) -> tuple[str, ...]:
    """The shape of the means and of the variances that a batch (N, C, *spatial) is normalised by, in letters.

    >>> statistics_shape(GroupNorm(2), (5, 6, 3, 2))
    ('N', 'G', '1', '1')
    """
    sizes = tuple(shape)
    axes = _checked(layer, sizes).normalized_axes(len(sizes) - 2)
    shared = {"C": "G"} if isinstance(layer, GroupNorm) else {}
    return tuple("1" if letter in axes else shared.get(letter, letter) for letter in _letters(sizes))


@drawn
def plot_normalization_cubes(layers: Sequence[Layer] = COMPARED, shape: Sequence[int] = (5, 6, 3, 2)) -> "Figure":
    """Batches as blocks of values, one block for each layer, with one group of values that share statistics in blue.

    Args:
        layers: normalisations.
        shape: of the batch that is drawn, (N, C, *spatial); all positions lie along one edge.

    Raises:
        LayerError, ShapeError: as in `normalized_cells`.

    Wu, He: Group normalization, 2018, figure 2.
    """
    sizes = tuple(shape)
    blocks = [normalized_cells(layer, sizes).reshape(*sizes[:2], -1) for layer in layers]
    figure = new_figure(max(6.0, 2.75 * len(blocks)), 4.25, "Which values share one mean and variance (blue)")
    panels = figure.subplots(1, len(blocks), squeeze=False)[0]
    for axes, layer, cells in zip(panels, layers, blocks, strict=True):
        _draw_block(axes, cells, ", ".join(_letters(sizes)[2:]))
        axes.set_title(layer.describe())
        axes.text(0.5, -0.02, _statistics_text(layer, sizes), transform=axes.transAxes, ha="center", va="top")
    figure.supxlabel(
        "N: samples of the batch, C: channels, the others: positions. Batch normalisation: in training",
        fontsize=9,
        color=colour("soft"),
    )
    return figure


@dataclass(frozen=True, eq=False)
class Distribution:
    """How the values that a layer takes, or gives, are spread.

    `counts` are values in each bin; `mean` and `std` have one number for each channel.
    """

    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @property
    def overall(self) -> tuple[float, float]:
        """Mean and standard deviation of all values."""
        mean = float(self.mean.mean())
        return mean, float(np.sqrt((self.std**2 + self.mean**2).mean() - mean**2))


@dataclass(frozen=True, eq=False)
class NormalizationEffect:
    """What one normalisation does, in inference: `before` and `after` it, over the same bins with the borders `edges`.

    The layer's own scale gamma and shift beta are part of it. Batch normalisation uses its running statistics, so that
    it changes nothing before training.
    """

    layer: str
    edges: NDArray[np.float64]
    before: Distribution
    after: Distribution


def normalization_effect(
    model: Model, images: Images, layers: Sequence[str] | None = None, *, bins: int = 1000
) -> tuple[NormalizationEffect, ...]:
    """Distributions of activations before and after each normalisation, over all images and positions.

    The network runs twice on each batch of images, first for the ranges and means; only counts and sums are held.

    Args:
        model: runs as in inference.
        images: what `Model.predict` takes, the more the better.
        layers: names of normalisations; all unless given.
        bins: of each histogram.

    Raises:
        GraphError: the network has no normalisation, or a layer is none.
    """
    nodes = _normalizations(model, layers)
    prepared = prepare(model, images)
    sides = [(node.name, name) for node in nodes for name in (node.inputs[0], node.name)]
    keep = tuple(dict.fromkeys(name for _, name in sides))
    moments = _moments(model, prepared, keep)
    edges = {node.name: _edges(moments[node.inputs[0]], moments[node.name], bins) for node in nodes}
    counts = {side: np.zeros(bins, np.int64) for side in sides}
    squares = {name: np.zeros(model.graph.shapes[name][0]) for name in keep}
    for _, probe in in_passes(model, prepared, keep, fitting_batch(model.graph, keep)):
        values = {name: _by_channel(probe.activation(name)) for name in keep}
        for name in keep:
            squares[name] += ((values[name] - moments[name].mean[:, None]) ** 2).sum(axis=1)
        for node_name, name in sides:
            counts[node_name, name] += np.histogram(values[name], edges[node_name])[0]
    parts = {
        side: Distribution(counts[side], moments[side[1]].mean, np.sqrt(squares[side[1]] / moments[side[1]].count))
        for side in sides
    }
    return tuple(
        NormalizationEffect(name, edges[name], parts[name, node.inputs[0]], parts[name, name])
        for name, node in ((node.name, node) for node in nodes)
    )


@drawn
def plot_normalization_effect(
    model: Model, images: Images, layers: Sequence[str] | None = None, *, most: int = 6
) -> "Figure":
    """A row for each normalisation: all values before and after it, and the mean and spread of each channel.

    Args:
        model: runs as in inference.
        images: what `Model.predict` takes, the more the better.
        layers: names of normalisations; unless given all, or `most` of them in even steps.
        most: rows that are drawn unless layers are named.

    Raises:
        GraphError: the network has no normalisation, or a layer is none.
    """
    nodes = _normalizations(model, layers)
    chosen = nodes
    if layers is None and len(nodes) > most:
        chosen = tuple(nodes[place] for place in np.linspace(0, len(nodes) - 1, most).round().astype(int))
    effects = normalization_effect(model, images, [node.name for node in chosen])
    title = "What normalisation does to activations"
    if len(chosen) < len(nodes):
        title += f": {len(chosen)} of {len(nodes)} layers" + (", in even steps" if layers is None else "")
    figure = new_figure(9.5, 1.2 + 1.75 * len(effects), title)
    rows = figure.subplots(len(effects), 2, squeeze=False, width_ratios=(1.5, 1))
    for (left, right), effect, node in zip(rows, effects, chosen, strict=True):
        _draw_histograms(left, effect, node)
        _draw_channels(right, effect)
    rows[-1][0].set_xlabel("activation (no unit), without the outermost 1 % on each side")
    rows[-1][1].set_xlabel("mean of a channel")
    figure.legend(*rows[0][1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@dataclass(frozen=True, eq=False)
class _Moments:
    """Means of each channel, least and largest value, and how many values a channel had."""

    mean: NDArray[np.float64]
    low: float
    high: float
    count: int


def _checked(layer: Layer, shape: tuple[int, ...]) -> Normalization:
    if not isinstance(layer, Normalization):
        raise LayerError(
            f"{layer.describe()} is no normalisation; take BatchNorm2d(), LayerNorm(), InstanceNorm2d() or GroupNorm(2)"
        )
    if len(shape) < 2 or len(shape) - 2 not in (0, *SPATIAL_LETTERS) or min(shape) < 1:
        raise ShapeError(f"a batch is N x C and up to 3 spatial axes, each at least 1, not {format_sizes(shape)}")
    try:
        layer.output_shape([shape[1:]])
    except ShapeError as error:
        raise ShapeError(f"{layer.describe()} {error}") from None
    return layer


def _letters(shape: tuple[int, ...]) -> tuple[str, ...]:
    return "N", "C", *axis_letters(len(shape) - 2)


def _channels(layer: GroupNorm | LocalResponseNorm, channel: int, count: int) -> slice:
    if isinstance(layer, GroupNorm):
        size = count // layer.groups
        return slice(channel // size * size, channel // size * size + size)
    return slice(max(0, channel - layer.size // 2), channel + (layer.size - 1) // 2 + 1)


def _statistics_text(layer: Layer, shape: tuple[int, ...]) -> str:
    axes = _checked(layer, shape).normalized_axes(len(shape) - 2)
    lines = [f"over {', '.join(axes)}"]
    if isinstance(layer, LocalResponseNorm):
        return f"{lines[0]}\nno mean, no variance:\na sum of squares"
    groups = f", G = {layer.groups}" if isinstance(layer, GroupNorm) else ""
    lines.append(rf"$\mu, \sigma^2$: {' x '.join(statistics_shape(layer, shape))}{groups}")
    affine = axes if isinstance(layer, LayerNorm) else ("C",)
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
        fills = [(OKABE_ITO[0], opacity) if blue else (colour("faint"), opacity * 0.6) for blue in shared]
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
    """Where a corner lies on the paper, in an oblique projection."""
    return channel - 0.5 * sample, 0.4 * sample - position


def _normalizations(model: Model, layers: Sequence[str] | None) -> tuple[Node, ...]:
    graph = model.graph
    found = {node.name: node for node in graph.nodes if isinstance(node.layer, Normalization)}
    if not found:
        kinds = ", ".join(dict.fromkeys(type(node.layer).__name__ for node in graph.nodes))
        raise GraphError(f"the network has no normalisation to look at; its layers are {kinds}")
    for name in layers or ():
        if name not in found:
            there = f"{graph.node(name)} is no normalisation." if name in graph.by_name else ""
            raise GraphError(f"{there or f'there is no layer {name!r}.'}{nearest(name, found)}")
    return tuple(found.values()) if layers is None else tuple(found[name] for name in dict.fromkeys(layers))


def _moments(model: Model, prepared: FloatArray, keep: Sequence[str]) -> Mapping[str, _Moments]:
    shapes = model.graph.shapes
    sums = {name: np.zeros(shapes[name][0]) for name in keep}
    lows, highs = dict.fromkeys(keep, np.inf), dict.fromkeys(keep, -np.inf)
    for _, probe in in_passes(model, prepared, keep, fitting_batch(model.graph, keep)):
        for name in keep:
            values = _by_channel(probe.activation(name))
            sums[name] += values.sum(axis=1, dtype=np.float64)
            lows[name] = min(lows[name], float(values.min()))
            highs[name] = max(highs[name], float(values.max()))
    counts = {name: len(prepared) * int(np.prod(shapes[name][1:])) for name in keep}
    return {name: _Moments(sums[name] / counts[name], lows[name], highs[name], counts[name]) for name in keep}


def _by_channel(values: FloatArray) -> FloatArray:
    """(N, C, *spatial) as (C, values of a channel)."""
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)


def _edges(before: _Moments, after: _Moments, bins: int) -> NDArray[np.float64]:
    low, high = min(before.low, after.low), max(before.high, after.high)
    return np.linspace(low, high if high > low else low + 1, bins + 1)


def _draw_histograms(axes: "Axes", effect: NormalizationEffect, node: Node) -> None:
    described = []
    low, high = _middle(effect)
    merged = max(1, round((high - low) / (effect.edges[1] - effect.edges[0]) / _MOST_STAIRS))
    for name, part, tint in (("before", effect.before, _BEFORE), ("after", effect.after, _AFTER)):
        counts = np.add.reduceat(part.counts, np.arange(0, len(part.counts), merged))
        edges = np.append(effect.edges[:-1:merged], effect.edges[-1])
        heights = counts / counts.max()
        axes.stairs(heights, edges, fill=True, color=tint, alpha=0.3)
        axes.stairs(heights, edges, color=tint, linewidth=1.5, linestyle="--" if name == "before" else "-")
        described.append("{:.2g} ± {:.2g}".format(*part.overall).replace("-", "\N{MINUS SIGN}"))
    axes.set_title(f"{node.name} ({node.layer.describe()}): {described[0]} becomes {described[1]}", fontsize=9)
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
    for name, part, tint, marker in (("before", effect.before, _BEFORE, "s"), ("after", effect.after, _AFTER, "o")):
        axes.scatter(
            part.mean, part.std, s=12, c=tint, marker=marker, alpha=0.7, linewidths=0, label=f"{name} the layer"
        )
    alone = r"normalised, before $\gamma$ and $\beta$: mean 0, deviation 1"
    axes.plot(0, 1, "+", color=colour("ink"), markersize=11, label=alone)
    axes.locator_params(nbins=5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("its standard\ndeviation", fontsize=9)
    axes.set_title(f"its {len(effect.before.mean)} channels", fontsize=9)

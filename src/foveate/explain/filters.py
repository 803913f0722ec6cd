"""Filters: the kernels that a convolution has learnt, in a telling order, and what those over one axis let through."""

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.explain.probe import convolution
from foveate.explain.style import DIVERGING, OKABE_ITO, colour, colour_bar, drawn
from foveate.explain.tiles import GAP, Grid, frame, grid_of, note, place, show_tile, show_tiles, titled
from foveate.graph import Node
from foveate.layers.transposed import TransposedConvolution
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Order: TypeAlias = Literal["norm", "similarity", "index"]
"""Largest norm first; similar ones next to each other; or as the network has them."""

_WORDS = {
    "norm": "largest norm first",
    "similarity": "similar ones next to each other",
    "index": "in the network's order",
}
_MOST_TILES, _MOST_ROWS, _MOST_CURVES = 64, 24, 16
_FEW_CHANNELS = 4
"""So many kernels can be told apart as curves in one picture."""


@dataclass(frozen=True)
class Filters:
    """The filters of a convolution: `kernels` (O, I/groups, *kernel), `indices` (O,) the output channel of each."""

    kernels: FloatArray
    indices: NDArray[np.int64]


def filters(model: Model, layer: str, *, order: Order = "norm") -> Filters:
    """Copies of the kernels of the convolution `layer`, one for each output channel.

    A transposed convolution gives its kernels in the same layout: for an output channel what each input of its group
    paints into it.

    Args:
        model: whose filters.
        layer: name of a convolution.
        order: "norm" (Euclidean, largest first), "similarity" (a chain from the largest, each time to the one left
            with the largest cosine similarity), or "index".

    Raises:
        GraphError: there is no such layer, or it is no convolution.
        DataError: there is no such order.
    """
    if order not in get_args(Order):
        raise DataError(f'there is no order "{order}"; choose {", ".join(map(repr, get_args(Order)))}')
    node = _filtering(model, layer)
    kernels = model.read(f"{node.parameters}.weight")
    if isinstance(node.layer, TransposedConvolution):
        kernels = _from_transposed(kernels, node.layer.groups)
    flat = kernels.reshape(len(kernels), -1).astype(np.float64)
    if order == "index":
        indices = np.arange(len(flat))
    elif order == "norm":
        indices = np.argsort(-np.linalg.norm(flat, axis=1), kind="stable")
    else:
        indices = _chain(flat)
    return Filters(kernels[indices], indices)


def frequency_response(
    kernels: ArrayLike, *, dilation: int = 1, points: int = 257
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The gain of 1-D kernels at `points` frequencies from 0 to 1/2 cycle per sample.

        |H(f)| = |sum over t of w[t] exp(-2 pi i f D t)|

    Args:
        kernels: (..., taps).
        dilation: D, the distance of neighbouring taps.
        points: number of frequencies.

    Returns:
        frequencies (points,) in cycles per sample, and gains (..., points): how many times larger a wave comes out.

    >>> frequency_response([0.5, 0.5], points=3)[1].round(3).tolist()
    [1.0, 0.707, 0.0]
    """
    weights = np.asarray(kernels, np.float64)
    frequencies = np.linspace(0, 0.5, points)
    waves = np.exp(-2j * np.pi * dilation * np.outer(np.arange(weights.shape[-1]), frequencies))
    return frequencies, np.abs(weights @ waves)


@drawn
def plot_filters(
    model: Model, layer: str, *, order: Order = "norm", most: int | None = None, sample_rate: float | None = None
) -> "Figure":
    """Draw the filters of the convolution `layer`; arguments as for `filters`, and

    Args:
        model: whose filters.
        layer: name of a convolution.
        order: of the filters.
        most: filters to draw; unless given 64, or 24 where a filter has several channels, or 16 over one axis.
        sample_rate: of the network's input in Hz, for the frequencies of filters over one axis.

    Returns:
        for an RGB image's own filters tiles in colour; for others every channel in the colours of its sign, volumes
        slice by slice; for filters over one axis curves, with the frequencies that they let through.

    Raises:
        GraphError: there is no such layer, or it is no convolution.
        DataError: there is no such order, `most` is below 1, or the sample rate makes no sense.
    """
    node = _filtering(model, layer)
    if most is not None and most < 1:
        raise DataError(f"most is {most}; draw at least 1 filter")
    found = filters(model, layer, order=order)
    axes = found.kernels.ndim - 2
    rate = None if sample_rate is None else _rate_at(model, node, sample_rate)
    if axes == 1:
        return _plot_curves(node, found, order, most or _MOST_CURVES, rate)
    if axes == 2 and found.kernels.shape[1] == 3 == node.input_shapes[0][0] and node.inputs[0] in model.graph.inputs:
        return _plot_colours(node, found, order, most or _MOST_TILES)
    if found.kernels.shape[1] == 1:
        return _plot_single(node, found, order, most or _MOST_TILES)
    return _plot_channels(node, found, order, most or _MOST_ROWS)


def _filtering(model: Model, layer: str) -> Node:
    """The convolution or transposed convolution called `layer`."""
    node = model.graph.by_name.get(layer)
    return node if node and isinstance(node.layer, TransposedConvolution) else convolution(model, layer)


def _from_transposed(weight: FloatArray, groups: int) -> FloatArray:
    """(C, O/groups, *kernel) as (O, C/groups, *kernel)."""
    channels, share, *kernel = weight.shape
    grouped = weight.reshape(groups, channels // groups, share, *kernel)
    return grouped.swapaxes(1, 2).reshape(groups * share, channels // groups, *kernel)


def _chain(flat: NDArray[np.float64]) -> NDArray[np.int64]:
    """A walk over all rows from the one of largest norm, each time to the unvisited one most like the last."""
    norms = np.linalg.norm(flat, axis=1)
    unit = flat / np.where(norms, norms, 1)[:, None]
    walk = [int(norms.argmax())]
    left = np.ones(len(flat), bool)
    for _ in range(len(flat) - 1):
        left[walk[-1]] = False
        walk.append(int(np.where(left, unit @ unit[walk[-1]], -np.inf).argmax()))
    return np.array(walk, np.int64)


def _rate_at(model: Model, node: Node, sample_rate: float) -> float:
    """Samples a second where the kernels of `node` lie: at its input, after the strides before it."""
    if len(node.output_shape) != 2:
        raise DataError(f"sample_rate is for filters over one axis, but {node} has {len(node.output_shape) - 1}")
    if not (isfinite(sample_rate) and sample_rate > 0):
        raise DataError(f"sample_rate is {sample_rate}; give samples per second, for example 8000")
    slid_over = node.name if isinstance(node.layer, TransposedConvolution) else node.inputs[0]
    field = model.graph.receptive_fields()[slid_over]
    jumps = {each.jump for each in field.fields[0]}
    if len(jumps) != 1 or 0 in jumps:
        raise DataError(f"{node} has no single sample rate: {field}; leave sample_rate out")
    return sample_rate / float(jumps.pop())


def _title(node: Node, found: Filters, order: Order, shown: int) -> str:
    count = f"{shown} of its {len(found.kernels)}" if shown < len(found.kernels) else f"its {len(found.kernels)}"
    return f"{node}: {count} filter{'' if len(found.kernels) == 1 else 's'}, {_WORDS[order]}"


def _flat(kernel: FloatArray) -> FloatArray:
    """(h, w) as it is; the slices of (D, h, w) from left to right, a quarter of a weight apart."""
    if kernel.ndim == 2:
        return kernel
    kernel = kernel.repeat(4, axis=1).repeat(4, axis=2)
    depth, height, width = kernel.shape
    apart = np.full((depth, height, width + 1), np.nan, kernel.dtype)
    apart[..., :width] = kernel
    return apart.swapaxes(0, 1).reshape(height, -1)[:, :-1]


def _slices(kernels: FloatArray) -> str:
    """A sentence on how volumes are drawn."""
    return "" if kernels.ndim < 5 else f" Each is {kernels.shape[2]} slices over depth, the first on the left."


def _signed(kernels: FloatArray) -> dict[str, Any]:
    largest = float(np.abs(kernels).max()) or 1.0
    return {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}


def _tile_figure(title: str, count: int, shape: tuple[int, int]) -> tuple["Figure", "Axes", Grid]:
    """A figure for so many numbered tiles of one shape, its axes, and where the tiles go."""
    grid = grid_of(count, shape, inches=7.6)
    figure = titled(9, 1.1 + grid.height, title)
    return figure, figure.subplots(), grid


def _plot_colours(node: Node, found: Filters, order: Order, most: int) -> "Figure":
    """Filters over red, green and blue as small images."""
    kernels = found.kernels[:most]
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    images = (0.5 + kernels / (2 * np.where(largest, largest, 1))).transpose(0, 2, 3, 1)
    figure, axes, grid = _tile_figure(_title(node, found, order, len(kernels)), len(kernels), images.shape[1:3])
    show_tiles(axes, list(images), [str(index) for index in found.indices[:most]], grid)
    note(
        figure,
        "Each filter's weights for red, green and blue as one image, on a scale of its own: mid-grey is a weight of "
        "zero, brighter positive, darker negative. The number is the output channel.",
    )
    return figure


def _plot_single(node: Node, found: Filters, order: Order, most: int) -> "Figure":
    """Filters over a single channel as tiles."""
    kernels = found.kernels[:most, 0]
    pictures = [_flat(kernel) for kernel in kernels]
    shape = (pictures[0].shape[0], pictures[0].shape[1])
    figure, axes, grid = _tile_figure(_title(node, found, order, len(kernels)), len(kernels), shape)
    labels = [str(index) for index in found.indices[:most]]
    image, _ = show_tiles(axes, pictures, labels, grid, **_signed(kernels))
    colour_bar(figure, image, axes, "weight")
    note(figure, f"The number is the filter's output channel; all share one scale.{_slices(found.kernels)}")
    return figure


def _plot_channels(node: Node, found: Filters, order: Order, most: int) -> "Figure":
    """A row for each filter, a column for each of its input channels."""
    size = _flat(found.kernels[0, 0]).shape
    shape = (size[0], size[1])
    columns = min(found.kernels.shape[1], max(4, round(_MOST_ROWS * shape[0] / shape[1])))
    kernels = found.kernels[:most, :columns]
    across, down = columns * (shape[1] / max(shape) + GAP), len(kernels) * (shape[0] / max(shape) + GAP)
    side = min(0.9 * max(shape) / shape[0], 7.2 / across, 9.0 / down)
    height = 1.7 + side * down
    figure = titled(max(6.0, side * across + 1.8), max(3.0, height), _title(node, found, order, len(kernels)))
    axes = figure.subplots()
    tiles = [[place(shape, row, column) for column in range(columns)] for row in range(len(kernels))]
    for row, column in np.ndindex(len(kernels), columns):
        image = show_tile(axes, _flat(kernels[row, column]), tiles[row][column], **_signed(kernels))
    frame(axes, [tile for row in tiles for tile in row])
    axes.set_yticks([row[0].top + row[0].height / 2 for row in tiles], [str(i) for i in found.indices[: len(kernels)]])
    axes.set_xticks([tile.left + tile.width / 2 for tile in tiles[0]], [str(column) for column in range(columns)])
    axes.tick_params(length=0, labelsize=8)
    axes.set_ylabel("filter (output channel)")
    axes.set_xlabel(_columns_label(node, found, columns))
    colour_bar(figure, image, axes, "weight")
    note(figure, f"A filter sums what it finds in all its input channels.{_slices(found.kernels)}")
    return figure


def _columns_label(node: Node, found: Filters, columns: int) -> str:
    """What the columns are, and how many more there are."""
    total = found.kernels.shape[1]
    where = "input channel" if getattr(node.layer, "groups", 1) == 1 else "input channel within the filter's group"
    return where if columns == total else f"{where} (the first {columns} of {total})"


def _plot_curves(node: Node, found: Filters, order: Order, most: int, rate: float | None) -> "Figure":
    """Two columns of pairs: a filter over its taps, and what it lets through."""
    kernels = found.kernels[:most]
    rows = -(-len(kernels) // 2)
    title = _title(node, found, order, len(kernels))
    figure = titled(11, 1.6 + 1.05 * rows, title)
    across = 4 if len(kernels) > 1 else 2
    grid = figure.subplots(rows, across, squeeze=False, sharex="col", width_ratios=[1, 1.4] * (across // 2))
    dilation = int(getattr(node.layer, "dilation", (1,))[0])
    frequencies, gains = frequency_response(kernels, dilation=dilation)
    together = np.sqrt((gains**2).sum(axis=1))
    taps = np.arange(kernels.shape[2]) * dilation
    for number, kernel in enumerate(kernels):
        row, side = divmod(number, 2)
        left, right = grid[row, 2 * side], grid[row, 2 * side + 1]
        _draw_kernel(left, taps, kernel, float(np.abs(kernels).max()) or 1.0)
        left.set_ylabel(str(found.indices[number]), rotation=0, ha="right", va="center")
        right.plot(frequencies * (rate or 1), together[number], color=OKABE_ITO[1])
        right.set_ylim(0, float(together.max()) * 1.05 or 1.0)
        right.set_xlim(0, (rate or 1) / 2)
        right.grid(visible=True)
    if kernels.shape[1] > _FEW_CHANNELS:
        colour_bar(figure, grid[0, 0].images[0], grid.ravel().tolist(), "weight")
    _label_curves(figure, grid, len(kernels), kernels.shape[1], rate)
    return figure


def _draw_kernel(axes: "Axes", taps: NDArray[np.int64], kernel: FloatArray, limit: float) -> None:
    """One kernel or a few as curves, many as a picture channels x taps."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(kernel) > _FEW_CHANNELS:
        step = taps[1] / 2 if len(taps) > 1 else 0.5
        extent = (taps[0] - step, taps[-1] + step, len(kernel) - 0.5, -0.5)
        axes.imshow(kernel, aspect="auto", extent=extent, interpolation="nearest", **_signed(np.array([limit])))
        axes.set_yticks([])
        return
    axes.axhline(0, color=colour("faint"), linewidth=1)
    for channel, weights in enumerate(kernel):
        axes.plot(taps, weights, marker="o", markersize=3, linewidth=1.5, color=OKABE_ITO[(0, 2, 3, 5)[channel]])
    axes.set_ylim(-1.1 * limit, 1.1 * limit)


def _label_curves(figure: "Figure", grid: NDArray[np.object_], count: int, channels: int, rate: float | None) -> None:
    """Name the axes of the pairs at the top and the bottom, and say how to read them."""
    for axes in grid.flat[2 * count :]:
        axes.set_axis_off()
    for axes in grid[0, ::2]:
        axes.set_title("weights" if channels <= _FEW_CHANNELS else "weights (a row for each channel)", fontsize=9)
    for axes in grid[0, 1::2]:
        axes.set_title("gain", fontsize=9)
    for column in range(grid.shape[1]):
        bottom = grid[-1 if 2 * (grid.shape[0] - 1) + column // 2 < count else -2, column]
        bottom.tick_params(labelbottom=True)
        heard = "frequency in cycles per sample" if rate is None else "frequency in Hz"
        bottom.set_xlabel("sample" if column % 2 == 0 else heard)
    many = "" if channels == 1 else " Gain: of all channels together, the root of the summed squares."
    if channels > _FEW_CHANNELS:
        many = f" Of the {channels} channels the first is on top.{many}"
    words = "The number is the filter's output channel; all share one scale. A filter lets the frequencies through at "
    note(figure, f"{words}which its gain is large.{many}")

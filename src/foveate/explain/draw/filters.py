"""Figures of filters: tiles in colour, rows of channels, or curves with the frequencies that they pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.explain.draw.style import colour, colour_bar, diverging, drawn, tint
from foveate.explain.draw.tiles import GAP, Grid, frame, grid_of, note, place, show_tile, show_tiles, titled
from foveate.explain.measure.filters import Filters, Order, frequency_response
from foveate.graph import Node

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS = {
    "norm": "largest norm first",
    "similarity": "similar ones next to each other",
    "index": "in the network's order",
}


MOST_TILES, MOST_ROWS, MOST_CURVES = 64, 12, 16


_FEW_CHANNELS = 4
"""The most kernels that can be told apart as curves in one figure."""


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
    return "" if kernels.ndim < 5 else f" Each is shown as {kernels.shape[2]} slices over depth, the first on the left."


def _signed(kernels: FloatArray) -> dict[str, Any]:
    largest = float(np.abs(kernels).max()) or 1.0
    return {"cmap": diverging(), "vmin": -largest, "vmax": largest}


def _tile_figure(title: str, count: int, shape: tuple[int, int]) -> tuple["Figure", "Axes", Grid]:
    """A figure for this many numbered tiles of one shape, its axes, and where the tiles go."""
    grid = grid_of(count, shape, inches=7.6)
    figure = titled(9, 1.1 + grid.height, title)
    return figure, figure.subplots(), grid


@drawn
def draw_colours(node: Node, found: Filters, order: Order, most: int) -> "Figure":
    """Filters over red, green and blue as small images."""
    kernels = found.kernels[:most]
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    images = (0.5 + kernels / (2 * np.where(largest, largest, 1))).transpose(0, 2, 3, 1)
    figure, axes, grid = _tile_figure(_title(node, found, order, len(kernels)), len(kernels), images.shape[1:3])
    show_tiles(axes, list(images), [str(index) for index in found.indices[:most]], grid)
    note(
        figure,
        "Each filter's weights for red, green and blue as one image, on its own scale: mid-grey is a weight of "
        "zero, brighter positive, darker negative. The number is the output channel.",
    )
    return figure


@drawn
def draw_single(node: Node, found: Filters, order: Order, most: int) -> "Figure":
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


@drawn
def draw_channels(node: Node, found: Filters, order: Order, most: int) -> "Figure":
    """A row for each filter, a column for each of its input channels."""
    size = _flat(found.kernels[0, 0]).shape
    shape = (size[0], size[1])
    columns = min(found.kernels.shape[1], max(4, round(MOST_ROWS * shape[0] / shape[1])))
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
    note(figure, f"A filter adds up its responses to all its input channels.{_slices(found.kernels)}")
    return figure


def _columns_label(node: Node, found: Filters, columns: int) -> str:
    """What the columns are, and how many more there are."""
    total = found.kernels.shape[1]
    where = "input channel" if getattr(node.layer, "groups", 1) == 1 else "input channel within the filter's group"
    return where if columns == total else f"{where} (the first {columns} of {total})"


@drawn
def draw_curves(node: Node, found: Filters, order: Order, most: int, rate: float | None) -> "Figure":
    """Two columns of pairs: a filter over its taps, and the frequencies it passes."""
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
        right.plot(frequencies * (rate or 1), together[number], color=tint(1))
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
        axes.plot(taps, weights, marker="o", markersize=3, linewidth=1.5, color=tint((0, 2, 3, 5)[channel]))
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
    many = "" if channels == 1 else " The gain is that of all channels together, the root of the summed squares."
    if channels > _FEW_CHANNELS:
        many = f" Of the {channels} channels the first is on top.{many}"
    words = "The number is the filter's output channel; all share one scale. A filter passes the frequencies "
    note(figure, f"{words}at which its gain is large.{many}")

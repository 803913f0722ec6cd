"""Figures of activation maps, and of what their elements see of the input."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.draw.sampling import name_samples
from foveate.explain.draw.style import SEQUENTIAL, colour, colour_bar, diverging, drawn, show_image, tint
from foveate.explain.draw.tiles import GAP, Tile, frame, grid_of, middle_slice, note, show_tile, show_tiles, titled
from foveate.explain.measure.activation_maps import Focus, strongest_channels
from foveate.geometry import format_sizes
from foveate.graph import Region
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_LABEL = 0.28
"""Room above each map in a row of `plot_layers`, as a fraction of its side."""


_MARK = 1
"""The colour of marks, by its number."""


@drawn
def draw_layers(picture: FloatArray, layers: Mapping[str, FloatArray], channels: int, title: str) -> "Figure":
    """A row for the input (C, *spatial) as it looks, and one for each layer's strongest maps, with their labels."""
    names = [f"input\n{format_sizes(picture.shape)}", *layers]
    margin = 0.13 * max(len(line) for name in names for line in name.split("\n"))
    rows_high = len(names) * (1 + GAP + _LABEL)
    inches = min(0.8, 8.0 / (channels * (1 + GAP) + margin))
    across = channels * (1 + GAP) + margin
    figure = titled(max(6.0, inches * across + 1.4), inches * rows_high + 1.1, title)
    axes = figure.subplots()
    tiles = [_draw_input_cell(axes, picture)]
    for row, maps in enumerate(layers.values(), start=1):
        tiles += _draw_row(axes, maps, row, channels)
    frame(axes, tiles, ground="paper" if picture.ndim < 3 else "faint")
    for tile, name in zip((tile for tile in tiles if tile.left == 0), names, strict=True):
        axes.text(-0.12, tile.top + tile.height / 2, name, ha="right", va="center", fontsize=9)
    axes.set_xlim(-margin, channels * (1 + GAP))
    if picture.ndim > 2:
        colour_bar(figure, _signed_scale(), axes, "activation / largest of its layer")
    note(figure, f"The channels with the largest activation, largest first, each with its number.{_how(picture)}")
    return figure


def _signed_scale() -> "ScalarMappable":
    """A colour bar's scale for activations relative to a largest one."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-1, 1), diverging())


@drawn
def draw_pictures(maps: FloatArray, focus: Focus, shown: Sequence[int], title: str, shared: bool) -> "Figure":
    """The input with the frame on the left, the maps as numbered tiles on the right."""
    channel, *position = focus.element
    pictures = [middle_slice(maps[index], position[0]) for index in shown]
    largest = [float(np.abs(picture).max()) or 1.0 for picture in pictures]
    if shared:
        largest = [max(largest)] * len(largest)
    scaled = [picture / (1 if shared else limit) for picture, limit in zip(pictures, largest, strict=True)]
    signed = min(float(picture.min()) for picture in pictures) < 0
    top = largest[0] if shared else 1.0
    scale = {"cmap": diverging() if signed else SEQUENTIAL, "vmin": -top if signed else 0.0, "vmax": top}
    grid = grid_of(len(shown), (pictures[0].shape[0], pictures[0].shape[1]), inches=6.2)
    figure = titled(11, 1.1 + max(3.6, grid.height), title)
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.1])
    _draw_input(left, focus)
    image, tiles = show_tiles(right, scaled, [str(index) for index in shown], grid, **scale)
    _mark(right, *tiles[list(shown).index(channel)].point(position[-2], position[-1]))
    colour_bar(figure, image, right, "activation" if shared else "activation / largest of its map")
    depth = f" Maps at depth {position[0]}." if len(position) == 3 else ""
    note(figure, f"{focus.sentence}{depth} The number above a map is its channel.")
    return figure


@drawn
def draw_curves(maps: FloatArray, focus: Focus, shown: Sequence[int], title: str, shared: bool) -> "Figure":
    """The input with the span above, the channels as curves one below the other."""
    channel, position = focus.element
    largest = [float(np.abs(maps[index]).max()) or 1.0 for index in shown]
    apart = max(largest)
    figure = titled(10, 3.4 + 0.26 * len(shown), title)
    top, bottom = figure.subplots(2, 1, height_ratios=[1.6, 0.6 + 0.26 * len(shown)])
    _draw_input(top, focus)
    for row, (index, limit) in enumerate(zip(shown, largest, strict=True)):
        bottom.axhline(row, color=colour("faint"), linewidth=0.8)
        drawn_as = row - 0.9 * maps[index] / (apart if shared else limit)
        bottom.plot(drawn_as, color=tint(0), linewidth=1)
        if index == channel:
            _mark(bottom, position, drawn_as[position])
    bottom.set_yticks(range(len(shown)), [str(index) for index in shown], fontsize=8)
    bottom.set_ylim(len(shown) - 0.3, -1.2)
    bottom.set_xlim(0, max(1, maps.shape[1] - 1))
    bottom.set_xlabel("position in the layer's output")
    bottom.set_ylabel("channel")
    lines = f"neighbouring lines are {apart / 0.9:.3g} apart" if shared else "each channel has its own scale"
    note(figure, f"{focus.sentence} Activations: {lines}.")
    return figure


@drawn
def draw_bars(
    maps: FloatArray, focus: Focus, shown: Sequence[int], title: str, names: Sequence[str] | None = None
) -> "Figure":
    """The input on the left, or a curve above, and a bar for each channel; `names` are those of all channels."""
    beside = focus.picture.ndim > 2
    figure = titled(11, 4.2 if beside else 5.5, title)
    left, bars = figure.subplots(1, 2, width_ratios=[1, 2.1]) if beside else figure.subplots(2, 1)
    _draw_input(left, focus)
    colours = [tint(_MARK) if index == focus.element[0] else tint(0) for index in shown]
    bars.bar(range(len(shown)), maps[list(shown)], width=0.8 if len(shown) < 100 else 1.0, color=colours)
    bars.axhline(0, color=colour("soft"), linewidth=0.8)
    bars.set_ylabel("activation")
    if names is not None and len(shown) <= 32:
        bars.set_xticks(range(len(shown)), [shortened(names[index], 24) for index in shown], rotation=45, ha="right")
    else:
        bars.set_xlabel("channel")
        if len(shown) <= 32:
            bars.set_xticks(range(len(shown)), [str(index) for index in shown], fontsize=8)
        elif list(shown) != list(range(len(maps))):
            bars.set_xticks([])
            bars.set_xlabel("channels in the order given")
    note(figure, focus.sentence)
    return figure


def _draw_input(axes: "Axes", focus: Focus) -> None:
    """The input (the mean of its channels if they are not colours), with the box that the element sees."""
    picture, region = focus.picture, focus.region
    if picture.ndim < 3:
        _draw_wave(axes, picture.reshape(-1, picture.shape[-1]), region)
        return
    title = f"input {format_sizes(picture.shape)}"
    if picture.ndim == 4:
        seen = region.clipped[0] or range(picture.shape[1])
        depth = seen[len(seen) // 2]
        picture, title = picture[:, depth], f"{title}, slice {depth}"
    if len(picture) not in (1, 3):
        picture, title = picture.mean(axis=0), f"{title}, mean of its channels"
    show_image(axes, picture, title)
    _draw_box(axes, region, picture.shape[-2:])


def _draw_box(axes: "Axes", region: Region, sizes: tuple[int, ...]) -> None:
    """The box on the last two axes: solid within the image, dashed where it reaches into the padding."""
    from matplotlib.patches import Rectangle

    for box, style, width in ((region.unclipped[-2:], "--", 1.5), (region.clipped[-2:], "-", 2.5)):
        rows, columns = box
        if not (rows and columns):
            continue
        corner = (columns.start - 0.5, rows.start - 0.5)
        axes.add_patch(
            Rectangle(
                corner, len(columns), len(rows), fill=False, edgecolor=tint(_MARK), linestyle=style, linewidth=width
            )
        )
    # Room for padding, but not so much that a field far larger than the image makes the image small.
    (top, bottom), (left, right) = (
        (max(min(axis.start, 0), -0.15 * size) - 1, min(max(axis.stop, size), 1.15 * size))
        for axis, size in zip(region.unclipped[-2:], sizes, strict=True)
    )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _draw_wave(axes: "Axes", waves: FloatArray, region: Region) -> None:
    """An input over one axis as curves, with the span that the element sees."""
    for channel, wave in enumerate(waves[:4]):
        axes.plot(wave, linewidth=0.8, color=colour("ink") if len(waves) == 1 else tint(2 + channel))
    if region.clipped and region.clipped[0]:
        axes.axvspan(region.clipped[0].start - 0.5, region.clipped[0].stop - 0.5, color=tint(_MARK), alpha=0.3)
    more = f", the first 4 of {len(waves)} channels" if len(waves) > 4 else ""
    axes.set_xlim(0, max(1, waves.shape[1] - 1))
    axes.set_title(f"input {format_sizes(waves.shape)}{more}", fontsize=9)
    name_samples(axes)


def _mark(axes: "Axes", x: float, y: float) -> None:
    """A ring around an element, visible on any colour."""
    for size, edge in ((3.6, "white"), (1.6, tint(_MARK))):
        axes.plot(x, y, "o", markersize=8, fillstyle="none", markeredgecolor=edge, markeredgewidth=size)


def _draw_row(axes: "Axes", maps: FloatArray, row: int, count: int) -> list[Tile]:
    """Draw the strongest channels of one layer on a common scale, and return their tiles."""
    limit = float(np.abs(maps).max()) or 1.0
    tiles = []
    for column, channel in enumerate(strongest_channels(maps, count)):
        tile = _draw_cell(axes, maps[channel], row, column, limit)
        axes.text(tile.left, tile.top - 0.04, str(channel), fontsize=8, va="bottom")
        tiles.append(tile)
    return tiles


def _draw_cell(axes: "Axes", values: FloatArray, row: int, column: int, limit: float) -> Tile:
    """One channel (*spatial) in its place, from -limit to limit."""
    if values.ndim == 1:
        tile = _cell((1, len(values)), row, column)
        x = tile.left + (np.arange(len(values)) + 0.5) / len(values)
        axes.plot(x, tile.top + 0.5 - 0.5 * values / limit, color=tint(0), linewidth=0.8)
        return tile
    picture = middle_slice(values)
    tile = _cell((picture.shape[0], picture.shape[1]), row, column)
    show_tile(axes, picture, tile, cmap=diverging(), vmin=-limit, vmax=limit)
    return tile


def _draw_input_cell(axes: "Axes", picture: FloatArray) -> Tile:
    """The input (C, *spatial) in the first row: in its colours, or as the mean of its channels."""
    if picture.ndim < 3:
        wave = picture.reshape(-1, picture.shape[-1]).mean(axis=0)
        return _draw_cell(axes, wave, 0, 0, float(np.abs(wave).max()) or 1.0)
    if picture.ndim == 3 and len(picture) == 3:
        shown = np.clip(picture.transpose(1, 2, 0), 0, 1)
    else:
        shown = middle_slice(picture.mean(axis=0))
    tile = _cell((shown.shape[0], shown.shape[1]), 0, 0)
    show_tile(axes, shown, tile, cmap="gray", vmin=0, vmax=1)
    return tile


def _cell(shape: tuple[int, int], row: int, column: int) -> Tile:
    """The tile of a picture (height, width) among cells of one size; curves fill theirs."""
    longest = max(shape)
    height, width = (1.0, 1.0) if shape[0] == 1 else (shape[0] / longest, shape[1] / longest)
    return Tile(column * (1 + GAP), row * (1 + GAP + _LABEL) + _LABEL, width, height, shape)


def _how(picture: FloatArray) -> str:
    """A sentence on how inputs with this many axes are drawn."""
    if picture.ndim < 3:
        return " Each curve is a channel over the whole input; a layer's channels share one scale."
    return " White is zero." + (" Volumes are shown in their middle slice." if picture.ndim == 4 else "")

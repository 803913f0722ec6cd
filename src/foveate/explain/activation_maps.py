"""Activation maps: what each channel of a layer makes of one input, and what its elements see of that input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.data.preprocessing import ImageLike
from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.explain.probe import Probe, displayed, prepare_one, spatial_layer
from foveate.explain.style import (
    DIVERGING,
    OKABE_ITO,
    SEQUENTIAL,
    colour,
    colour_bar,
    drawn,
    show_image,
)
from foveate.explain.tiles import GAP, Tile, frame, grid_of, middle_slice, note, show_tile, show_tiles, titled
from foveate.explain.words import input_noun, network_name
from foveate.geometry import format_sizes
from foveate.graph import Node, Region
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Channels: TypeAlias = "Literal['strongest'] | Sequence[int] | None"
"""Channels by number, or "strongest"; None for all, or the strongest where there are too many."""

_MOST_ROWS = 10
_LABEL = 0.28
"""Room above each map in a row of `plot_layers`, in parts of its side."""
_MARK = OKABE_ITO[1]


def activation_maps(model: Model, image: ImageLike, layer: str) -> FloatArray:
    """What `layer` gives for one image: a copy (C, *spatial), or (C,) where the layer is flat.

    Exactly that layer's output, as in inference: a convolution's before the activation that follows it.

    Args:
        model: the network.
        image: one input, as `Model.predict` takes it.
        layer: name of any layer.

    Raises:
        GraphError: there is no such layer.
        DataError: there are several images, or it cannot be used.
        ShapeError: the array does not have the network's shape.
    """
    return layer_maps(model, image, [layer])[layer]


def layer_maps(model: Model, image: ImageLike, layers: Iterable[str]) -> dict[str, FloatArray]:
    """`activation_maps` of several layers in one pass, by their names."""
    return _layer_maps(model, prepare_one(model, image), layers)


def strongest_channels(maps: ArrayLike, count: int) -> NDArray[np.int64]:
    """The `count` channels of maps (C, *spatial) with the largest activation anywhere, largest first.

    >>> strongest_channels([[0, 1], [5, 0], [2, 2]], 2).tolist()
    [1, 2]
    """
    values = np.asarray(maps)
    if values.ndim < 1 or count < 1:
        raise DataError(f"asked for {count} channels of {format_sizes(values.shape) or 'a number'}; ask for at least 1")
    peaks = values.reshape(len(values), -1).max(axis=1)
    return np.argsort(-peaks, kind="stable")[:count]


@drawn
def plot_activation_maps(
    model: Model,
    image: ImageLike,
    layer: str,
    *,
    channels: Channels = None,
    element: Sequence[int] | None = None,
    most: int = 32,
    shared_scale: bool = True,
) -> "Figure":
    """Draw the maps of `layer` for one image, and on the image what one element of them sees.

    Args:
        model: the network.
        image: one input, as `Model.predict` takes it.
        layer: name of any layer; a flat one is drawn as bars.
        channels: their numbers; "strongest" for those with the largest activation anywhere, in that order; or None
            for all, the strongest where there are more than `most`.
        element: (channel, *position) of the element whose receptive field is drawn; the largest activation unless
            given.
        most: channels to draw unless they are named.
        shared_scale: whether all maps share one scale, or each has its own.

    Raises:
        GraphError: there is no such layer.
        DataError: there is no such channel or element, or the image cannot be used.
        ShapeError: the array does not have the network's shape.
    """
    node = model.graph.node(layer)
    prepared = prepare_one(model, image)
    maps = _layer_maps(model, prepared, [layer])[layer]
    asked = None if element is None else _element(node, maps, element)
    shown, words = _shown(maps, channels, most, None if asked is None else asked[0])
    index = asked or _largest(maps, shown)
    region = model.graph.region(layer, index[1:])
    focus = _Focus(displayed(model, prepared)[0], region, index, float(maps[index]))
    title = f"{node}{f', {format_sizes(maps.shape)}' if maps.ndim > 1 else ''}: {words}"
    if maps.ndim == 1:
        return _plot_bars(model, node, maps, focus, shown, title)
    if maps.ndim == 2:
        return _plot_curves(maps, focus, shown, title, shared_scale)
    return _plot_pictures(maps, focus, shown, title, shared_scale)


@drawn
def plot_layers(model: Model, image: ImageLike, *, layers: Sequence[str] | None = None, channels: int = 8) -> "Figure":
    """Walk through the network: for each layer with maps a row of its strongest channels for one image.

    Args:
        model: the network.
        image: one input, as `Model.predict` takes it.
        layers: names of layers with maps; unless given all, or where there are more than 10 those with windows.
        channels: how many of each.

    Raises:
        GraphError: a layer does not exist or has no maps, or none has.
        DataError: `channels` is below 1, or the image cannot be used.
        ShapeError: the array does not have the network's shape.
    """
    if channels < 1:
        raise DataError(f"channels is {channels}; draw at least 1 of each layer")
    nodes, words = _walk(model, layers)
    prepared = prepare_one(model, image)
    maps = _layer_maps(model, prepared, [node.name for node in nodes])
    picture = displayed(model, prepared)[0]
    names = [f"input\n{format_sizes(picture.shape)}"]
    names += [f"{node.name}\n{format_sizes(node.output_shape)}" for node in nodes]
    margin = 0.13 * max(len(line) for name in names for line in name.split("\n"))
    rows_high = (len(nodes) + 1) * (1 + GAP + _LABEL)
    inches = min(0.8, 8.0 / (channels * (1 + GAP) + margin))
    across = channels * (1 + GAP) + margin
    title = f"What {network_name(model.graph)} makes of the {input_noun(picture.ndim - 1)}: {words}"
    figure = titled(max(6.0, inches * across + 1.4), inches * rows_high + 1.1, title)
    axes = figure.subplots()
    tiles = [_draw_input_cell(axes, picture)]
    for row, node in enumerate(nodes, start=1):
        tiles += _draw_row(axes, maps[node.name], row, channels)
    frame(axes, tiles, ground="paper" if picture.ndim < 3 else "faint")
    for tile, name in zip((tile for tile in tiles if tile.left == 0), names, strict=True):
        axes.text(-0.12, tile.top + tile.height / 2, name, ha="right", va="center", fontsize=9)
    axes.set_xlim(-margin, channels * (1 + GAP))
    if picture.ndim > 2:
        colour_bar(figure, _signed_scale(), axes, "activation / largest of its layer")
    note(figure, f"The channels with the largest activation, the largest first, each with its number.{_how(picture)}")
    return figure


@dataclass(frozen=True)
class _Focus:
    """One element of the maps with its value, the input as it looks (C, *spatial), and the box of it that it sees."""

    picture: FloatArray
    region: Region
    element: tuple[int, ...]
    value: float

    @property
    def sees_all(self) -> bool:
        """Whether the box is the whole input."""
        return tuple(map(len, self.region.clipped)) == self.picture.shape[1:]

    @property
    def sentence(self) -> str:
        """Which element it is, and what it sees."""
        axes = {1: ("position",), 2: ("row", "column"), 3: ("depth", "row", "column")}.get(len(self.element) - 1, ())
        place = "".join(f", {axis} {number}" for axis, number in zip(axes, self.element[1:], strict=True))
        words = f"The marked element, channel {self.element[0]}{place}, is {self.value:.3g} and sees "
        box, sizes = format_sizes([*map(len, self.region.clipped)]), format_sizes(self.picture.shape[1:])
        if self.sees_all:
            return f"{words}the whole input."
        if not all(map(len, self.region.clipped)):
            return f"{words}nothing but padding."
        marked, dashed = ("shaded", "") if self.picture.ndim < 3 else ("framed", ", dashed")
        more = ""
        if self.region.clipped != self.region.unclipped:
            more = f" ({format_sizes([*map(len, self.region.unclipped)])} with padding{dashed})"
        return f"{words}the {marked} {box} of the input's {sizes} positions{more}."


def _layer_maps(model: Model, prepared: FloatArray, layers: Iterable[str]) -> dict[str, FloatArray]:
    names = tuple(layers)
    for name in names:
        model.graph.node(name)
    probe = Probe(model, 1, keep=names)
    probe.run(prepared)
    return {name: probe.activation(name)[0] for name in names}


def _shown(maps: FloatArray, channels: Channels, most: int, asked: int | None) -> tuple[list[int], str]:
    """The channels to draw, that of an element asked for among them, and which they are in words."""
    total = len(maps)
    if most < 1:
        raise DataError(f"most is {most}; draw at least 1 channel")
    if channels is None and (total <= most or maps.ndim == 1):
        return list(range(total)), f"all {total} channels"
    if channels is None or isinstance(channels, str):
        if channels not in (None, "strongest"):
            raise DataError(f'channels is "{channels}"; give "strongest", numbers, or None for all')
        strongest = strongest_channels(maps, most).tolist()
        if asked is None or asked in strongest:
            return strongest, f"the {len(strongest)} of {total} channels with the largest activation"
        rest = strongest[:-1]
        return [asked, *rest], f"channel {asked}, and the {len(rest)} of {total} with the largest activation"
    numbers = [int(channel) for channel in channels]
    wrong = [channel for channel in numbers if not 0 <= channel < total]
    if wrong:
        raise DataError(f"there is no channel {wrong[0]}: the {total} channels count from 0 to {total - 1}")
    if not numbers:
        raise DataError("channels is empty; give at least one number, or None for all")
    numbers = numbers if asked is None or asked in numbers else [asked, *numbers]
    return numbers, f"{len(numbers)} of {total} channels"


def _element(node: Node, maps: FloatArray, element: Sequence[int]) -> tuple[int, ...]:
    """The index of the element that was asked for."""
    index = tuple(int(number) for number in element)
    if len(index) != maps.ndim or any(not 0 <= i < size for i, size in zip(index, maps.shape, strict=True)):
        raise DataError(
            f"{node.name} has no element {index}: its maps are {format_sizes(maps.shape)}; give (channel, *position), "
            "each counted from 0"
        )
    return index


def _largest(maps: FloatArray, shown: Sequence[int]) -> tuple[int, ...]:
    """The index of the largest activation in the channels shown."""
    channel, *position = np.unravel_index(maps[list(shown)].argmax(), (len(shown), *maps.shape[1:]))
    return (shown[int(channel)], *map(int, position))


def _signed_scale() -> "ScalarMappable":
    """A colour bar's scale for activations relative to a largest one."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-1, 1), DIVERGING)


def _plot_pictures(maps: FloatArray, focus: _Focus, shown: Sequence[int], title: str, shared: bool) -> "Figure":
    """The input with the frame on the left, the maps as numbered tiles on the right."""
    channel, *position = focus.element
    pictures = [middle_slice(maps[index], position[0]) for index in shown]
    largest = [float(np.abs(picture).max()) or 1.0 for picture in pictures]
    if shared:
        largest = [max(largest)] * len(largest)
    scaled = [picture / (1 if shared else limit) for picture, limit in zip(pictures, largest, strict=True)]
    signed = min(float(picture.min()) for picture in pictures) < 0
    top = largest[0] if shared else 1.0
    scale = {"cmap": DIVERGING if signed else SEQUENTIAL, "vmin": -top if signed else 0.0, "vmax": top}
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


def _plot_curves(maps: FloatArray, focus: _Focus, shown: Sequence[int], title: str, shared: bool) -> "Figure":
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
        bottom.plot(drawn_as, color=OKABE_ITO[0], linewidth=1)
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


def _plot_bars(model: Model, node: Node, maps: FloatArray, focus: _Focus, shown: Sequence[int], title: str) -> "Figure":
    """The input on the left, or a curve above, and a bar for each channel."""
    beside = focus.picture.ndim > 2
    figure = titled(11, 4.2 if beside else 5.5, title)
    left, bars = figure.subplots(1, 2, width_ratios=[1, 2.1]) if beside else figure.subplots(2, 1)
    _draw_input(left, focus)
    colours = [_MARK if index == focus.element[0] else OKABE_ITO[0] for index in shown]
    bars.bar(range(len(shown)), maps[list(shown)], width=0.8 if len(shown) < 100 else 1.0, color=colours)
    bars.axhline(0, color=colour("soft"), linewidth=0.8)
    bars.set_ylabel("activation")
    if node.name in model.graph.outputs and model.classes is not None and len(shown) <= 32:
        bars.set_xticks(range(len(shown)), [model.classes[index] for index in shown], rotation=45, ha="right")
    else:
        bars.set_xlabel("channel")
        if len(shown) <= 32:
            bars.set_xticks(range(len(shown)), [str(index) for index in shown], fontsize=8)
        elif list(shown) != list(range(len(maps))):
            bars.set_xticks([])
            bars.set_xlabel("channels in the order given")
    note(figure, focus.sentence)
    return figure


def _draw_input(axes: "Axes", focus: _Focus) -> None:
    """The input, its channels' mean where they are no colours, with the box that the element sees."""
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
            Rectangle(corner, len(columns), len(rows), fill=False, edgecolor=_MARK, linestyle=style, linewidth=width)
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
        axes.plot(wave, linewidth=0.8, color=colour("ink") if len(waves) == 1 else OKABE_ITO[2 + channel])
    if region.clipped and region.clipped[0]:
        axes.axvspan(region.clipped[0].start - 0.5, region.clipped[0].stop - 0.5, color=_MARK, alpha=0.3)
    more = f", the first 4 of {len(waves)} channels" if len(waves) > 4 else ""
    axes.set_xlim(0, max(1, waves.shape[1] - 1))
    axes.set_title(f"input {format_sizes(waves.shape)}{more}", fontsize=9)
    axes.set_xlabel("sample")


def _mark(axes: "Axes", x: float, y: float) -> None:
    """A ring around an element that shows on any colour."""
    for size, edge in ((3.6, "white"), (1.6, _MARK)):
        axes.plot(x, y, "o", markersize=8, fillstyle="none", markeredgecolor=edge, markeredgewidth=size)


def _walk(model: Model, layers: Sequence[str] | None) -> tuple[list[Node], str]:
    """The layers to draw, and which they are in words."""
    if layers is not None:
        if not layers:
            raise DataError("layers is empty; name at least one, or give None for all")
        return [spatial_layer(model, name) for name in layers], f"{len(layers)} layer{'' if len(layers) == 1 else 's'}"
    spatial_layer(model, None)
    nodes = [node for node in model.graph.nodes if max(node.output_shape[1:], default=1) > 1]
    total = len(nodes)
    if total > _MOST_ROWS:
        nodes = [node for node in nodes if node.windows is not None] or nodes
    if len(nodes) > _MOST_ROWS:
        nodes = [nodes[i] for i in np.linspace(0, len(nodes) - 1, _MOST_ROWS).round().astype(int)]
    return nodes, f"{'all' if len(nodes) == total else f'{len(nodes)} of its'} {total} layers with maps"


def _draw_row(axes: "Axes", maps: FloatArray, row: int, count: int) -> list[Tile]:
    """The strongest channels of one layer, on a scale of their own; where they lie."""
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
        axes.plot(x, tile.top + 0.5 - 0.5 * values / limit, color=OKABE_ITO[0], linewidth=0.8)
        return tile
    picture = middle_slice(values)
    tile = _cell((picture.shape[0], picture.shape[1]), row, column)
    show_tile(axes, picture, tile, cmap=DIVERGING, vmin=-limit, vmax=limit)
    return tile


def _draw_input_cell(axes: "Axes", picture: FloatArray) -> Tile:
    """The input (C, *spatial) in the first row: in its colours, or else the mean of its channels."""
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
    """A sentence on how inputs with so many axes are drawn."""
    if picture.ndim < 3:
        return " Each curve is a channel over the whole input; a layer's channels share one scale."
    return " White is zero." + (" Volumes are shown in their middle slice." if picture.ndim == 4 else "")

"""A layer's activation maps, or a walk through all layers, in a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foveate.data.preprocessing import ImageLike
from foveate.errors import DataError
from foveate.explain.draw.activation_maps import draw_bars, draw_curves, draw_layers, draw_pictures
from foveate.explain.measure.activation_maps import Channels, Focus, element_index, largest_element, shown_channels
from foveate.explain.measure.words import input_noun, network_name
from foveate.explain.probe.activation_maps import layers_to_walk, maps_of
from foveate.explain.probe.classes import unit_names
from foveate.explain.probe.probe import displayed, prepare_one
from foveate.geometry import format_sizes
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """Draw the maps of `layer` for one image, and mark on the image what one of their elements sees.

    Args:
        model: the network.
        image: one input, as `Model.predict` takes it.
        layer: name of any layer; a flat one is drawn as bars.
        channels: their numbers; "strongest" for those with the largest activation anywhere, in that order; or None for
            all (the strongest if there are more than `most`).
        element: (channel, *position) of the element whose receptive field to draw (default: that of the largest
            activation).
        most: the most channels to draw if none are given.
        shared_scale: whether all maps share one scale, or each has its own.

    Raises:
        GraphError: there is no such layer.
        DataError: there is no such channel or element, or the image cannot be used.
        ShapeError: the array does not have the network's input shape.
    """
    node = model.graph.node(layer)
    prepared = prepare_one(model, image)
    maps = maps_of(model, prepared, [layer])[layer]
    asked = None if element is None else element_index(node, maps, element)
    shown, words = shown_channels(maps, channels, most, None if asked is None else asked[0])
    index = asked or largest_element(maps, shown)
    region = model.graph.region(layer, index[1:])
    focus = Focus(displayed(model, prepared)[0], region, index, float(maps[index]))
    title = f"{node}{f', {format_sizes(maps.shape)}' if maps.ndim > 1 else ''}: {words}"
    if maps.ndim == 1:
        names = unit_names(model, layer)
        return draw_bars(maps, focus, shown, title, names)
    if maps.ndim == 2:
        return draw_curves(maps, focus, shown, title, shared_scale)
    return draw_pictures(maps, focus, shown, title, shared_scale)


def plot_layers(model: Model, image: ImageLike, *, layers: Sequence[str] | None = None, channels: int = 8) -> "Figure":
    """Walk through the network: for each layer with maps, a row of its strongest channels for one image.

    Args:
        model: the network.
        image: one input, as `Model.predict` takes it.
        layers: names of layers with maps (default: all, or if there are more than 10, those with windows).
        channels: how many to draw from each layer.

    Raises:
        GraphError: a layer does not exist or has no maps, or none has.
        DataError: `channels` is below 1, or the image cannot be used.
        ShapeError: the array does not have the network's input shape.
    """
    if channels < 1:
        raise DataError(f"channels is {channels}; draw at least 1 from each layer")
    nodes, words = layers_to_walk(model, layers)
    prepared = prepare_one(model, image)
    maps = maps_of(model, prepared, [node.name for node in nodes])
    picture = displayed(model, prepared)[0]
    labelled = {f"{node.name}\n{format_sizes(node.output_shape)}": maps[node.name] for node in nodes}
    title = f"How {network_name(model.graph)} responds to the {input_noun(picture.ndim - 1)}: {words}"
    return draw_layers(picture, labelled, channels, title)

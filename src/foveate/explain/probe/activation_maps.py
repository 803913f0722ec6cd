"""Activation maps: how each channel of a layer responds to one input."""

from collections.abc import Iterable, Sequence

import numpy as np

from foveate.data.preprocessing import ImageLike
from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.explain.probe.probe import Probe, prepare_one, spatial_layer
from foveate.graph import Node
from foveate.model import Model

_MOST_ROWS = 10


def activation_maps(model: Model, image: ImageLike, layer: str) -> FloatArray:
    """The output of `layer` for one image: a copy, (C, *spatial), or (C,) if the layer is flat.

    This is exactly that layer's output in inference: for a convolution, before the activation that follows it.

    Args:
        model: the network.
        image: one input, as `Model.predict` takes it.
        layer: name of any layer.

    Raises:
        GraphError: there is no such layer.
        DataError: there are several images, or the image cannot be used.
        ShapeError: the array does not have the network's input shape.
    """
    return layer_maps(model, image, [layer])[layer]


def layer_maps(model: Model, image: ImageLike, layers: Iterable[str]) -> dict[str, FloatArray]:
    """`activation_maps` of several layers in one pass, by layer name."""
    return maps_of(model, prepare_one(model, image), layers)


def maps_of(model: Model, prepared: FloatArray, layers: Iterable[str]) -> dict[str, FloatArray]:
    """The maps of each layer for one prepared input (1, *input shape)."""
    names = tuple(layers)
    for name in names:
        model.graph.node(name)
    probe = Probe(model, 1, keep=names)
    probe.run(prepared)
    return {name: probe.activation(name)[0] for name in names}


def layers_to_walk(model: Model, layers: Sequence[str] | None) -> tuple[list[Node], str]:
    """The layers to draw, and a description of the choice."""
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

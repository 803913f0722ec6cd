"""A network's receptive fields on an image, in a figure."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from foveate.explain.draw.receptive_fields import distinct_fields, draw_receptive_fields, fields_title
from foveate.explain.measure.words import network_name
from foveate.explain.probe.probe import Images, displayed, prepare, spatial_layer
from foveate.explain.probe.receptive_fields import input_position, measured_field, theoretical_fields
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_receptive_fields(
    model: Model,
    images: Images,
    layers: Sequence[str] | None = None,
    position: Sequence[int] | None = None,
    *,
    effective: str | None = None,
    seed: int = 0,
) -> "Figure":
    """The boxes of the layers on the first image, and beside them the effective field of one layer.

    Args:
        model: the network.
        images: raw images; all of them count towards the effective field.
        layers: the layers whose boxes to draw (default: a selection of those with distinct boxes).
        position: in the input, one number per spatial axis (default: its middle).
        effective: the layer whose effective field is shown (default: the last whose box is smaller than the input).
        seed: for the signs of the effective field.

    Raises:
        GraphError: there is no such layer, or it outputs no maps.
        ShapeError: the position lies outside the input, or an image does not have the network's input shape.
        DataError: no gradient reaches the input.
    """
    prepared = prepare(model, images)
    spatial_layer(model, effective)
    at = input_position(model.graph.input_shape[1:], position)
    fields = theoretical_fields(model, layers, at)
    chosen = distinct_fields(fields)
    partial = [each for each in chosen if prod(each.clipped_size) < prod(model.graph.input_shape[1:])]
    name = effective or (partial or chosen)[-1].layer
    (focus,) = theoretical_fields(model, [name], at)
    seen = measured_field(model, prepared, focus, None, seed)
    picture = displayed(model, prepared[:1])[0]
    return draw_receptive_fields(
        picture, chosen, seen, at, fields_title(network_name(model.graph), at, len(chosen), len(fields))
    )

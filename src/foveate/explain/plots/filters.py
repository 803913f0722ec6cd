"""A model's filters in a figure."""

from typing import TYPE_CHECKING

from foveate.errors import DataError
from foveate.explain.draw.filters import (
    MOST_CURVES,
    MOST_ROWS,
    MOST_TILES,
    draw_channels,
    draw_colours,
    draw_curves,
    draw_single,
)
from foveate.explain.measure.filters import Order
from foveate.explain.probe.filters import filtering_node, filters, rate_at
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_filters(
    model: Model, layer: str, *, order: Order = "norm", most: int | None = None, sample_rate: float | None = None
) -> "Figure":
    """Draw the filters of the convolution `layer`.

    Args:
        model: the network.
        layer: name of a convolution.
        order: as for `filters`.
        most: filters to draw (default: 64, or 12 where a filter has several channels, or 16 over one axis).
        sample_rate: of the network's input in Hz, for the frequencies of filters over one axis.

    Returns:
        for filters over an RGB image, tiles in colour; for others every channel, coloured by sign, volumes slice by
            slice; for filters over one axis, curves with the frequencies that they pass.

    Raises:
        GraphError: there is no such layer, or it is not a convolution.
        DataError: there is no such order, `most` is below 1, or the sample rate does not apply.
    """
    node = filtering_node(model, layer)
    if most is not None and most < 1:
        raise DataError(f"most is {most}; draw at least 1 filter")
    found = filters(model, layer, order=order)
    axes = found.kernels.ndim - 2
    rate = None if sample_rate is None else rate_at(model, node, sample_rate)
    if axes == 1:
        return draw_curves(node, found, order, most or MOST_CURVES, rate)
    if axes == 2 and found.kernels.shape[1] == 3 == node.input_shapes[0][0] and node.inputs[0] in model.graph.inputs:
        return draw_colours(node, found, order, most or MOST_TILES)
    if found.kernels.shape[1] == 1:
        return draw_single(node, found, order, most or MOST_TILES)
    return draw_channels(node, found, order, most or MOST_ROWS)

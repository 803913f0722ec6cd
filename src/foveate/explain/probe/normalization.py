"""What the normalisations of a model do to the values that pass through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.errors import GraphError
from foveate.explain.measure.normalization import Distribution, NormalizationEffect
from foveate.explain.probe.probe import Images, fitting_batch, in_passes, prepare
from foveate.graph import Node, nearest
from foveate.layers.normalization import Normalization
from foveate.model import Model


def normalization_effect(
    model: Model, images: Images, layers: Sequence[str] | None = None, *, bins: int = 1000
) -> tuple[NormalizationEffect, ...]:
    """Distributions of activations before and after each normalisation, over all images and positions.

    The network runs twice on each batch of images, first for the ranges and means; only counts and sums are held.

    Args:
        model: the network, run as in inference.
        images: what `Model.predict` takes, the more the better.
        layers: names of normalisations (default: all).
        bins: the number of bins in each histogram.

    Raises:
        GraphError: the network has no normalisation, or a named layer is not one.
    """
    nodes = normalizations(model, layers)
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


@dataclass(frozen=True, eq=False)
class _Moments:
    """Each channel's mean, the smallest and the largest value, and the number of values per channel."""

    mean: NDArray[np.float64]
    low: float
    high: float
    count: int


def normalizations(model: Model, layers: Sequence[str] | None) -> tuple[Node, ...]:
    """The normalisations of those names, or all."""
    graph = model.graph
    found = {node.name: node for node in graph.nodes if isinstance(node.layer, Normalization)}
    if not found:
        kinds = ", ".join(dict.fromkeys(type(node.layer).__name__ for node in graph.nodes))
        raise GraphError(f"the network has no normalisation to look at; its layers are {kinds}")
    for name in layers or ():
        if name not in found:
            there = f"{graph.node(name)} is not a normalisation." if name in graph.by_name else ""
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

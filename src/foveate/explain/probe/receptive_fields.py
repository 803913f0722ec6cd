"""What the elements of a network see of its input: theoretical boxes, and the effective field within them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.random import generator
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.measure.receptive_fields import EffectiveField, Position, TheoreticalField
from foveate.explain.probe.probe import Images, Probe, prepare
from foveate.geometry import format_sizes
from foveate.graph import Graph
from foveate.model import Model

_BATCH = 4


_PATTERNS = 8


def theoretical_fields(
    model: Model | Graph, layers: Sequence[str] | None = None, position: Sequence[int] | None = None
) -> tuple[TheoreticalField, ...]:
    """The boxes of layers around one position of the input, in the network's order.

    Args:
        model: the network.
        layers: their names (default: all that output maps); a flat one sees everything that reaches it.
        position: in the input, one number per spatial axis (default: its middle). Each layer is represented by the
            element whose box is centred nearest to it.

    Raises:
        GraphError: there is no such layer, or none is named.
        ShapeError: the position lies outside the input.
    """
    graph = model.graph if isinstance(model, Model) else model
    sizes = graph.input_shape[1:]
    at = input_position(sizes, position)
    if layers is None:
        layers = [node.name for node in graph.nodes if len(node.output_shape) == len(sizes) + 1]
    if not layers:
        raise GraphError("no layer is named; name at least one, or give layers=None for all that output maps")
    return tuple(_field_around(graph, name, at) for name in layers)


def effective_field(
    model: Model,
    images: Images,
    layer: str,
    position: Sequence[int] | None = None,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> EffectiveField:
    """The effective receptive field of one element: its mean squared gradient with respect to the input.

        E[p] = mean over images, draws, c of (d sum_k s_k y[k, position] / d x[c, p])^2, divided by its sum

    with a random sign s_k for each channel k of the layer; on average over the signs that is the sum of all channels'
    squared gradients.

    Args:
        model: the network, as in inference.
        images: raw images, as for `Model.predict`.
        layer: the layer's name.
        position: the element's position in the layer, one number per spatial axis (default: the middle).
        draws: sign patterns for each image (default: enough for eight in all).
        seed: for the signs.

    Returns:
        the field, whose `energy` has the input's spatial axes, and whose `share()` is the fraction of the theoretical
        box that holds 95 % of the energy.

    Raises:
        GraphError: there is no such layer.
        ShapeError: the layer has no such position, or an image does not have the network's input shape.
        DataError: no gradient reaches the input, or `draws` is below 1.

    Luo, Li, Urtasun, Zemel: Understanding the effective receptive field in deep convolutional neural networks, 2016.
    """
    if draws is not None and draws < 1:
        raise DataError(f"draws is {draws}; it must be at least 1, or None")
    spatial = model.graph.node(layer).output_shape[1:]
    at = tuple(size // 2 for size in spatial) if position is None else tuple(position)
    field = TheoreticalField(layer, at, model.graph.region(layer, at))
    return measured_field(model, prepare(model, images), field, draws, seed)


def random_signs(shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """The signs s that `effective_field` draws: +1 or -1, (draws, images, channels)."""
    return generator(seed, "effective field").choice(np.array([-1, 1], np.float32), tuple(shape))


def input_position(sizes: Sequence[int], position: Sequence[int] | None) -> Position:
    """A position of the input (default: its middle), refused if it lies outside."""
    if not sizes:
        raise ShapeError("the network's input is flat, so there are no boxes in it; use a convolutional network")
    at = tuple(size // 2 for size in sizes) if position is None else tuple(int(each) for each in position)
    if len(at) != len(sizes) or any(not 0 <= each < size for each, size in zip(at, sizes, strict=True)):
        raise ShapeError(
            f"the input has no position {at}: its spatial sizes are {format_sizes(sizes)}, and positions start at 0"
        )
    return at


def _field_around(graph: Graph, layer: str, at: Position) -> TheoreticalField:
    """The box of the element of `layer` whose centre is nearest to the input position."""
    spatial = graph.node(layer).output_shape[1:]
    element: Position = ()
    if len(spatial) == len(at):
        field = graph.receptive_field(layer)
        places = zip(at, field.first_centre, field.jump, spatial, strict=True)
        element = tuple(
            min(max(round((each - centre) / jump), 0), size - 1) if jump else size // 2
            for each, centre, jump, size in places
        )
    return TheoreticalField(layer, element, graph.region(layer, element))


def measured_field(
    model: Model, prepared: FloatArray, field: TheoreticalField, draws: int | None, seed: int
) -> EffectiveField:
    """`effective_field` of prepared inputs, for the element whose box is `field`."""
    draws = draws or -(-_PATTERNS // len(prepared))
    signs = random_signs((draws, len(prepared), model.graph.shapes[field.layer][0]), seed)
    energy = np.zeros(prepared.shape[2:])
    probe: Probe | None = None
    for start in range(0, len(prepared), _BATCH):
        part = slice(start, start + _BATCH)
        count = len(prepared[part])
        if probe is None or count < _BATCH:
            probe = Probe(model, count, keep=[field.layer], differentiable=True)
        probe.run(prepared[part])
        energy += _energy(probe, field, signs[:, part])
    total = float(energy.sum())
    if not total > 0:
        raise DataError(
            f"no gradient reaches the input from {field.layer} at {field.position}: the rectifiers between them "
            f"block it for every image ({len(prepared)} given). Use other images, or another position"
        )
    return EffectiveField(field, energy / total)


def _energy(probe: Probe, field: TheoreticalField, signs: FloatArray) -> FloatArray:
    """Squared gradients (*spatial), summed over the images of the last run, the draws and the input's channels."""
    source = probe.graph.only_input
    element: Any = (slice(None), slice(None), *field.position)
    seeds = np.zeros((signs.shape[1], *probe.graph.shapes[field.layer]), np.float32)
    energy = np.zeros(probe.graph.input_shape[1:])
    for each in signs:
        seeds[element] = each
        (gradient,) = probe.gradients({field.layer: seeds}, source)
        energy += (gradient.astype(np.float64) ** 2).sum(axis=(0, 1))
    return energy

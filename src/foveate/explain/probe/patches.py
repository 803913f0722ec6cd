"""What excites a channel in real images: the patches of a dataset that make it largest, cut out as it sees them."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.engines.base import FloatArray
from foveate.errors import DataError, ShapeError
from foveate.explain.measure.patches import ExcitingPatches, best_candidates, cut_patch, merged_candidates
from foveate.explain.probe.classes import unit_names
from foveate.explain.probe.probe import (
    Images,
    Probe,
    check_takes_dataset,
    displayed,
    fitting_batch,
    network_up_to,
    prepare,
)
from foveate.geometry import format_sizes
from foveate.graph import Graph
from foveate.model import Model
from foveate.progress import Tell, told

_Inputs: TypeAlias = "NDArray[Any] | Sequence[Any]"
"""Raw inputs that can be counted and taken a few at a time."""


def exciting_patches(
    model: Model,
    images: "Dataset | Images",
    layer: str,
    *,
    count: int = 9,
    batch_size: int = 64,
    distinct: bool = True,
    progress: bool | Tell = True,
) -> ExcitingPatches:
    """The `count` patches with the largest activation in each channel, found in one pass over the images.

    Memory does not grow with the number of images: only one batch, and its activations, is held at a time.

    Args:
        model: the network.
        images: a dataset, an array (N, *input shape), or a list of what `Model.predict` takes.
        layer: the layer's name; each unit of a flat layer counts as a channel.
        count: patches for each channel; fewer if there are not enough.
        batch_size: samples per batch; fewer if their activations would be very large.
        distinct: whether to take at most one patch from each image.
        progress: whether to show a bar if it takes over two seconds; or a function to call with (samples done, total
            samples) after each batch.

    Raises:
        GraphError: there is no such layer; the message names the nearest.
        ShapeError: the images do not have the network's input shape.
        DataError: they cannot be used, `count` or `batch_size` is below 1, or an activation is NaN.

    After Zeiler, Fergus: Visualizing and understanding convolutional networks, 2014.
    """
    for name, number in (("count", count), ("batch_size", batch_size)):
        if number < 1:
            raise DataError(f"{name} is {number}; it must be at least 1")
    node = model.graph.node(layer)
    inputs = _countable(model, images)
    channels, *spatial = node.output_shape
    values, places = np.empty((channels, 0), np.float32), np.empty((channels, 0), np.int64)
    with told(progress, "looking for patches") as tell:
        for first, activations in _in_batches(model, inputs, layer, batch_size):
            size = len(activations)
            found = best_candidates(activations.reshape(size, channels, -1), first, distinct)
            if np.isnan(found[0]).any():
                raise DataError(f"an activation of {node} is NaN; look for a parameter that is NaN or infinite")
            values, places = merged_candidates((values, places), found, count)
            tell(first + size, len(inputs))
    samples, flat = np.divmod(places, prod(spatial))
    positions = np.stack(np.unravel_index(flat, spatial), axis=-1) if spatial else np.empty((*flat.shape, 0), np.int64)
    boxes, seen = _boxes(model.graph, layer, positions.astype(np.int64))
    return ExcitingPatches(layer, values, samples, positions.astype(np.int64), boxes, seen)


def cut_patches(
    model: Model, patches: ExcitingPatches, images: "Dataset | Images", channels: Sequence[int]
) -> list[list[NDArray[np.float32]]]:
    """The k patches (C, *size) of each of `channels`, on a scale from 0 to 1, NaN where the channel sees padding.

    Args:
        model: as for `exciting_patches`.
        patches: the result of `exciting_patches`.
        images: the images in which they were found.
        channels: the channels whose patches to cut out.

    Raises:
        DataError: there is no such channel, or there are fewer `images` than were searched.
    """
    inputs = _countable(model, images)
    known = len(patches.values)
    wrong = [channel for channel in channels if not 0 <= channel < known]
    if wrong or not len(channels):
        problem = f"{patches.layer} has no channel {wrong[0]}" if wrong else "no channel was asked for"
        raise DataError(f"{problem}: the {known} channels are numbered 0 to {known - 1}")
    rows = np.asarray(channels, np.int64)
    chosen, where = np.unique(patches.samples[rows], return_inverse=True)
    if chosen[-1] >= len(inputs):
        raise DataError(
            f"there are {len(inputs)} images, but patches were found in image {chosen[-1]}; give the images "
            "that were searched"
        )
    shown = displayed(model, prepare(model, _at(inputs, chosen)))
    return [
        [cut_patch(shown[sample], *each) for sample, *each in zip(row, patches.boxes[c], patches.seen[c], strict=True)]
        for c, row in zip(rows, where.reshape(len(rows), -1), strict=True)
    ]


def channel_name(model: Model, layer: str, channel: int) -> str:
    """The name of the class that a unit stands for at the output or before its softmax; elsewhere "channel 3"."""
    names = unit_names(model, layer)
    return f"channel {channel}" if names is None else names[channel]


def _countable(model: Model, images: "Dataset | Images") -> _Inputs:
    """The raw inputs, checked as far as possible without a pass over them."""
    shape = model.graph.input_shape
    if isinstance(images, Dataset):
        check_takes_dataset(model, images)
    inputs: Any = images.inputs if isinstance(images, Dataset) else images
    if hasattr(inputs, "__array__"):
        array = np.asarray(inputs)
        array = array[None] if array.shape == shape else array
        if array.shape[1:] != shape or not len(array):
            raise ShapeError(
                f"the network takes N x {format_sizes(shape)} (batch first), but the images are "
                f"{format_sizes(array.shape) or 'one number'}"
            )
        return array
    if not isinstance(inputs, list | tuple):
        return [inputs]
    if not inputs:
        raise DataError("there are no images; give at least one")
    return inputs


def _at(inputs: _Inputs, indices: NDArray[np.int64]) -> Any:
    return inputs[indices] if isinstance(inputs, np.ndarray) else [inputs[index] for index in indices]


def _in_batches(model: Model, inputs: _Inputs, layer: str, batch_size: int) -> Iterator[tuple[int, FloatArray]]:
    """Index of the first sample and activations of the layer, a batch at a time; only the layers it needs are run."""
    graph = network_up_to(model.graph, layer)
    size = fitting_batch(graph, (layer,), most=min(batch_size, len(inputs)))
    part = None if graph is model.graph else graph
    probe = Probe(model, size, graph=part)
    for first in range(0, len(inputs), size):
        batch = prepare(model, inputs[first : first + size])
        if len(batch) < size:
            probe = Probe(model, len(batch), graph=part)
        yield first, probe.run(batch)


def _boxes(graph: Graph, layer: str, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Receptive fields of the positions, and the real pixels in them; each distinct position is worked out once."""
    different, where = np.unique(np.concatenate(list(positions)), axis=0, return_inverse=True)
    found = [graph.region(layer, tuple(position.tolist())) for position in different]
    shape = (*positions.shape[:2], len(graph.input_shape) - 1, 2)
    boxes, seen = (
        np.array([[(axis.start, axis.stop) for axis in each] for each in boxes], np.int64)
        .reshape(len(found), *shape[2:])[where.ravel()]
        .reshape(shape)
        for boxes in ([_hull(region.unclipped, region.clipped) for region in found], [each.clipped for each in found])
    )
    return boxes, seen


def _hull(unclipped: Sequence[range], clipped: Sequence[range]) -> list[range]:
    """The ranges that hold both: padding that repeats the image lets a channel see pixels beyond its own window."""
    return [
        range(min(one.start, two.start), max(one.stop, two.stop)) if one and two else one or two
        for one, two in zip(unclipped, clipped, strict=True)
    ]

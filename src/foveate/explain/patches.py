"""What excites a channel in real images: the patches of a data set that make it largest, cut out as it sees them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.data import Dataset
from foveate.engines.base import FloatArray
from foveate.errors import DataError, ShapeError
from foveate.explain.draw.style import bare, colour, drawn, in_three_digits, new_figure
from foveate.explain.measure.words import element_noun
from foveate.explain.probe.probe import (
    Images,
    Probe,
    check_takes_dataset,
    class_layers,
    class_name,
    displayed,
    fitting_batch,
    network_up_to,
    prepare,
)
from foveate.geometry import format_sizes
from foveate.graph import Graph
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_CHANNELS = 8

_Inputs: TypeAlias = "NDArray[Any] | Sequence[Any]"
"""Raw inputs that can be counted and taken a few at a time."""


@dataclass(frozen=True, eq=False)
class ExcitingPatches:
    """For each of C channels of a layer the k places of a data set that excite it most, the largest first.

    Equal activations are in the order of the samples, then of the positions.
    """

    layer: str
    values: NDArray[np.float32]
    """(C, k) activations."""
    samples: NDArray[np.int64]
    """(C, k) indices of the images."""
    positions: NDArray[np.int64]
    """(C, k, axes of the layer) places in the layer's output; no axes where that is flat."""
    boxes: NDArray[np.int64]
    """(C, k, axes of the input, 2) begin and end of the receptive field; it may leave the image."""
    seen: NDArray[np.int64]
    """(C, k, axes of the input, 2) begin and end of the real pixels in it; the rest of the box is padding."""


def exciting_patches(
    model: Model,
    images: "Dataset | Images",
    layer: str,
    *,
    count: int = 9,
    batch_size: int = 64,
    distinct: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> ExcitingPatches:
    """The `count` patches with the largest activation of every channel, in one pass over the images.

    Memory does not grow with the images: no more than one batch is prepared, and no more than its activations are kept.

    Args:
        model: whose layer is looked at.
        images: a data set, an array (N, *input shape), or a list of what `Model.predict` takes.
        layer: its name; each unit of a flat layer counts as a channel.
        count: patches for each channel; fewer where there are not as many.
        batch_size: samples that are run at once; fewer where the activations of so many are very large.
        distinct: take at most one patch of each image.
        progress: called with the samples done and the samples in all, after each batch.

    Raises:
        GraphError: there is no such layer; the message gives the nearest.
        ShapeError: the images do not have the network's shape.
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
    for first, activations in _in_batches(model, inputs, layer, batch_size):
        size = len(activations)
        found = _candidates(activations.reshape(size, channels, -1), first, distinct)
        if np.isnan(found[0]).any():
            raise DataError(f"an activation of {node} is NaN; look for a parameter that is NaN or infinite")
        values, places = _merged((values, places), found, count)
        if progress is not None:
            progress(first + size, len(inputs))
    samples, flat = np.divmod(places, prod(spatial))
    positions = np.stack(np.unravel_index(flat, spatial), axis=-1) if spatial else np.empty((*flat.shape, 0), np.int64)
    boxes, seen = _boxes(model.graph, layer, positions.astype(np.int64))
    return ExcitingPatches(layer, values, samples, positions.astype(np.int64), boxes, seen)


def cut_patches(
    model: Model, patches: ExcitingPatches, images: "Dataset | Images", channels: Sequence[int]
) -> list[list[NDArray[np.float32]]]:
    """For each of `channels` its k patches (C, *size) on the scale 0 to 1, NaN where the channel sees padding.

    Args:
        model: as for `exciting_patches`.
        patches: what that found.
        images: where it found them.
        channels: which are cut out.

    Raises:
        DataError: there is no such channel, or `images` are fewer than those that were looked through.
    """
    inputs = _countable(model, images)
    known = len(patches.values)
    wrong = [channel for channel in channels if not 0 <= channel < known]
    if wrong or not len(channels):
        problem = f"{patches.layer} has no channel {wrong[0]}" if wrong else "no channel was asked for"
        raise DataError(f"{problem}: the {known} channels count from 0 to {known - 1}")
    rows = np.asarray(channels, np.int64)
    chosen, where = np.unique(patches.samples[rows], return_inverse=True)
    if chosen[-1] >= len(inputs):
        raise DataError(
            f"there are {len(inputs)} images, but patches were found in image {chosen[-1]}; give the images that were "
            "looked through"
        )
    shown = displayed(model, prepare(model, _at(inputs, chosen)))
    return [
        [_cut(shown[sample], *each) for sample, *each in zip(row, patches.boxes[c], patches.seen[c], strict=True)]
        for c, row in zip(rows, where.reshape(len(rows), -1), strict=True)
    ]


@drawn
def plot_exciting_patches(
    model: Model, patches: ExcitingPatches, images: "Dataset | Images", channels: Sequence[int] | None = None
) -> "Figure":
    """A row of patches for each channel, with their activations; what is hatched is padding.

    Args:
        model: as for `exciting_patches`.
        patches: what that found.
        images: where it found them.
        channels: rows; the eight with the largest activations unless given.
    """
    if channels is None:
        channels = np.argsort(-patches.values[:, 0], kind="stable")[:SHOWN_CHANNELS].tolist()
    rows = cut_patches(model, patches, images, channels)
    count, rank = patches.values.shape[1], patches.boxes.shape[2]
    width = min(11.0, max(6.0, 1.0 + count * (1.1 if rank > 1 else 1.6)))
    figure = new_figure(width, 1.1 + 1.25 * len(rows), f"What excites {patches.layer} most")
    panels = figure.subplots(len(rows), count, squeeze=False)
    for channel, row, line in zip(channels, rows, panels, strict=True):
        limits = _limits(row)
        for place, (patch, axes) in enumerate(zip(row, line, strict=True)):
            begin = int(patches.boxes[channel, place, 0, 0]) if rank else 0
            draw_sample(axes, patch, begin=begin, limits=limits)
            axes.set_title(in_three_digits(patches.values[channel, place]), fontsize=8, pad=3)
        line[0].set_ylabel(channel_name(model, patches.layer, channel), fontsize=9)
    sees = model.graph.receptive_field(patches.layer).short()
    sees += f" {element_noun(rank)}s" if sees[-1].isdigit() else ""
    figure.supxlabel(_caption(rows, rank, sees), fontsize=9, color=colour("soft"))
    return figure


def channel_name(model: Model, layer: str, channel: int) -> str:
    """The name of the class that a unit stands for at the output or before its softmax; elsewhere "channel 3"."""
    is_class = model.classes is not None and layer in class_layers(model.graph)
    return class_name(model, channel) if is_class else f"channel {channel}"


def draw_sample(axes: "Axes", pixels: FloatArray, *, begin: int = 0, limits: tuple[float, float] | None = None) -> None:
    """One input, or a patch of it: (C, L) as curves, (C, H, W) as an image, (C, D, H, W) as its middle slice.

    Args:
        axes: where to draw.
        pixels: on the scale 0 to 1; what is NaN is padding, and hatched.
        begin: index of the first sample of a curve.
        limits: of a curve's values.
    """
    bare(axes)
    axes.patch.set(facecolor=colour("faint"), edgecolor=colour("soft"), hatch="////", linewidth=0)
    if pixels.size and pixels.ndim > 2:
        axes.imshow(_coloured(_middle(pixels)), interpolation="nearest", vmin=0, vmax=1)
    elif pixels.size:
        _draw_curves(axes, np.atleast_2d(pixels), begin, limits)


def _draw_curves(axes: "Axes", curves: FloatArray, begin: int, limits: tuple[float, float] | None) -> None:
    length = curves.shape[1]
    real = np.flatnonzero(np.isfinite(curves[0]))
    if len(real):
        axes.axvspan(begin + real[0] - 0.5, begin + real[-1] + 0.5, color=colour("paper"), linewidth=0, zorder=0.5)
    for curve in curves:
        axes.plot(begin + np.arange(length), curve, linewidth=0.9)
    axes.set_xlim(begin - 0.5, begin + length - 0.5)
    axes.set_xticks([begin, begin + length - 1] if length > 1 else [begin])
    axes.tick_params(labelsize=8, length=2)
    if length > 1:
        first, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
    if limits is not None:
        axes.set_ylim(*limits)


def _middle(pixels: FloatArray) -> FloatArray:
    """(C, H, W): of a volume the slice in the middle of what is real of it."""
    if pixels.ndim == 3:
        return pixels
    real = np.flatnonzero(np.isfinite(pixels).any(axis=(0, 2, 3)))
    return pixels[:, real[len(real) // 2] if len(real) else 0]


def _coloured(pixels: FloatArray) -> NDArray[np.float32]:
    """(H, W, 4): three channels are colours, any other number its mean in grey; transparent where it is NaN."""
    alpha = np.isfinite(pixels).all(axis=0, keepdims=True)
    colours = pixels if len(pixels) == 3 else np.repeat(pixels.mean(axis=0, keepdims=True), 3, axis=0)
    return np.concatenate([np.clip(np.nan_to_num(colours), 0, 1), alpha]).transpose(1, 2, 0).astype(np.float32)


def _limits(row: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Of the values of a row's patches, with a little room."""
    values = np.concatenate([patch[np.isfinite(patch)].ravel() for patch in row])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _caption(rows: list[list[NDArray[np.float32]]], rank: int, sees: str) -> str:
    said = f"Above each patch: the activation. Each channel sees {sees}"
    if any(np.isnan(patch).any() for row in rows for patch in row):
        said += "; hatched: padding"
    drawn_as = {2: "", 3: ". Of each patch the middle slice"}
    return said + drawn_as.get(rank, "\nValues over sample index, each row on one scale")


def _countable(model: Model, images: "Dataset | Images") -> _Inputs:
    """The raw inputs, checked as far as that needs no pass over them."""
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
    """Index of the first sample and activations of the layer, a batch at a time; only what it needs is computed."""
    graph = network_up_to(model.graph, layer)
    size = fitting_batch(graph, (layer,), most=min(batch_size, len(inputs)))
    part = None if graph is model.graph else graph
    probe = Probe(model, size, graph=part)
    for first in range(0, len(inputs), size):
        batch = prepare(model, inputs[first : first + size])
        if len(batch) < size:
            probe = Probe(model, len(batch), graph=part)
        yield first, probe.run(batch)


def _candidates(activations: FloatArray, first: int, distinct: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Values (C, M) of activations (N, C, positions), and their places: sample times positions plus position."""
    samples, channels, positions = activations.shape
    if distinct:
        offsets = (first + np.arange(samples)) * positions
        return activations.max(axis=2).T.astype(np.float32), activations.argmax(axis=2).T + offsets
    places = first * positions + np.arange(samples * positions)
    values = activations.transpose(1, 0, 2).reshape(channels, -1).astype(np.float32)
    return values, np.broadcast_to(places, values.shape)


def _merged(
    best: tuple[NDArray[np.float32], NDArray[np.int64]],
    new: tuple[NDArray[np.float32], NDArray[np.int64]],
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `count` largest of what is best so far and what is new, sorted; of equal ones those that came first."""
    chosen = _largest(new[0], count)
    values = np.concatenate([best[0], np.take_along_axis(new[0], chosen, axis=1)], axis=1)
    places = np.concatenate([best[1], np.take_along_axis(new[1], chosen, axis=1)], axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(places, order, axis=1)


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Indices (C, count) of the largest values (C, M) in each row, ascending; of equal ones the first."""
    rows, columns = values.shape
    if columns <= count:
        return np.broadcast_to(np.arange(columns), (rows, columns))
    least = np.partition(values, columns - count, axis=1)[:, columns - count, None]
    above, equal = values > least, values == least
    missing = count - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= missing))
    return np.nonzero(chosen)[1].reshape(rows, count)


def _boxes(graph: Graph, layer: str, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Receptive fields of the positions, and the real pixels in them; each different position is worked out once."""
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
    """What holds both: padding that repeats the image lets a channel see pixels beyond its own window."""
    return [
        range(min(one.start, two.start), max(one.stop, two.stop)) if one and two else one or two
        for one, two in zip(unclipped, clipped, strict=True)
    ]


def _cut(image: FloatArray, box: ArrayLike, seen: ArrayLike) -> NDArray[np.float32]:
    """The box of an image (C, *spatial), NaN outside of what is seen."""
    corners, real = np.asarray(box), np.asarray(seen)
    patch = np.full((len(image), *(corners[:, 1] - corners[:, 0])), np.nan, np.float32)
    inside = tuple(slice(begin - start, end - start) for (begin, end), (start, _) in zip(real, corners, strict=True))
    patch[:, *inside] = image[:, *(slice(begin, end) for begin, end in real)]
    return patch

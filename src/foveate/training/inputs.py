"""The inputs that a user gives a network: checked, and turned into arrays keyed by the input's name."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from foveate.calls import kind
from foveate.data import Preprocessing
from foveate.data.dataset import image_input
from foveate.data.preprocessing import no_images
from foveate.engines.base import FloatArray
from foveate.errors import DataError, FileError, FoveateError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph import Graph
from foveate.layers import Shape


def prepared_inputs(graph: Graph, inputs: ArrayLike | Mapping[str, ArrayLike], first: int = 0) -> dict[str, FloatArray]:
    """Prepared inputs as float32 by name; the first sample is number `first` of those that the user gave.

    Raises:
        ShapeError: they do not have the network's shape.
        DataError: there are none, one holds NaN or infinity, or they are not the network's inputs.
    """
    named = by_name(graph, inputs)
    many = len(named) > 1
    checked = {
        name: _check(_numbers(named[name], f"{name}: " * many), shape, f"{name}: " * many, first)
        for name, shape in graph.inputs.items()
    }
    counts = {name: len(values) for name, values in checked.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"the inputs differ in the number of samples ({told}); each sample needs every input")
    return checked


def raw_batches(graph: Graph, preprocessing: Preprocessing, raw: Any, size: int) -> Iterator[dict[str, FloatArray]]:
    """Raw images, prepared, by the input's name, `size` at a time; other inputs are taken as they are.

    Raises:
        FileError, DataError, ShapeError: as for `Preprocessing.from_images`, when the batch is reached.
    """
    image, images, others = _parted(graph, by_name(graph, raw))
    begin = 0
    for part in preprocessing.batches(images, size):
        end = begin + len(part)
        _check_count(others, end, "at least ")
        yield prepared_inputs(graph, {image: part, **{name: each[begin:end] for name, each in others.items()}}, begin)
        begin = end
    _check_count(others, begin)


def one_by_one(
    graph: Graph, preprocessing: Preprocessing, named: Mapping[str, Any], size: int
) -> Iterator[dict[str, FloatArray] | FoveateError]:
    """Each raw image (1, ...) prepared, with its part of the other inputs, or the reason that it cannot be used.

    Raises:
        DataError: another input does not have as many samples as there are images.
    """
    image, images, others = _parted(graph, named)
    count = 0
    for place, each in enumerate(preprocessing.separate(images)):
        count = place + 1
        _check_count(others, count, "at least ")
        try:
            rest = {name: array[place:count] for name, array in others.items()}
            sample: dict[str, FloatArray] | FoveateError = prepared_inputs(
                graph, {image: preprocessing.prepared(each, place), **rest}, place
            )
        except (FileError, DataError, ShapeError) as error:
            sample = error
        yield sample
    if not count:
        raise no_images()
    _check_count(others, count)


def _parted(graph: Graph, named: Mapping[str, Any]) -> tuple[str, Any, dict[str, FloatArray]]:
    """The name of the image, the images, and the other inputs as arrays."""
    image = image_input(graph.inputs)
    return image, named[image], {name: np.asarray(each, np.float32) for name, each in named.items() if name != image}


def _check_count(others: Mapping[str, FloatArray], count: int, least: str = "") -> None:
    for name, each in others.items():
        if len(each) < count or (len(each) != count and not least):
            raise DataError(
                f"there are {least}{count} images, but {len(each)} of {name}; each sample needs every input"
            )


def by_name(graph: Graph, inputs: Any) -> Mapping[str, Any]:
    """Inputs by the network's names for them; a DataError if the names differ."""
    names = ", ".join(graph.inputs)
    if not isinstance(inputs, Mapping):
        if len(graph.inputs) > 1:
            raise DataError(f"the network has {len(graph.inputs)} inputs; give a mapping by their names: {names}")
        return {graph.only_input: inputs}
    if set(inputs) != set(graph.inputs):
        raise DataError(
            f"the network has {'the inputs ' if len(graph.inputs) > 1 else 'one input, '}{names}, but got "
            f"{', '.join(map(str, inputs)) or 'none'}"
        )
    return inputs


def _numbers(values: Any, of: str) -> FloatArray:
    """Prepared inputs as float32; raw images are refused, which the network would misread."""
    try:
        array = np.asarray(values)
        if array.dtype == np.uint8:
            raise DataError(
                f"{of}the inputs are uint8, but prepared inputs are float32, normalised as in training; give raw "
                "images to model.predict, or prepare them with model.preprocessing.apply(images)"
            )
        return np.asarray(array, np.float32)
    except (TypeError, ValueError):
        raise DataError(
            f"{of}the inputs are {kind(values)}, but prepared inputs are an array of numbers; give images "
            "to model.predict"
        ) from None


def _check(values: FloatArray, shape: Shape, of: str, first: int) -> FloatArray:
    if values.shape[1:] != shape or not values.ndim:
        raise ShapeError(
            f"{of}the network takes N x {format_sizes(shape)} (batch first), but the inputs are "
            f"{format_sizes(values.shape) or 'one number'}"
        )
    if not len(values):
        raise DataError(f"{of}there are no inputs; give at least one")
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise DataError(f"{of}input {first + int(finite.argmin())} holds NaN or infinity; fix or remove it")
    return values

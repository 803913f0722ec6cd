"""Features: the values on which the network's last layer bases its decision, for a whole dataset."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.engines.base import FloatArray
from foveate.errors import DataError, GraphError
from foveate.explain.probe.probe import Images, Probe, check_takes_dataset, fitting_batch, prepare
from foveate.graph import nearest
from foveate.layers import Linear
from foveate.layers.convolution import Convolution
from foveate.model import Model

PREPARED_AT_ONCE = 1024


def penultimate(model: Model) -> str:
    """The layer, or the input, that feeds the last linear layer or convolution before the output.

    Raises:
        GraphError: there is no such layer on the path to the output, or the path branches.
    """
    graph = model.graph
    name = graph.only_output
    while name in graph.by_name:
        node = graph.node(name)
        if isinstance(node.layer, Linear | Convolution):
            return node.inputs[0]
        if len(node.inputs) != 1:
            break
        name = node.inputs[0]
    raise GraphError(
        f"the output {graph.only_output} does not come from one last linear layer or convolution; name the layer whose "
        f"output to take, such as layer={graph.nodes[-1].name!r}"
    )


def features(
    model: Model, images: "Dataset | Images", layer: str | None = None, *, batch_size: int | None = None
) -> NDArray[np.float32]:
    """A layer's output for each image, with maps averaged over their positions.

    Args:
        model: the network, run as in inference.
        images: a dataset, or what `Model.predict` takes.
        layer: the name of a layer, or of the input (default: the penultimate features).
        batch_size: images per batch (default: as many as fit in 256 MB, at most 64).

    Returns:
        (N, features).

    Raises:
        GraphError: there is no such layer; the message names the nearest.
        DataError: batch_size is below 1, or the images cannot be used.
        ShapeError: the images do not have the network's input shape.
    """
    name = penultimate(model) if layer is None else layer
    if name not in model.graph.shapes:
        raise GraphError(f'there is no layer "{name}".{nearest(name, model.graph.shapes)}')
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; it must be at least 1")
    size = batch_size or fitting_batch(model.graph, [name])
    probes: dict[int, Probe] = {}
    found = []
    for batch in _batches(model, images, size):
        if len(batch) not in probes:
            probes[len(batch)] = Probe(model, len(batch), keep=[name])
        probe = probes[len(batch)]
        probe.run(batch)
        values = probe.activation(name)
        found.append(values.reshape(*values.shape[:2], -1).mean(axis=2, dtype=np.float32))
    return np.concatenate(found)


def _batches(model: Model, images: "Dataset | Images", size: int) -> Iterator[FloatArray]:
    """Prepared inputs, `size` at a time; a dataset is prepared a part at a time."""
    if isinstance(images, Dataset):
        check_takes_dataset(model, images)
        step = max(1, PREPARED_AT_ONCE // size) * size
        parts: Iterator[FloatArray] = (
            prepare(model, images.inputs[start : start + step]) for start in range(0, len(images), step)
        )
    else:
        parts = iter([prepare(model, images)])
    for part in parts:
        for start in range(0, len(part), size):
            yield part[start : start + size]

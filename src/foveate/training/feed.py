"""From a dataset to batches: inputs and targets by name, as the network and its losses take them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset, Preprocessing
from foveate.data.dataset import image_input
from foveate.engines.base import FloatArray
from foveate.graph import Graph
from foveate.tasks import Head

Indices: TypeAlias = NDArray[np.int64]


class Feed:
    """Batches of a dataset that has been checked against the network.

    Args:
        graph: the network.
        heads: its outputs with their tasks.
        dataset: the data to feed.
        preprocessing: applied to the image; other inputs are taken as they are.
    """

    def __init__(self, graph: Graph, heads: Sequence[Head], dataset: Dataset, preprocessing: Preprocessing) -> None:
        self._heads = tuple(heads)
        self._preprocessing = preprocessing
        self._image = image_input(graph.inputs)
        self._inputs = inputs_by_name(graph, dataset)
        self._targets = targets_by_output(heads, dataset)

    def inputs(
        self, indices: Indices, change: Callable[[NDArray[Any]], NDArray[Any]] = lambda raw: raw
    ) -> dict[str, FloatArray]:
        """The inputs of a batch, prepared; `change` is applied to the raw images first."""
        return {
            name: self._preprocessing.apply(change(array[indices]))
            if name == self._image
            else array[indices].astype(np.float32)
            for name, array in self._inputs.items()
        }

    def targets(self, indices: Indices) -> dict[str, NDArray[Any]]:
        """The targets of a batch as the tasks checked them."""
        return {name: array[indices] for name, array in self._targets.items()}

    def loss_targets(self, indices: Indices) -> dict[str, NDArray[Any]]:
        """The targets of a batch as the losses take them."""
        return {head.name: head.loss_targets(self._targets[head.name][indices]) for head in self._heads}


def inputs_by_name(graph: Graph, dataset: Dataset) -> Mapping[str, NDArray[Any]]:
    """The data's arrays keyed by the network's inputs; a single one goes to the only input, whatever their names."""
    if len(graph.inputs) == len(dataset.by_input) == 1:
        return {graph.only_input: dataset.inputs}
    return dataset.by_input


def targets_by_output(heads: Sequence[Head], dataset: Dataset) -> Mapping[str, NDArray[Any]]:
    """The data's targets keyed by the network's outputs."""
    targets = dataset.targets
    return targets if isinstance(targets, Mapping) else {heads[0].name: targets}

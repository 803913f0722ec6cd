"""From a dataset to batches: inputs and targets by name, as the network and its losses take them."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset, Preprocessing, batch_indices
from foveate.data.dataset import image_input
from foveate.data.shards.sharded import ShardedDataset, Stream
from foveate.engines.base import FloatArray
from foveate.engines.losses import total_weight
from foveate.graph import Graph, Loss
from foveate.tasks import Head
from foveate.training.prefetch import prefetch

Item = TypeVar("Item")
Indices: TypeAlias = NDArray[np.int64]


class Feed:
    """Batches of a dataset in memory that has been checked against the network.

    What the loop asks for: `batches`, the samples of each batch of an epoch; `prefetched`, which prepares them in the
    background; and for one batch `inputs`, `targets` and `loss_targets`. A subclass may keep its inputs elsewhere.

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
        self._count = len(dataset)

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, merge_single: bool = False
    ) -> list[Indices]:
        """The samples of each batch of an epoch; arguments as for `batch_indices`."""
        return batch_indices(self._count, batch_size, seed=seed, epoch=epoch, merge_single=merge_single)

    def prefetched(self, prepare: Callable[[Indices], Item], batches: Sequence[Indices]) -> Generator[Item, None, None]:
        """prepare(batch) for each of these batches in order, some in advance; close it to stop early."""
        return prefetch(prepare, batches)

    def inputs(
        self, indices: Indices, change: Callable[[NDArray[Any]], NDArray[Any]] = lambda raw: raw
    ) -> dict[str, FloatArray]:
        """The inputs of a batch, prepared; `change` is applied to the raw images first."""
        return {
            name: self._preprocessing.apply(change(self._raw(name, indices)))
            if name == self._image
            else self._raw(name, indices).astype(np.float32)
            for name in self._inputs
        }

    def targets(self, indices: Indices) -> dict[str, NDArray[Any]]:
        """The targets of a batch as the tasks checked them."""
        return {name: array[indices] for name, array in self._targets.items()}

    def loss_targets(self, indices: Indices) -> dict[str, NDArray[Any]]:
        """The targets of a batch as the losses take them."""
        return {head.name: head.loss_targets(self._targets[head.name][indices]) for head in self._heads}

    def weight(self, losses: Mapping[str, tuple[Loss, float]], indices: Indices) -> float:
        """By how much a batch counts in a mean over several: what its only loss is a mean over, or its samples."""
        if len(losses) > 1:
            return float(len(indices))
        ((name, (loss, _)),) = losses.items()
        (head,) = self._heads
        return total_weight(loss, head.loss_targets(self._targets[name][indices]))

    def _raw(self, name: str, indices: Indices) -> NDArray[Any]:
        """An input of a batch as the dataset has it."""
        return self._inputs[name][indices]


class StreamFeed(Feed):
    """Batches of a dataset in shards, which are read from front to back and decoded while the engine computes."""

    def __init__(
        self, graph: Graph, heads: Sequence[Head], dataset: ShardedDataset, preprocessing: Preprocessing
    ) -> None:
        super().__init__(graph, heads, dataset, preprocessing)
        self._dataset = dataset
        self._order = dataset.order(None)
        self._stream: Stream | None = None

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, merge_single: bool = False
    ) -> list[Indices]:
        """As for arrays, but near the order on disk; what is prefetched next must be some of these."""
        self._order = self._dataset.order(seed, epoch)
        places = batch_indices(self._count, batch_size, merge_single=merge_single)
        return [self._order.samples[batch] for batch in places]

    def prefetched(self, prepare: Callable[[Indices], Item], batches: Sequence[Indices]) -> Generator[Item, None, None]:
        """As for arrays."""
        with closing(self._dataset.streamed(batches, self._order)) as stream:
            self._stream = stream
            try:
                yield from prefetch(prepare, batches)
            finally:
                self._stream = None

    def _raw(self, name: str, indices: Indices) -> NDArray[Any]:
        return super()._raw(name, indices) if self._stream is None else self._stream.take(indices)


def feed_of(graph: Graph, heads: Sequence[Head], dataset: Dataset, preprocessing: Preprocessing) -> Feed:
    """What feeds this dataset to the network; arguments as for `Feed`."""
    kind = StreamFeed if isinstance(dataset, ShardedDataset) else Feed
    return kind(graph, heads, dataset, preprocessing)  # type: ignore[arg-type]


def inputs_by_name(graph: Graph, dataset: Dataset) -> Mapping[str, NDArray[Any]]:
    """The data's arrays keyed by the network's inputs; a single one goes to the only input, whatever their names."""
    if len(graph.inputs) == len(dataset.by_input) == 1:
        return {graph.only_input: dataset.inputs}
    return dataset.by_input


def targets_by_output(heads: Sequence[Head], dataset: Dataset) -> Mapping[str, NDArray[Any]]:
    """The data's targets keyed by the network's outputs."""
    targets = dataset.targets
    return targets if isinstance(targets, Mapping) else {heads[0].name: targets}

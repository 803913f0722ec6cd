"""A part of shards as a dataset whose inputs stay on disk: what is indexed is read, an epoch is streamed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import ONLY_INPUT, Dataset
from foveate.data.reading import data_threads
from foveate.data.shards.decoding import Decoding
from foveate.data.shards.order import Order, epoch_order, sequential_order
from foveate.data.shards.reading import Indices, Rounds, Shards
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.layers import Shape
from foveate.tasks import Classification

MOST_AT_ONCE = 4 << 30
"""Bytes of inputs beyond which a whole part is not read into memory."""


class ShardedInputs:
    """The inputs (N, C, *spatial) of shards, indexed like an array; what is asked for is read and decoded then."""

    def __init__(self, shards: Shards, decoding: Decoding) -> None:
        self.shards, self.decoding = shards, decoding

    @property
    def shape(self) -> Shape:
        """(N, C, *spatial)."""
        return (len(self), *self.decoding.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or float32."""
        return self.decoding.result

    @property
    def nbytes(self) -> int:
        """The bytes that all would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.shards.part)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        rows, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        wanted = np.arange(len(self), dtype=np.int64)[rows]
        samples = np.atleast_1d(wanted)
        found = self.shards.read(samples)
        inputs = self.decoding(self.shards.checked(samples, found))
        return inputs[(slice(None), *rest)] if np.ndim(wanted) else inputs[(0, *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.nbytes > MOST_AT_ONCE:
            raise DataError(
                f"{len(self):,} samples of {format_sizes(self.decoding.shape)} take {self.nbytes / 1e9:,.1f} GB and "
                "stay in their shards; take some of them: dataset.subset(range(1000))"
            )
        return np.asarray(self[:], dtype)


class ShardedDataset(Dataset):
    """A part of shards: a dataset whose inputs are streamed from tar files while a network trains.

    `fit` and `evaluate` read it from front to back with a bounded buffer; `subset` takes samples into memory, and
    `inputs` is indexed like an array.
    """

    buffer: int
    """The most bytes of samples, as they are in the shards, that are held at once."""

    origin: str
    """The name of the data that were packed."""

    def __init__(
        self,
        shards: Shards,
        decoding: Decoding,
        classes: Sequence[str],
        *,
        buffer: int,
        origin: str = "",
        record: Mapping[str, Any] | None = None,
    ) -> None:
        given = {
            "by_input": {ONLY_INPUT: ShardedInputs(shards, decoding)},
            "targets": shards.part.labels,
            "task": Classification(tuple(classes)),
            "record": dict(record or {}),
            "buffer": buffer,
            "origin": origin,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Sharded{super().__repr__()}"

    @property
    def on_disk(self) -> ShardedInputs:
        """The inputs in their shards."""
        inputs: Any = self.by_input[ONLY_INPUT]
        return cast(ShardedInputs, inputs)

    @property
    def of_images(self) -> bool:
        """Whether the samples are files of images rather than arrays."""
        return self.on_disk.decoding.resizing is not None

    @property
    def checksum(self) -> int:
        """That of all samples and their classes, as the index has them."""
        return self.on_disk.shards.part.checksum

    def order(self, seed: int | None, epoch: int = 0) -> Order:
        """The order of an epoch's samples; without a seed, that on disk."""
        part = self.on_disk.shards.part
        if seed is None:
            return sequential_order(part.sizes, self.buffer)
        return epoch_order(part.sizes, [len(shard) for shard in part.shards], self.buffer, seed=seed, epoch=epoch)

    def streamed(self, batches: Sequence[Indices], order: Order, threads: int | None = None) -> "Stream":
        """The inputs of these batches, which are taken in this order; close it afterwards."""
        return Stream(self.on_disk, batches, order, data_threads(threads))


class Stream:
    """The inputs of some batches, read ahead and decoded by `threads` threads."""

    def __init__(self, inputs: ShardedInputs, batches: Sequence[Indices], order: Order, threads: int) -> None:
        self._decoding, self._threads = inputs.decoding, max(1, threads)
        self._rounds = Rounds(inputs.shards, batches, order.rounds)
        self._pool = ThreadPoolExecutor(self._threads, "foveate-decoding")

    def take(self, batch: Indices) -> NDArray[Any]:
        """The inputs (N, C, *spatial) of a batch."""
        samples = self._rounds.take(batch)
        if self._decoding.resizing is None or len(samples) <= self._threads:
            return self._decoding(samples)
        parts = [samples[part :: self._threads] for part in range(self._threads)]
        inputs = np.empty((len(samples), *self._decoding.shape), self._decoding.result)
        for part, decoded in enumerate(self._pool.map(self._decoding, parts)):
            inputs[part :: self._threads] = decoded
        return inputs

    def close(self) -> None:
        """Stop reading and decoding."""
        self._rounds.close()
        self._pool.shutdown(cancel_futures=True)

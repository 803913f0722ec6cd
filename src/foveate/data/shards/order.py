"""In which order an epoch takes the samples of shards: fixed by seed and epoch, and near the order on disk.

The shards, in an order drawn for the epoch, are one long row of samples, which is cut into `LANES` runs of equal
length. The epoch takes a sample from each run in turn. What is taken until half the buffer is full is a round; within
a round, the samples of each run change places at random. So a round is read in a few sequential pieces while the one
before it is used, and position p needs only run p % LANES: a process that takes every second sample reads half.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.batches import permutation
from foveate.engines.random import raw

Items = TypeVar("Items", bound=Sequence[object] | NDArray[np.int64])

LANES = 8
"""Places on disk that are read in turn."""


@dataclass(frozen=True, eq=False)
class Order:
    """The samples of an epoch in their order, and the round in which each sample is read, by its number."""

    samples: NDArray[np.int64]
    rounds: NDArray[np.int32]


def epoch_order(sizes: NDArray[np.integer], counts: Sequence[int], buffer: int, *, seed: int, epoch: int) -> Order:
    """The order of an epoch.

    Args:
        sizes: the bytes of each sample.
        counts: the samples of each shard; those of the first are numbered first.
        buffer: the most bytes held at once. If all samples fit, any may come first, as of an array.
        seed: the training run's.
        epoch: counted from 0.

    >>> order = epoch_order(np.full(100, 10), [60, 40], 160, seed=0, epoch=0)
    >>> sorted(order.samples.tolist()) == list(range(100)), int(order.rounds.max()) + 1
    (True, 13)
    """
    count = len(sizes)
    if int(sizes.sum(dtype=np.int64)) <= buffer:
        return Order(permutation(count, seed, "shuffle", epoch), np.zeros(count, np.int32))
    row = _row(counts, seed, epoch)
    lanes = np.array_split(row, LANES)  # the first are the longer ones, as those are that come in turn
    taken = np.empty(count, np.int64)
    for lane, run in enumerate(lanes):
        taken[lane::LANES] = run
    rounds = _rounds(sizes[taken], buffer // 2, int(raw(seed, "phase", epoch, 1)[0]))
    keys = raw(seed, "shuffle", epoch, count)
    order = np.empty(count, np.int64)
    for lane, run in enumerate(lanes):
        order[lane::LANES] = run[np.lexsort((keys[lane::LANES], rounds[lane::LANES]))]
    by_sample = np.empty(count, np.int32)
    by_sample[order] = rounds
    return Order(order, by_sample)


def sequential_order(sizes: NDArray[np.integer], buffer: int) -> Order:
    """The order on disk, read in rounds of half a buffer."""
    return Order(np.arange(len(sizes), dtype=np.int64), _rounds(sizes, buffer // 2, 0))


def share(batch: Items, rank: int, size: int) -> Items:
    """What one of `size` processes takes of a batch: every `size`-th sample.

    Batches whose length `size` divides are those of one process, whatever `size` is; if it divides `LANES` too, each
    process reads its own part of the shards only.

    >>> share([10, 11, 12, 13], 1, 2)
    [11, 13]
    """
    if not 0 <= rank < size:
        raise ValueError(f"there is no process {rank} among {size}")
    return batch[rank::size]  # type: ignore[return-value]


def _row(counts: Sequence[int], seed: int, epoch: int) -> NDArray[np.int64]:
    """The numbers of all samples, shard by shard."""
    ends = np.cumsum(counts)
    ranges = [np.arange(end - length, end, dtype=np.int64) for end, length in zip(ends, counts, strict=True)]
    return np.concatenate([ranges[shard] for shard in permutation(len(counts), seed, "shards", epoch)])


def _rounds(sizes: NDArray[np.integer], limit: int, phase: int) -> NDArray[np.int32]:
    """The round of each position: as many bytes as `limit`; the first is shorter, or all epochs would cut alike."""
    before = np.cumsum(sizes, dtype=np.int64) - sizes.astype(np.int64)
    before = before[(np.arange(len(sizes)) // LANES) * LANES]  # one sample of each run belongs together
    rounds = (before + phase % max(1, limit)) // max(1, limit)
    return np.cumsum(np.diff(rounds, prepend=rounds[:1]) > 0).astype(np.int32)  # no number without samples

"""Which samples form each batch of an epoch; fixed by the seed and the epoch alone."""

import numpy as np
from numpy.typing import NDArray

from foveate.engines.random import raw
from foveate.errors import DataError


def batch_indices(
    count: int, batch_size: int, *, seed: int | None = None, epoch: int = 0, merge_single: bool = False
) -> list[NDArray[np.int64]]:
    """Sample indices of each batch of one epoch; every sample is used once, and the last batch may be smaller.

    Args:
        count: samples in the dataset.
        batch_size: samples in a batch.
        seed: shuffles, differently in each epoch; None keeps the order.
        epoch: counted from 0.
        merge_single: let a last batch of one sample join the one before, because batch normalisation cannot train on
            a single value.

    Raises:
        DataError: `count` or `batch_size` is below 1.

    >>> [len(batch) for batch in batch_indices(9, 4)]
    [4, 4, 1]
    >>> [len(batch) for batch in batch_indices(9, 4, merge_single=True)]
    [4, 5]
    """
    if count < 1:
        raise DataError(f"there are {count} samples to form batches of; give at least 1")
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; it must be at least 1")
    order = np.arange(count, dtype=np.int64) if seed is None else permutation(count, seed, "shuffle", epoch)
    starts = list(range(0, count, batch_size))
    if merge_single and batch_size > 1 and len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [order[start:end] for start, end in zip(starts, [*starts[1:], count], strict=True)]


def permutation(count: int, seed: int, name: str, step: int = 0) -> NDArray[np.int64]:
    """The numbers from 0 to `count` - 1 in the random order of the stream (seed, name, step).

    Sorting the raw stream, unlike NumPy's own shuffling, gives the same order under every version of NumPy.
    """
    return np.argsort(raw(seed, name, step, count), kind="stable").astype(np.int64, copy=False)

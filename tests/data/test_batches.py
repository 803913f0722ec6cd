"""Batches: every sample once an epoch, in an order that the seed and the epoch fix."""

import numpy as np
import pytest

from foveate import DataError
from foveate.data import batch_indices
from foveate.data.batches import permutation


def test_without_a_seed_the_order_stays_and_the_last_batch_is_smaller():
    assert [batch.tolist() for batch in batch_indices(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [batch.tolist() for batch in batch_indices(2, 3)] == [[0, 1]]
    assert batch_indices(7, 3)[0].dtype == np.int64


def test_every_sample_comes_once_and_each_epoch_has_an_order_of_its_own():
    epochs = [np.concatenate(batch_indices(100, 8, seed=3, epoch=epoch)) for epoch in range(3)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(100))
    assert len({tuple(order.tolist()) for order in epochs}) == 3
    again = np.concatenate(batch_indices(100, 8, seed=3, epoch=1))
    assert np.array_equal(again, epochs[1])
    assert not np.array_equal(again, np.concatenate(batch_indices(100, 8, seed=4, epoch=1)))


@pytest.mark.parametrize(
    ("count", "batch_size", "merged"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 1, 1]), (5, 4, [5])],
)
def test_a_last_batch_of_one_joins_the_one_before_where_asked(count: int, batch_size: int, merged: list[int]):
    batches = batch_indices(count, batch_size, merge_single=True)
    assert [len(batch) for batch in batches] == merged
    assert np.concatenate(batches).tolist() == list(range(count))


def test_the_order_is_the_same_on_every_machine():
    # Written down once: a change would break the resumption of old checkpoints.
    assert permutation(8, 0, "shuffle", 0).tolist() == [6, 0, 5, 4, 3, 1, 2, 7]


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(DataError, match="there are 0 samples to form batches of; give at least 1"):
        batch_indices(0, 4)
    with pytest.raises(DataError, match="batch_size is 0; it must be at least 1"):
        batch_indices(4, 0)

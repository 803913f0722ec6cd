"""The order of an epoch's samples in shards."""

import numpy as np
import pytest

from foveate.data.batches import permutation
from foveate.data.shards.order import LANES, epoch_order, sequential_order, share

COUNTS = [400, 30, 1, 569]
SIZES = np.random.default_rng(0).integers(50, 150, sum(COUNTS))


def order(seed=0, epoch=0, buffer=20_000):
    return epoch_order(SIZES, COUNTS, buffer, seed=seed, epoch=epoch)


def test_each_sample_is_taken_once_and_only_seed_and_epoch_decide_when():
    first = order()
    assert sorted(first.samples.tolist()) == list(range(1000))
    assert np.array_equal(first.samples, order().samples)
    assert not np.array_equal(first.samples, order(seed=1).samples)
    assert not np.array_equal(first.samples, order(epoch=1).samples)


def test_no_round_has_more_bytes_than_half_the_buffer_and_a_sample_of_each_run():
    found = order()
    rounds = found.rounds[found.samples]
    assert (np.diff(rounds) >= 0).all()
    assert set(np.diff(np.unique(rounds))) == {1}
    held = np.bincount(rounds, SIZES[found.samples])
    assert len(held) > 8
    assert held.max() <= 10_000 + LANES * SIZES.max()


def test_a_round_is_read_in_a_few_pieces():
    """At most one for each run, and one more where a run goes on in the next shard."""
    found = order()
    for number in range(int(found.rounds.max()) + 1):
        samples = np.sort(found.samples[found.rounds[found.samples] == number])
        assert 1 + (np.diff(samples) > 1).sum() <= LANES + len(COUNTS)


def test_samples_change_places_within_their_round():
    found = order()
    lane = found.samples[::LANES]
    steps = np.diff(lane)
    assert (steps == 1).mean() < 0.2
    rounds = found.rounds[lane]
    assert np.abs(np.diff(rounds)).max() == 1


def test_the_rounds_of_two_epochs_do_not_begin_alike():
    lengths = {int((found.rounds == 0).sum()) for found in (order(epoch=epoch) for epoch in range(4))}
    assert len(lengths) == 4


def test_what_fits_the_buffer_comes_in_the_order_of_an_array():
    found = order(buffer=int(SIZES.sum()))
    assert np.array_equal(found.samples, permutation(1000, 0, "shuffle", 0))
    assert not found.rounds.any()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 16])
def test_the_shares_of_all_processes_are_the_batch_of_one(size):
    batch = order().samples[:48]
    shares = [share(batch, rank, size) for rank in range(size)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(batch.tolist())
    assert [each[0] for each in shares] == batch[:size].tolist()
    assert {len(each) for each in shares} == {48 // size}


@pytest.mark.parametrize("size", [2, 4, 8])
def test_each_process_reads_its_own_part_of_the_shards(size):
    """In every epoch a process has runs of its own, of an n-th of all samples."""
    found = order()
    batches = [found.samples[start : start + 48] for start in range(0, 960, 48)]
    for rank in range(size):
        own = np.sort(np.concatenate([share(batch, rank, size) for batch in batches]))
        assert len(own) == 960 // size
        pieces = 1 + (np.diff(own) > 1).sum()
        assert pieces <= 2 * (LANES // size + len(COUNTS))


def test_a_process_that_is_not_there_has_no_share():
    with pytest.raises(ValueError, match="there is no process 2 among 2"):
        share([1, 2], 2, 2)


def test_without_a_seed_the_order_is_that_on_disk():
    found = sequential_order(SIZES, 20_000)
    assert found.samples.tolist() == list(range(1000))
    assert (np.diff(found.rounds) >= 0).all()
    assert found.rounds.max() > 8

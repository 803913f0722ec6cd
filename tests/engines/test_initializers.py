"""How parameters start: by the rules' distributions, from the seed and the parameter's name alone."""

from math import sqrt

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine
from foveate.engines.random import generator, raw, stream_key
from foveate.graph import Graph
from tests.support import Array

WIDE = fv.Sequential(fv.Conv2d(64, 3), fv.ReLU(), fv.Conv2d(64, 3), fv.Flatten(), fv.Linear(100)).build((32, 8, 8))


def start(engine: Engine, graph: Graph, name: str, seed: int = 0) -> Array:
    return engine.new_state(graph, seed=seed).read(name)


def test_weights_before_a_rectifier_are_normal_with_variance_two_over_fan_in(engine: Engine):
    weights = start(engine, WIDE, "conv1.weight")
    deviation = sqrt(2 / (32 * 9))
    assert weights.mean() == pytest.approx(0, abs=0.02 * deviation)
    assert weights.std() == pytest.approx(deviation, rel=0.02)
    assert (np.abs(weights) > 2 * deviation).mean() == pytest.approx(0.0455, abs=0.005)


def test_other_weights_are_uniform_with_variance_two_over_fan_in_and_fan_out(engine: Engine):
    weights = start(engine, WIDE, "conv2.weight")
    limit = sqrt(6 / (64 * 9 + 64 * 9))
    assert np.abs(weights).max() == pytest.approx(limit, rel=1e-3)
    assert weights.std() == pytest.approx(limit / sqrt(3), rel=0.02)
    assert weights.mean() == pytest.approx(0, abs=0.02 * limit)


@pytest.mark.parametrize(
    ("name", "value"), [("conv1.bias", 0), ("linear1.bias", 0), ("bn1.weight", 1), ("bn1.bias", 0),
                        ("bn1.running_mean", 0), ("bn1.running_var", 1)]
)  # fmt: skip
def test_biases_start_at_zero_and_normalisation_as_the_identity(engine: Engine, name: str, value: int):
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.Flatten(), fv.Linear(3)).build((1, 5, 5))
    assert set(start(engine, graph, name).ravel()) == {value}


def test_a_learned_slope_starts_at_a_quarter(engine: Engine):
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.PReLU(per_channel=True)).build((1, 5, 5))
    assert start(engine, graph, "prelu1.weight").tolist() == [0.25] * 4
    assert not graph.parameters["prelu1.weight"].decay


@pytest.mark.parametrize(("rule", "value"), [("zeros", 0), ("ones", 1)])
def test_a_layer_can_name_its_start(engine: Engine, rule: str, value: int):
    graph = fv.Sequential(fv.Linear(3, initializer=rule)).build((4,))
    assert set(start(engine, graph, "linear1.weight").ravel()) == {value}


def test_the_start_depends_on_the_name_and_seed_not_on_the_rest_of_the_network(engine: Engine):
    deeper = fv.Sequential(
        fv.Conv2d(64, 3), fv.ReLU(), fv.Conv2d(64, 3), fv.BatchNorm2d(), fv.Tanh(), fv.Flatten(), fv.Linear(7)
    ).build((32, 8, 8))
    assert np.array_equal(start(engine, WIDE, "conv1.weight"), start(engine, deeper, "conv1.weight"))
    assert np.array_equal(start(engine, WIDE, "conv2.weight"), start(engine, deeper, "conv2.weight"))


def test_two_layers_of_one_network_start_apart(engine: Engine):
    graph = fv.Sequential(fv.Linear(50), fv.Linear(50)).build((50,))
    state = engine.new_state(graph)
    correlation = np.corrcoef(state.read("linear1.weight").ravel(), state.read("linear2.weight").ravel())[0, 1]
    assert abs(correlation) < 0.1


def test_the_start_is_the_same_today_and_tomorrow(engine: Engine):
    """A stored model's seed must keep its meaning: these numbers may only change with a word in the changelog."""
    graph = fv.Sequential(fv.Linear(2)).build((3,))
    expected = start(engine, graph, "linear1.weight", seed=7)
    limit = sqrt(6 / 5)
    drawn = generator(7, "linear1.weight").uniform(-limit, limit, (2, 3))
    assert expected == pytest.approx(drawn, rel=1e-6)


@pytest.mark.parametrize(
    ("seed", "name", "step"),
    [(1, "dropout1", 0), (0, "dropout2", 0), (0, "dropout1", 1), (2**64 - 1, "dropout1", 0), (-3, "dropout1", 0)],
)
def test_another_seed_name_or_step_is_another_stream(seed: int, name: str, step: int):
    assert not np.intersect1d(raw(0, "dropout1", 0, 1000), raw(seed, name, step, 1000)).size


def test_a_stream_is_a_beginning_of_its_longer_self():
    assert np.array_equal(raw(3, "dropout1", 5, 10), raw(3, "dropout1", 5, 1000)[:10])


def test_streams_of_neighbouring_steps_do_not_overlap():
    assert not np.intersect1d(raw(0, "dropout1", 0, 100_000), raw(0, "dropout1", 1, 100_000)).size


def test_the_key_of_a_stream_is_the_same_on_every_machine():
    assert stream_key("dropout1") == 0x9B002C1E2F5C29F7


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64 of ten rounds, from the paper: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011."""
    mask = 2**64 - 1
    for number in range(10):
        k0, k1 = (key[0] + number * 0x9E3779B97F4A7C15) & mask, (key[1] + number * 0xBB67AE8584CAA73B) & mask
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [(second >> 64) ^ counter[1] ^ k0, second & mask, (first >> 64) ^ counter[3] ^ k1, first & mask]
    return counter


def test_philox_gives_its_authors_known_answer():
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox([0, 0, 0, 0], [0, 0]) == expected


@pytest.mark.parametrize(("seed", "name", "step"), [(0, "dropout1", 0), (7, "stage1.0.dropout1", 12)])
def test_the_raw_numbers_of_a_stream_are_philox_at_key_seed_and_name_and_counter_block_and_step(
    seed: int, name: str, step: int
):
    """NumPy counts blocks of four numbers from 1."""
    blocks = [philox([block, step, 0, 0], [seed, stream_key(name)]) for block in (1, 2, 3)]
    assert raw(seed, name, step, 12).tolist() == [number for block in blocks for number in block]

"""The memory plan: arrays that live at the same time never overlap, and memory is shared where it can be."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines import get_engine
from foveate.engines.native.plan import WORKSPACE, Storage, place_greedily


@pytest.mark.parametrize("seed", range(20))
def test_arrays_that_live_together_lie_apart(seed: int):
    random = np.random.default_rng(seed)
    lives = []
    for _ in range(60):
        first = int(random.integers(0, 50))
        lives.append((Storage(WORKSPACE, int(random.integers(1, 5000))), first, first + int(random.integers(0, 12))))
    total = place_greedily(lives)
    for (a, a_first, a_last), (b, b_first, b_last) in combinations(lives, 2):
        together = a_first <= b_last and b_first <= a_last
        apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
        assert apart or not together
    assert max(s.offset + s.bytes for s, _, _ in lives) <= total < sum(s.bytes + 64 for s, _, _ in lives)


def test_inference_needs_far_less_memory_than_all_activations_together():
    graph = fv.zoo.vgg6()
    program = get_engine("native").compile(graph, batch_size=64, mode="inference")
    everything = 4 * 64 * sum(int(np.prod(node.output_shape)) for node in graph.nodes)
    assert program.memory < everything / 2


@pytest.mark.parametrize("options", [{"mode": "inference"}, {"mode": "training", "loss": fv.CrossEntropy()}])
def test_memory_counts_every_byte_of_a_session(options: dict[str, Any]):
    program = get_engine("native").compile(fv.zoo.lenet5(), batch_size=2, **options)
    assert program.memory == program.new_session().memory > 0

"""Every network compiles, trains two steps and evaluates on the native engine, at a small input size."""

import numpy as np
import pytest

import foveate as fv
from foveate.engines import get_engine
from foveate.zoo import NETWORKS, make
from tests.support import normal

BATCH, CLASSES = 4, 5
SHAPES = {(224, 224): (64, 64), (32, 32): (16, 16), (28, 28): (28, 28), (8000,): (1024,), (32, 32, 32): (16, 16, 16)}
"""Small sizes by the network's own. Each leaves the last normalisation enough values: with two for each channel the
gradients of a deep network are a matter of rounding."""
BIG = {"alexnet", "zfnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"}
"""Their first linear layers have tens of millions of parameters at any input size."""

every_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in BIG else []) for name in NETWORKS]
)


@every_network
def test_a_network_trains_two_steps_and_evaluates(name: str):
    channels, *sizes = NETWORKS[name].input_shape
    shape = (channels, *SHAPES[tuple(sizes)])
    graph = make(name, input_shape=shape, classes=CLASSES)
    engine, optimizer = get_engine("native"), fv.SGD(weight_decay=0)
    state = engine.new_state(graph, optimizer, seed=1)
    before = {key: state.read(key) for key in graph.parameters}
    program = engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    x = normal((BATCH, *shape), 3)
    for _ in range(2):
        assert np.isfinite(program.step(state, x, np.array([1, 4, 0, 2]), learning_rate=1e-3).loss)
    after = {key: state.read(key) for key in graph.parameters}
    assert {key for key in before if not np.isfinite(after[key]).all()} == set()
    weights = [key for key in before if before[key].ndim > 1]
    assert {key for key in weights if np.array_equal(before[key], after[key])} == set()

    outputs = engine.compile(graph, batch_size=BATCH, mode="inference").forward(state, x)[graph.only_output]
    assert outputs.shape == (BATCH, CLASSES)
    assert np.isfinite(outputs).all()

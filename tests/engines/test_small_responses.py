"""Local response normalisation where there is next to nothing to do: oneDNN's own crashed."""

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine
from tests.support import normal, relative_error, run, single_layer


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (2, 1, 1), (1, 1, 1, 1), (1, 4, 4), (17, 4, 4), (3, 1, 16)])
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_it_is_what_the_definition_says(engine: Engine, truth: Engine, shape: tuple[int, ...], size: int):
    graph = single_layer(fv.LocalResponseNorm(size), shape)
    inputs, seed = {"input": normal((2, *shape))}, normal((2, *shape), 1)
    ours, exact = run(engine, graph, {}, inputs, seed), run(truth, graph, {}, inputs, seed)
    assert relative_error(ours.output, exact.output) <= 1e-5
    assert relative_error(ours.gradients["input"], exact.gradients["input"]) <= 1e-4
    assert np.isfinite(ours.output).all()


@pytest.mark.parametrize("size", [5, 9, 11, 2_000_000_000, 2_000_000_001])
def test_channels_that_are_not_there_take_no_time(engine: Engine, truth: Engine, size: int):
    graph = single_layer(fv.LocalResponseNorm(size, alpha=1.0), (5, 16, 16))
    inputs, seed = {"input": normal((2, 5, 16, 16))}, normal((2, 5, 16, 16), 1)
    ours, exact = run(engine, graph, {}, inputs, seed), run(truth, graph, {}, inputs, seed)
    assert relative_error(ours.output, exact.output) <= 1e-5
    assert relative_error(ours.gradients["input"], exact.gradients["input"]) <= 1e-4
    assert relative_error(ours.output, inputs["input"]) < 1e-5 or size < 100  # the mean is over all that could be

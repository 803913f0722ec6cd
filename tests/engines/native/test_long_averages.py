"""Averages over thousands of positions are right to the last digit, whatever the layout, padding or window."""

from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines import get_engine
from foveate.engines.reference import ReferenceEngine
from foveate.graph import Block
from tests.support import random_arrays, random_inputs, relative_error, state_with

CASES: dict[str, tuple[list[Block], tuple[int, ...]]] = {
    "global": ([fv.GlobalAvgPool2d()], (5, 56, 57)),
    "global, channels in blocks": ([fv.Conv2d(20, 1, bias=False), fv.GlobalAvgPool2d()], (1, 56, 57)),
    "global 1-D": ([fv.GlobalAvgPool1d()], (3, 16001)),
    "global 3-D": ([fv.GlobalAvgPool3d()], (3, 12, 13, 14)),
    "adaptive": ([fv.AdaptiveAvgPool2d((2, 1))], (3, 90, 45)),
    "windows": ([fv.AvgPool2d((40, 33), stride=(7, 5))], (3, 56, 57)),
    "padding counts": ([fv.AvgPool2d(40, stride=3, padding=(9, 17))], (3, 56, 57)),
    "padding does not count": ([fv.AvgPool2d(40, stride=3, padding=(9, 17), count_include_pad=False)], (3, 56, 57)),
    "one position, channels side by side": ([fv.AvgPool2d(40, stride=2, padding=20)], (48, 1, 1)),
    "the last window reaches out": ([fv.AvgPool2d(40, stride=7, ceil_mode=True, count_include_pad=False)], (3, 56, 57)),
}


@pytest.mark.parametrize("name", CASES)
def test_they_are_right_to_the_last_digit(name: str):
    blocks, shape = CASES[name]
    graph = fv.Sequential(*blocks).build(shape, quiet=True)
    x = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    arrays = {each: np.ones(parameter.shape) for each, parameter in graph.parameters.items()}
    results = []
    for engine in (get_engine("native"), ReferenceEngine(np.float64)):
        program = engine.compile(graph, batch_size=2, mode="inference", differentiable=True)
        output: Any = program.forward(state_with(engine, graph, arrays), x)[graph.only_output]
        program.backward({graph.only_output: np.arange(1.0, output.size + 1).reshape(output.shape)})
        results.append((output, program.gradient("input")))
    (ours, our_gradient), (exact, gradient) = results
    assert np.abs(ours / exact - 1).max() <= 1.2e-7
    assert relative_error(our_gradient, gradient) <= 3e-6


@pytest.mark.parametrize("pooling", [fv.GlobalAvgPool2d(), fv.AdaptiveAvgPool2d((1, 2))], ids=str)
def test_channels_that_lie_last_are_averaged_where_they_lie(pooling: fv.Layer):
    """In inference products may leave them so."""
    graph = fv.Sequential(fv.Conv2d(32, 1, bias=False), pooling).build((32, 66, 70), quiet=True)
    x, arrays = random_inputs(graph, 4), random_arrays(graph)
    engines = (get_engine("native"), ReferenceEngine(np.float64))
    programs = [engine.compile(graph, batch_size=4, mode="inference") for engine in engines]
    output, exact = (
        program.forward(state_with(engine, graph, arrays), x)[graph.only_output]
        for engine, program in zip(engines, programs, strict=True)
    )
    assert relative_error(output, exact) < 1e-6
    last = [step for step in programs[0].steps() if step.layouts.get("dst") == "acdb"]
    assert not last or not any(step.operation == "reorder" and step.bytes > 2**20 for step in programs[0].steps()[1:])

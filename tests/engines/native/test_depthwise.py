"""Depthwise convolutions between rectifiers: one step, against PyTorch, in every layout and at every border."""

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines import get_engine
from foveate.graph import Graph
from tests.support import normal, relative_error


def residual(
    channels: int, kernel_size: int, stride: int, size: tuple[int, int], padding: int, *, narrow: int = 8
) -> Graph:
    """A wide layer, ReLU6, the depthwise convolution with its normalisation, ReLU6, a narrow layer."""
    depthwise = fv.Conv2d(channels, kernel_size, stride=stride, padding=padding, groups=channels, bias=False)
    layers = [fv.Conv2d(channels, 1), fv.ReLU6(), depthwise, fv.BatchNorm2d(), fv.ReLU6(), fv.Conv2d(narrow, 1)]
    return fv.Sequential(*layers).build((narrow, *size), quiet=True)


def both(graph: Graph, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The output, PyTorch's, and the names of the operations that ran."""
    model = fv.Model(graph, engine="native")
    for number, name in enumerate((*graph.parameters, *graph.statistics)):
        before = model.read(name)
        model.state.load(name, before + 0.5 * np.abs(normal(before.shape, seed=number)))
    with torch.no_grad():
        expected = model.to_torch().eval().double()(torch.from_numpy(inputs)).numpy()
    program = model.engine.compile(graph, batch_size=len(inputs), mode="inference")
    output = program.forward(model.state, {"input": inputs.astype(np.float32)})[graph.only_output]
    return output, expected, [step.operation for step in program.steps()]


@pytest.mark.parametrize("channels", [16, 17, 24, 48, 72])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("kernel_size", "padding"), [(1, 0), (2, 1), (3, 0), (3, 1), (4, 3), (5, 2), (7, 3), (9, 4)])
def test_a_depthwise_convolution_between_rectifiers_is_one_step(
    channels: int, stride: int, kernel_size: int, padding: int
):
    for size in ((9, 9), (10, 23), (14, 1), (1, 30)):
        if min(size) + 2 * padding < kernel_size:
            continue
        graph = residual(channels, kernel_size, stride, size, padding)
        inputs = 4 * normal((2, 8, *size), seed=channels + stride)
        output, expected, operations = both(graph, inputs)
        assert relative_error(output, expected) < 2e-6, size
        assert operations.count("depthwise") == 1
        assert "relu6" not in operations


@pytest.mark.parametrize("channels", [16, 40])
def test_nan_passes_both_rectifiers_to_the_windows_that_see_it(channels: int):
    graph = residual(channels, 3, 2, (12, 13), 1)
    inputs = normal((3, 8, 12, 13), seed=3)
    inputs[1, 2, 5, 6] = np.nan
    output, expected, operations = both(graph, inputs)
    assert "depthwise" in operations
    np.testing.assert_array_equal(np.isnan(output), np.isnan(expected))
    assert 0 < np.isnan(expected).mean() < 0.1


def test_an_input_in_blocks_of_channels_is_read_as_it_lies():
    stem = [fv.Conv2d(32, 3, stride=2, padding=1), fv.ReLU6()]
    last = [fv.Conv2d(32, 3, padding=1, groups=32), fv.ReLU6(), fv.Conv2d(16, 1)]
    graph = fv.Sequential(*stem, *last).build((3, 32, 32), quiet=True)
    output, expected, operations = both(graph, normal((2, 3, 32, 32)))
    assert relative_error(output, expected) < 2e-6
    assert operations.count("depthwise") == 1


@pytest.mark.parametrize(
    "after",
    [
        [fv.Hardswish()],
        [fv.Sigmoid()],
        [fv.ReLU()],
        [],
    ],
    ids=["hard swish", "sigmoid", "relu", "nothing"],
)
def test_other_functions_behind_it_stay_right(after: list[fv.Layer]):
    layers = [fv.Conv2d(24, 1), fv.ReLU6(), fv.Conv2d(24, 3, padding=1, groups=24), *after, fv.Conv2d(4, 1)]
    graph = fv.Sequential(*layers).build((8, 11, 9), quiet=True)
    output, expected, operations = both(graph, 4 * normal((2, 8, 11, 9)))
    assert relative_error(output, expected) < 2e-6
    assert "depthwise" in operations


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 2.0), (0.5, 3.0)])
def test_any_bounds_are_kept_but_the_padding_is_zero(low: float, high: float):
    clip = fv.Hardtanh(low, high)
    layers = [fv.Conv2d(24, 1), clip, fv.Conv2d(24, 3, padding=1, groups=24), clip, fv.Conv2d(4, 1)]
    graph = fv.Sequential(*layers).build((8, 11, 9), quiet=True)
    output, expected, operations = both(graph, 4 * normal((2, 8, 11, 9)))
    assert relative_error(output, expected) < 2e-6
    assert "hardtanh" not in operations


def test_a_sum_behind_it_is_not_lost():
    builder = fv.GraphBuilder()
    value = builder.add(fv.ReLU6(), builder.add(fv.Conv2d(16, 1), builder.input((16, 9, 9))))
    first = builder.add(fv.Conv2d(16, 3, padding=1, groups=16), value)
    second = builder.add(fv.Conv2d(16, 3, padding=1, groups=16), builder.add(fv.ReLU6(), first))
    graph = builder.build(builder.add(fv.ReLU6(), builder.add(fv.Add(), second, value)), quiet=True)
    output, expected, _ = both(graph, 4 * normal((2, 16, 9, 9)))
    assert relative_error(output, expected) < 2e-6


def test_a_rectifier_that_is_looked_at_is_computed():
    graph = residual(16, 3, 1, (9, 9), 1)
    engine = get_engine("native")
    names = [node.name for node in graph.nodes if isinstance(node.layer, fv.ReLU6)]
    program = engine.compile(graph, batch_size=2, mode="inference", keep=tuple(names))
    program.forward(engine.new_state(graph, seed=0), {"input": 9 * normal((2, 8, 9, 9)).astype(np.float32)})
    for name in names:
        assert 0 <= program.activation(name).min() < program.activation(name).max() <= 6

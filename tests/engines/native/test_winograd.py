"""Winograd's convolution against the definition, at sizes that do and do not divide into tiles.

Where the processor lacks AVX-512 the same sizes run by oneDNN, and must be as right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines import get_engine, set_threads
from foveate.engines.native import _native
from foveate.engines.reference import ReferenceEngine
from tests.support import relative_error


def implementations(program: fv.engines.Program) -> set[str]:
    return {step.implementation for step in program.steps()}


@pytest.fixture(params=[1, 2, 5], ids="{} threads".format)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Each number of threads, and the former one again afterwards."""
    before = _native.threads()
    set_threads(request.param)
    yield request.param
    set_threads(before)


@pytest.mark.parametrize(
    ("channels", "filters", "height", "width", "padding", "batch_size"),
    [
        (16, 16, 28, 28, 1, 4),
        (32, 48, 13, 17, 1, 12),
        (48, 32, 9, 31, 0, 12),
        (64, 16, 7, 7, 2, 33),
        (16, 160, 5, 33, ((0, 2), (1, 0)), 9),
        (32, 32, 1, 29, 1, 40),
        (17, 33, 9, 11, 1, 30),
        (24, 16, 12, 7, 0, 33),
        (16, 50, 6, 6, 2, 40),
    ],
)
def test_forward_and_backward_equal_the_definition(channels, filters, height, width, padding, batch_size, threads):
    graph = fv.Sequential(fv.Named("conv", fv.Conv2d(filters, 3, padding=padding, bias=False))).build(
        (channels, height, width)
    )
    random = np.random.default_rng(0)
    x = random.standard_normal((batch_size, channels, height, width))
    seed = random.standard_normal((batch_size, *graph.output_shape))
    results = []
    for engine in (ReferenceEngine(np.float64), get_engine("native")):
        state = engine.new_state(graph, seed=1)
        # Not differentiable, so that Winograd may go back too; the loss sends back the seed.
        options = {"mode": "training", "loss": fv.MeanSquaredError(), "keep": ("input",)}
        program = engine.compile(graph, batch_size=batch_size, **options)
        output = program.forward(state, x)["conv"] if not results else results[0][0]
        program.step(state, x, output - seed * seed.size / 2)
        results.append((program.activation("conv"), program.gradient("input"), program.gradient("conv.weight")))
    back = {step.implementation for step in program.steps() if step.phase == "backward"}
    assert any("winograd" in name for name in back) == _native.winograd_available()
    (output, to_input, to_weight), (ours, our_input, our_weight) = results
    assert relative_error(ours, output) < 3e-6
    assert relative_error(our_input, to_input) < 3e-6
    assert relative_error(our_weight, to_weight) < 3e-6


@pytest.mark.parametrize("filters", [32, 25])
def test_bias_folded_normalisation_and_relu_are_applied_by_the_kernel(filters: int):
    graph = fv.Sequential(
        fv.Conv2d(filters, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.Conv2d(18, 3, padding=1), fv.ReLU()
    ).build((16, 20, 20))
    x = np.random.default_rng(0).standard_normal((16, 16, 20, 20))
    exact, native = ReferenceEngine(np.float64), get_engine("native")
    states = exact.new_state(graph, seed=2), native.new_state(graph, seed=2)
    for name, low in (("bn1.running_mean", -1), ("bn1.running_var", 0.5), ("bn1.weight", 0.5), ("conv1.bias", -1)):
        values = np.random.default_rng(1).uniform(low, low + 2, states[0].read(name).shape)
        for state in states:
            state.load(name, values)
    outputs = [
        engine.compile(graph, batch_size=16, mode="inference").forward(state, x)["relu2"]
        for engine, state in zip((exact, native), states, strict=True)
    ]
    steps = native.compile(graph, batch_size=16, mode="inference").steps()
    assert sum("convolution" in step.operation for step in steps) == 2
    assert not any("batch norm" in step.operation for step in steps)
    assert relative_error(outputs[1], outputs[0]) < 3e-6


def test_infinity_makes_no_nan_in_what_fills_the_last_block():
    graph = fv.Sequential(fv.Conv2d(24, 3, padding=1), fv.Conv2d(20, 3, padding=1)).build((17, 16, 16))
    engine = get_engine("native")
    state = engine.new_state(graph, seed=0)
    for name in state.names():
        state.load(name, np.abs(state.read(name)))
    x = np.ones((8, 17, 16, 16), np.float32)
    x[3, 5, 10, 11] = np.inf
    output = engine.compile(graph, batch_size=8, mode="inference").forward(state, x)[graph.only_output]
    reached = np.zeros(output.shape, bool)
    reached[3, :, 8:13, 9:14] = True
    assert np.array_equal(output == np.inf, reached)
    assert np.isfinite(output[~reached]).all()


def test_few_tiles_are_left_to_the_direct_convolution():
    graph = fv.Sequential(fv.Conv2d(16, 3, padding=1)).build((16, 8, 8))
    program = get_engine("native").compile(graph, batch_size=1, mode="inference")
    assert not any("winograd" in name for name in implementations(program))


@pytest.mark.parametrize(
    "layer",
    [
        fv.Conv2d(16, 3, stride=2, padding=1),
        fv.Conv2d(16, 3, dilation=2, padding=2),
        fv.Conv2d(16, 3, groups=16, padding=1),
        fv.Conv2d(12, 3, padding=1),
        fv.Conv2d(16, 5, padding=2),
    ],
    ids=lambda layer: layer.describe(),
)
def test_what_the_kernel_cannot_do_is_left_to_the_direct_convolution(layer):
    graph = fv.Sequential(layer).build((16, 32, 32))
    program = get_engine("native").compile(graph, batch_size=64, mode="inference")
    assert not any("winograd" in name for name in implementations(program))


def three_convolutions() -> Any:
    layers = [fv.Conv2d(16, 3, padding=1, bias=False) for _ in range(3)]
    return fv.Sequential(*layers).build((16, 64, 64))


def test_gradients_that_a_person_measures_stay_where_the_definition_has_them():
    """The receptive field by gradients: an odd pixel of one output, three convolutions deep."""
    graph, engine = three_convolutions(), get_engine("native")
    program = engine.compile(graph, batch_size=1, mode="inference", differentiable=True)
    seed = np.zeros((1, 16, 64, 64))
    seed[0, 3, 31, 30] = 1
    program.forward(engine.new_state(graph), np.random.default_rng(0).standard_normal(seed.shape))
    program.backward({graph.only_output: seed})
    rows, columns = np.nonzero(program.gradient("input").any(axis=(0, 1)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (28, 34, 27, 33)


def test_one_nan_in_the_outputs_gradient_reaches_nine_positions():
    graph = fv.Sequential(fv.Conv2d(16, 3, padding=1, bias=False)).build((16, 64, 64))
    engine = get_engine("native")
    program = engine.compile(graph, batch_size=1, mode="inference", differentiable=True)
    seed = np.zeros((1, 16, 64, 64))
    seed[0, 3, 31, 30] = np.nan
    program.forward(engine.new_state(graph), np.ones(seed.shape))
    program.backward({graph.only_output: seed})
    assert np.isnan(program.gradient("input")).any(axis=(0, 1)).sum() == 9


@pytest.mark.parametrize("relu", [False, True], ids=["", "with ReLU"])
def test_sums_of_large_inputs_do_not_overflow(relu: bool):
    graph = fv.Sequential(fv.Conv2d(16, 3, padding=1, bias=False), *[fv.ReLU()] * relu).build((16, 48, 48))
    engine = get_engine("native")
    state, weight = engine.new_state(graph), np.zeros((16, 16, 3, 3))
    weight[:, 0, 1, 1] = 0.01
    state.load("conv1.weight", weight)
    program = engine.compile(graph, batch_size=1, mode="inference")
    output = program.forward(state, np.full((1, 16, 48, 48), 1e38))[graph.only_output]
    np.testing.assert_allclose(output, 1e36, rtol=1e-5)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan], ids=str)
@pytest.mark.parametrize("relu", [False, True], ids=["", "with ReLU"])
def test_one_infinite_pixel_reaches_what_pytorch_says(special: float, relu: bool):
    graph = fv.Sequential(fv.Conv2d(16, 3, padding=1), *[fv.ReLU()] * relu).build((16, 48, 48))
    engine = get_engine("native")
    state = engine.new_state(graph, seed=3)
    x = np.random.default_rng(0).standard_normal((1, 16, 48, 48)).astype(np.float32)
    x[0, 5, 20, 21] = special
    output = engine.compile(graph, batch_size=1, mode="inference").forward(state, x)[graph.only_output]
    weight, bias = (torch.tensor(state.read(f"conv1.{name}")) for name in ("weight", "bias"))
    theirs = torch.nn.functional.conv2d(torch.tensor(x), weight, bias, padding=1)
    np.testing.assert_allclose(output, (theirs.relu() if relu else theirs).numpy(), rtol=1e-4, atol=1e-5)


@dataclass(frozen=True)
class Ones(fv.Loss):
    """Sends ones back, whatever the outputs are."""


fv.engines.register_loss(
    Ones, lambda loss, outputs, targets, weight: 0.0, lambda loss, outputs, targets, weight: np.ones_like(outputs)
)


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan, 3e38], ids=str)
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("size", [48, 47])
def test_infinite_weights_reach_what_pytorch_says(special: float, mode: Any, size: int):
    """Forward, with filters transformed once or at each run, and back; so do finite ones whose transform overflows."""
    graph = fv.Sequential(fv.Conv2d(16, 3, padding=1)).build((16, size, size))
    engine, random = get_engine("native"), np.random.default_rng(0)
    state = engine.new_state(graph, seed=3)
    weight = state.read("conv1.weight")
    weight[3, 2, 0, 1] = weight[4, 5, 2, 2] = special
    if np.isfinite(special):
        weight[3, 2] = weight[4, 5] = special
    state.load("conv1.weight", weight)
    x = 0.01 * random.standard_normal((2, 16, size, size)).astype(np.float32)
    options = {"loss": Ones(), "keep": ("input",)} if mode == "training" else {}
    program = engine.compile(graph, batch_size=2, mode=mode, **options)
    output = program.forward(state, x)[graph.only_output]
    inputs = torch.tensor(x, requires_grad=True)
    theirs = torch.nn.functional.conv2d(inputs, torch.tensor(weight), torch.tensor(state.read("conv1.bias")), padding=1)
    assert any("winograd" in name for name in implementations(program)) == _native.winograd_available()
    np.testing.assert_allclose(output, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
    if mode == "training":
        program.step(state, x, np.zeros(output.shape))
        theirs.backward(torch.ones_like(theirs))
        assert inputs.grad is not None
        np.testing.assert_allclose(program.gradient("input"), inputs.grad.numpy(), rtol=1e-4, atol=1e-5)

"""Every layer forward and backward: the reference against PyTorch in float64, every engine against the reference."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph
from foveate.layers.registry import built_in_layers
from tests.engines.cases import ALL_CASES, CASES, Case
from tests.support import (
    Array,
    Arrays,
    Run,
    beyond,
    bound,
    normal,
    random_arrays,
    random_inputs,
    random_seed,
    relative_error,
    run,
    run_torch,
    single_layer,
    state_with,
)

every_case = pytest.mark.parametrize("case", ALL_CASES.values(), ids=ALL_CASES)


@every_case
def test_the_reference_engine_in_float64_agrees_with_pytorch(case: Case, truth: Engine):
    graph = single_layer(case.layer, *case.shapes)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, case.batch), random_seed(graph, case.batch)
    ours = run(truth, graph, arrays, inputs, seed, mode=case.mode)
    theirs = run_torch(case.torch, graph, arrays, inputs, seed)
    assert relative_error(ours.output, theirs.output) <= 1e-10
    assert beyond(1e-10, ours.gradients, theirs.gradients) == {}


@every_case
def test_an_engine_agrees_with_the_reference_in_float64(case: Case, engine: Engine, truth: Engine):
    graph = single_layer(case.layer, *case.shapes)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, case.batch), random_seed(graph, case.batch)
    ours = run(engine, graph, arrays, inputs, seed, mode=case.mode)
    exact = run(truth, graph, arrays, inputs, seed, mode=case.mode)
    assert relative_error(ours.output, exact.output) <= 1e-5
    assert beyond(1e-4, ours.gradients, exact.gradients) == {}


@pytest.mark.parametrize("layer_type", built_in_layers(), ids=lambda layer_type: layer_type.__name__)
def test_every_layer_type_has_a_case(layer_type: type[fv.Layer]):
    assert any(type(case.layer) is layer_type for case in ALL_CASES.values())


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride", "padding"), [(2, 3, 2, 0), (1, 2, 2, 0), (4, 5, 3, 0), (2, 6, 3, 1)]
)
def test_ceil_mode_takes_a_window_longer_than_its_input_as_pytorch_does(
    engine: Engine, size: int, kernel_size: int, stride: int, padding: int
):
    layer = fv.MaxPool1d(kernel_size, stride=stride, padding=padding, ceil_mode=True)
    x = normal((1, 1, size))
    expected = F.max_pool1d(torch.tensor(x), kernel_size, stride, padding, ceil_mode=True)
    graph = single_layer(layer, (1, size))
    assert run(engine, graph, {}, {"input": x}, np.ones(expected.shape)).output.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (1, {"kernel_size": 2, "dilation": 3, "padding": 2}),
        (2, {"kernel_size": 2, "dilation": 3, "padding": "same"}),
        (2, {"kernel_size": 2, "dilation": 5, "padding": 3}),
    ],
)
def test_a_dilated_window_whose_taps_all_miss_the_input_never_yields_minus_infinity(
    engine: Engine, size: int, options: dict
):
    """Refusing it when built is as good: the design says that such a window is refused."""
    try:
        graph = single_layer(fv.MaxPool1d(stride=1, **options), (1, size))
    except fv.FoveateError:
        return
    program = engine.compile(graph, batch_size=1, mode="inference")
    output = program.forward(engine.new_state(graph), np.ones((1, 1, size)))["layer"]
    assert np.isfinite(output).all()


def test_maximum_pooling_gives_a_tie_to_the_first_position(any_engine: Engine):
    graph = single_layer(fv.MaxPool2d(2), (1, 4, 4))
    ours = run(any_engine, graph, {}, {"input": np.zeros((1, 1, 4, 4))}, np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert ours.gradients["input"][0, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("layer", "shape", "first"),
    [
        (fv.GlobalMaxPool2d(), (2, 2, 3), [[[1, 0, 0], [0, 0, 0]]] * 2),
        (fv.AdaptiveMaxPool1d(2), (1, 4), [[1, 0, 1, 0]]),
        (fv.AdaptiveMaxPool1d(2), (1, 3), [[1, 1, 0]]),
        (fv.Maxout(2), (4,), [1, 0, 1, 0]),
    ],
    ids=repr,
)
def test_the_first_of_equal_maxima_gets_the_gradient(
    any_engine: Engine, layer: fv.Layer, shape: tuple[int, ...], first: list[Any]
):
    graph = single_layer(layer, shape)
    seed = np.ones((1, *graph.output_shape))
    ours = run(any_engine, graph, {}, {"input": np.zeros((1, *shape))}, seed)
    assert ours.gradients["input"][0].tolist() == first


def test_a_squeezed_and_excited_block_reads_its_own_input_twice(any_engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((3, 4, 4), "input")
    scale = builder.add(fv.Sigmoid(), builder.add(fv.Linear(3), builder.add(fv.GlobalAvgPool2d(), x)))
    graph = builder.build(builder.add(fv.Multiply(), x, scale, name="output"), quiet=True)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 2), random_seed(graph, 2)
    theirs = run_torch(
        lambda x, p: x[0] * torch.sigmoid(F.linear(x[0].mean((2, 3)), p["weight"], p["bias"]))[:, :, None, None],
        graph, arrays, inputs, seed,
    )  # fmt: skip
    ours = run(any_engine, graph, arrays, inputs, seed)
    assert relative_error(ours.output, theirs.output) <= bound(any_engine, double=1e-10, single=1e-5)
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), ours.gradients, theirs.gradients) == {}


def test_a_convolution_with_repeated_borders_keeps_its_followers(engine: Engine, truth: Engine):
    """A batch normalisation and an activation after it run apart, and it may share its weight with another."""
    builder = fv.GraphBuilder()
    x = builder.input((4, 6, 6), "input")
    for mode in ("reflect", "zeros", "circular"):
        x = builder.add(fv.Conv2d(4, 3, padding=1, groups=2, bias=False, padding_mode=mode), x, parameters="shared")
        x = builder.add(fv.ReLU(), builder.add(fv.BatchNorm2d(), x))
    graph = builder.build(x, quiet=True)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 2), random_seed(graph, 2)
    for way in ("training", "inference"):
        ours, exact = (run(e, graph, arrays, inputs, seed, mode=way) for e in (engine, truth))
        assert relative_error(ours.output, exact.output) <= 1e-5
        assert beyond(1e-4, ours.gradients, exact.gradients) == {}
    program = engine.compile(graph, batch_size=2, mode="inference")
    output = program.forward(state_with(engine, graph, arrays), inputs)[graph.only_output]
    assert relative_error(output, exact.output) <= 1e-5


ACTIVATIONS = {case.layer: case for case in CASES["activation"].values() if not isinstance(case.layer, fv.Maxout)}


def in_pytorch(case: Case, graph: Graph, x: Array) -> Run:
    """An activation of (samples, features), its slopes learned where it has such."""
    return run_torch(case.torch, graph, quarters(graph), {"input": x}, np.ones_like(x))


def quarters(graph: Graph) -> Arrays:
    """The slope with which a PReLU starts, for every parameter."""
    return {name: np.full(each.shape, 0.25) for name, each in graph.parameters.items()}


@pytest.mark.parametrize(
    "case", [case for layer, case in ACTIVATIONS.items() if layer.notation], ids=lambda case: case.layer.describe()
)
def test_the_derivative_at_zero_is_pytorchs(any_engine: Engine, case: Case):
    graph, x = single_layer(case.layer, (3,)), np.zeros((1, 3))
    ours = run(any_engine, graph, quarters(graph), {"input": x}, np.ones((1, 3)))
    assert ours.gradients["input"] == pytest.approx(in_pytorch(case, graph, x).gradients["input"], abs=1e-7)


@pytest.mark.parametrize("case", ACTIVATIONS.values(), ids=lambda case: case.layer.describe())
def test_an_activation_far_from_zero_saturates_without_overflow(any_engine: Engine, case: Case):
    graph, x = single_layer(case.layer, (2,)), np.array([[-1e4, 1e4]])
    ours, theirs = run(any_engine, graph, quarters(graph), {"input": x}, np.ones((1, 2))), in_pytorch(case, graph, x)
    assert ours.output == pytest.approx(theirs.output, rel=1e-6, abs=1e-6)
    assert ours.gradients["input"] == pytest.approx(theirs.gradients["input"], abs=1e-6)


def test_the_loss_of_huge_logits_is_finite(any_engine: Engine):
    graph = single_layer(fv.Flatten(), (3,))
    program = any_engine.compile(graph, batch_size=1, mode="training", loss=fv.CrossEntropy(), keep=("input",))
    result = program.step(any_engine.new_state(graph), np.array([[1e4, 0.0, -1e4]]), [1])
    assert result.loss == pytest.approx(1e4)
    assert program.gradient("input")[0] == pytest.approx([1, -1, 0])

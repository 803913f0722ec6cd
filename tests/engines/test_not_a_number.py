"""NaN and infinities go through every layer as through PyTorch's: maxima, rectifiers, softmax, fused or apart."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Block
from foveate.layers import Layer

pytestmark = pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow", "ignore:All-NaN")

NAN, INF = float("nan"), float("inf")
SPECIAL = [NAN, INF, -INF, -5e37, -200.0, -3.0, -1.5, -0.0, 0.0, 1.5, 3.0, 6.0, 200.0, 5e37]

ACTIVATIONS: dict[str, tuple[Layer, Callable[[torch.Tensor], torch.Tensor]]] = {
    "ReLU": (fv.ReLU(), F.relu),
    "LeakyReLU": (fv.LeakyReLU(), lambda x: F.leaky_relu(x, 0.1)),
    "LeakyReLU without slope": (fv.LeakyReLU(0.0), lambda x: F.leaky_relu(x, 0.0)),
    "ReLU6": (fv.ReLU6(), F.relu6),
    "ELU": (fv.ELU(), F.elu),
    "Sigmoid": (fv.Sigmoid(), torch.sigmoid),
    "Tanh": (fv.Tanh(), torch.tanh),
    "SiLU": (fv.SiLU(), F.silu),
    "Hardswish": (fv.Hardswish(), F.hardswish),
    "Hardsigmoid": (fv.Hardsigmoid(), F.hardsigmoid),
    "Hardtanh": (fv.Hardtanh(-1.5, 3), lambda x: F.hardtanh(x, -1.5, 3.0)),
    "GELU": (fv.GELU(), F.gelu),
    "GELU by tanh": (fv.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "Softplus": (fv.Softplus(), F.softplus),
    "Mish": (fv.Mish(), F.mish),
    "SELU": (fv.SELU(), F.selu),
    "CELU": (fv.CELU(0.5), lambda x: F.celu(x, 0.5)),
    "Clip": (fv.Clip(-1.5, 3), lambda x: x.clamp(-1.5, 3.0)),
    "Clip from below": (fv.Clip(low=-1.5), lambda x: x.clamp(min=-1.5)),
    "Rescale": (fv.Rescale(2, -1), lambda x: x * 2 - 1),
    "Power 2": (fv.Power(2), lambda x: x**2),
    "Power 3": (fv.Power(3), lambda x: x**3),
    "Power 0.5": (fv.Power(0.5), lambda x: x**0.5),
    "Power -1": (fv.Power(-1), lambda x: 1 / x),
    "Power 0": (fv.Power(0), lambda x: x**0),
    "Power 1.7": (fv.Power(1.7), lambda x: x**1.7),
    "Exp": (fv.Exp(), torch.exp),
    "Abs": (fv.Abs(), torch.abs),
    "Log": (fv.Log(), torch.log),
    "Erf": (fv.Erf(), torch.erf),
    "ThresholdedReLU": (fv.ThresholdedReLU(1.5), lambda x: F.threshold(x, 1.5, 0.0)),
}

RECTIFIERS = ("ReLU", "LeakyReLU", "ReLU6", "Hardswish", "Hardsigmoid", "Clip", "Abs", "SELU", "ThresholdedReLU")


def forward(engine: Engine, blocks: Sequence[Block], x: Any, **options: Any) -> tuple[NDArray, Any]:
    """What the blocks give for `x`, and the program that gave it."""
    values = np.asarray(x, np.float32)
    graph = fv.Sequential(*blocks).build(values.shape[1:], quiet=True)
    program = engine.compile(graph, batch_size=len(values), **{"mode": "inference", **options})
    return program.forward(engine.new_state(graph, seed=0), values)[graph.only_output], program


def assert_same(ours: NDArray, theirs: torch.Tensor) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_pass_them_on_as_pytorchs_do(engine: Engine, name: str):
    layer, theirs = ACTIVATIONS[name]
    output, _ = forward(engine, [layer], [SPECIAL])
    # In float64, if the kernel is not PyTorch's own: with AVX-512 its float32 GELU makes NaN of infinity.
    dtype = torch.float32 if engine.name == "torch" else torch.float64
    assert_same(output, theirs(torch.tensor([SPECIAL], dtype=dtype)).float())


@pytest.mark.parametrize("name", RECTIFIERS)
@pytest.mark.parametrize("seed", [1.0, NAN], ids=["a number", "NaN"])
def test_rectifiers_send_gradients_back_as_pytorchs_do(engine: Engine, name: str, seed: float):
    layer, theirs = ACTIVATIONS[name]
    numbers = [value for value in SPECIAL if not np.isnan(value)]
    output, program = forward(engine, [layer], [numbers], differentiable=True)
    program.backward({program.graph.only_output: np.full_like(output, seed)})
    x = torch.tensor([numbers], requires_grad=True)
    theirs(x).backward(torch.full_like(x, seed))
    assert x.grad is not None
    assert_same(program.gradient("input"), x.grad)


@pytest.mark.parametrize("slopes", [[0.25, 0.5], [NAN, 0.5], [0.25]], ids=["numbers", "NaN", "shared"])
def test_learned_slopes_meet_them_as_pytorchs_do(engine: Engine, slopes: list[float]):
    x = np.array([[[NAN, 1, -2, -INF, INF, 0]], [[3, -1, NAN, 2, -1, 1]]], np.float32).repeat(2, axis=1)
    graph = fv.Sequential(fv.PReLU(per_channel=len(slopes) > 1)).build(x.shape[1:], quiet=True)
    state = engine.new_state(graph)
    state.load("prelu1.weight", np.array(slopes, np.float32))
    program = engine.compile(graph, batch_size=2, mode="training", differentiable=True)
    output, tensor = program.forward(state, x)[graph.only_output], torch.tensor(x, requires_grad=True)
    weight = torch.tensor(slopes, requires_grad=True)
    theirs = F.prelu(tensor, weight)
    theirs.sum().backward()
    program.backward({graph.only_output: np.ones_like(output)})
    assert tensor.grad is not None
    assert weight.grad is not None
    assert_same(output, theirs)
    assert_same(program.gradient("input"), tensor.grad)
    assert_same(program.gradient("prelu1.weight"), weight.grad)


@pytest.mark.parametrize(
    ("kind", "theirs"), [("max", torch.amax), ("min", torch.amin), ("sum", torch.sum), ("mean", torch.mean)]
)
def test_reductions_meet_them_as_pytorchs_do(engine: Engine, kind: str, theirs: Callable[..., torch.Tensor]):
    x = np.array([[[1, NAN, 3], [INF, INF, 2], [-INF, -1, -1], [-INF, INF, 0], [2, 2, -INF]]], np.float32)
    output, program = forward(engine, [fv.Reduce(kind, (1,))], x, differentiable=True)
    tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(tensor, 2)
    expected.sum().backward()
    program.backward({program.graph.only_output: np.ones_like(output)})
    assert tensor.grad is not None
    assert_same(output, expected)
    assert_same(program.gradient("input"), tensor.grad)


@pytest.mark.parametrize("outputs", [1, 3, 4])
def test_a_gradient_of_nan_goes_to_the_winner_of_its_bin_alone(engine: Engine, outputs: int):
    x = np.arange(7, dtype=np.float32)[None, None]
    output, program = forward(engine, [fv.AdaptiveMaxPool1d(outputs)], x, differentiable=True)
    tensor = torch.tensor(x, requires_grad=True)
    seed = np.where(np.arange(outputs) == 0, NAN, 1).astype(np.float32)[None, None]
    F.adaptive_max_pool1d(tensor, outputs).backward(torch.tensor(seed))
    program.backward({program.graph.only_output: seed})
    assert tensor.grad is not None
    assert_same(program.gradient("input"), tensor.grad)
    assert output.shape == seed.shape


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_padding_of_a_maximum_never_wins(engine: Engine, axes: int):
    layers = {1: (fv.MaxPool1d, F.max_pool1d), 2: (fv.MaxPool2d, F.max_pool2d), 3: (fv.MaxPool3d, F.max_pool3d)}
    make, theirs = layers[axes]
    x = np.full((1, 1, *(4,) * axes), -INF, np.float32)
    output, program = forward(engine, [make(3, stride=2, padding=1)], x, differentiable=True)
    tensor = torch.tensor(x, requires_grad=True)
    theirs(tensor, 3, 2, 1).sum().backward()
    program.backward({program.graph.only_output: np.ones_like(output)})
    assert tensor.grad is not None
    assert_same(program.gradient("input"), tensor.grad)


@pytest.mark.parametrize("special", [NAN, INF])
def test_the_padding_of_a_convolution_meets_no_weight(truth: Engine, special: float):
    """By definition; fast kernels that copy windows together, PyTorch's too, multiply it."""
    engine = truth
    graph = fv.Sequential(fv.Conv2d(1, 3, padding=1, bias=False)).build((1, 4, 4), quiet=True)
    weight = np.ones((1, 1, 3, 3), np.float32)
    weight[0, 0, 0, 0] = special
    state = engine.new_state(graph)
    state.load("conv1.weight", weight)
    program = engine.compile(graph, batch_size=1, mode="training", differentiable=True)
    output = program.forward(state, np.ones((1, 1, 4, 4), np.float32))[graph.only_output]
    np.testing.assert_array_equal(output[0, 0, 0], [4, 6, 6, 4])
    assert np.isfinite(output).sum() == 7


@pytest.mark.parametrize("differentiable", [False, True], ids=["inference", "with gradients"])
@pytest.mark.parametrize("channels", [1, 5, 16])
def test_maxima_pass_nan_on_and_leave_infinities(engine: Engine, channels: int, differentiable: bool):
    rows = np.array([[3, NAN, NAN, NAN, -INF, -INF, 1, INF]], np.float32)
    x = np.repeat(rows[None], channels, axis=1)
    output, program = forward(engine, [fv.MaxPool1d(2)], x, differentiable=differentiable)
    assert_same(output, F.max_pool1d(torch.tensor(x), 2))
    np.testing.assert_array_equal(output[0, 0], [NAN, NAN, -INF, INF])
    if differentiable:
        program.backward({program.graph.only_output: np.ones_like(output)})
        np.testing.assert_array_equal(program.gradient("input")[0, 0], [0, 1, 0, 1, 1, 0, 0, 1])


@pytest.mark.parametrize(
    ("layer", "theirs"),
    [
        (fv.MaxPool2d(3, stride=2, padding=1), lambda x: F.max_pool2d(x, 3, 2, 1)),
        (fv.MaxPool2d(2, dilation=2), lambda x: F.max_pool2d(x, 2, 2, 0, 2)),
        (fv.MaxPool2d(3, stride=2, ceil_mode=True), lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
        (fv.GlobalMaxPool2d(), lambda x: F.adaptive_max_pool2d(x, 1).flatten(1)),
        (fv.AdaptiveMaxPool2d(3), lambda x: F.adaptive_max_pool2d(x, 3)),
        (fv.AdaptiveMaxPool2d(4), lambda x: F.adaptive_max_pool2d(x, 4)),
        (fv.AvgPool2d(2), lambda x: F.avg_pool2d(x, 2)),
        (fv.AvgPool2d(3, stride=2, padding=1), lambda x: F.avg_pool2d(x, 3, 2, 1)),
        (fv.GlobalAvgPool2d(), lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1)),
        (fv.AdaptiveAvgPool2d(3), lambda x: F.adaptive_avg_pool2d(x, 3)),
        (fv.AdaptiveAvgPool2d(4), lambda x: F.adaptive_avg_pool2d(x, 4)),
    ],
    ids=lambda value: value.describe() if isinstance(value, Layer) else "",
)
@pytest.mark.parametrize("special", [NAN, INF, -INF], ids=str)
def test_pooling_keeps_them_where_they_are(engine: Engine, layer: Any, theirs: Any, special: float):
    x = np.random.default_rng(0).standard_normal((2, 16, 8, 8)).astype(np.float32)
    x[1, 3, 4, 5] = x[0, 0, 0, 0] = special
    output, _ = forward(engine, [layer], x)
    assert_same(output, theirs(torch.tensor(x)))


def test_one_infinity_stays_in_its_bin(engine: Engine):
    output, _ = forward(engine, [fv.AdaptiveAvgPool1d(3)], [[[0, 1, 2, 3, INF, 5, 6, 7]]])
    np.testing.assert_array_equal(output, [[[1, INF, 6]]])


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("special", [NAN, INF, -INF], ids=str)
def test_linear_upsampling_spreads_them_no_further_than_their_neighbours(engine: Engine, scale: int, special: float):
    """PyTorch's spreads them at least as far, and makes NaN of an infinity on which an output lies exactly."""
    x = np.random.default_rng(0).standard_normal((1, 2, 5, 6)).astype(np.float32)
    x[0, 1, 2, 3] = x[0, 0, 0, 5] = special
    output, _ = forward(engine, [fv.Upsample(scale, mode="linear")], x)
    theirs = F.interpolate(torch.tensor(x), scale_factor=scale, mode="bilinear").numpy()
    there = ~np.isfinite(np.repeat(np.repeat(x, scale, axis=2), scale, axis=3))
    assert not np.isfinite(output[there]).any()
    agree = np.isfinite(theirs)
    np.testing.assert_allclose(output[agree], theirs[agree], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(output[np.isinf(theirs)], theirs[np.isinf(theirs)])
    assert np.isnan(output).any() == np.isnan(special) or engine.name == "torch"


@pytest.mark.parametrize("layer", [fv.Softmax(), fv.LogSoftmax()], ids=["softmax", "its logarithm"])
@pytest.mark.parametrize("row", [[1, NAN, 2], [NAN, 1, 2], [1, INF, 2], [1, -INF, 2], [-INF] * 3], ids=str)
def test_softmax_makes_a_whole_row_nan(engine: Engine, layer: Any, row: list[float]):
    output, _ = forward(engine, [layer], [row, [0, 1, 2]])
    theirs = torch.softmax if isinstance(layer, fv.Softmax) else torch.log_softmax
    assert_same(output, theirs(torch.tensor([row, [0.0, 1.0, 2.0]]), 1))


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("differentiable", [False, True], ids=["", "with gradients"])
@pytest.mark.parametrize("special", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize(
    "activation",
    [fv.ReLU(), fv.ReLU6(), fv.LeakyReLU(), fv.Tanh(), fv.Hardsigmoid(), fv.SiLU(), fv.Sigmoid(), fv.Hardswish()],
    ids=str,
)
def test_fused_with_a_product_an_activation_lets_them_through(
    engine: Engine, activation: Any, mode: Any, differentiable: bool, special: float
):
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 9)).astype(np.float32)
    x[1, 1, 4, 4] = special
    blocks = [fv.Conv2d(20, 3, padding=1), activation]
    output, program = forward(engine, blocks, x, mode=mode, differentiable=differentiable)
    state = engine.new_state(program.graph, seed=0)
    weight, bias = (torch.tensor(state.read(f"conv1.{name}")) for name in ("weight", "bias"))
    theirs = next(function for layer, function in ACTIVATIONS.values() if layer == activation)
    assert_same(output, theirs(F.conv2d(torch.tensor(x), weight, bias, padding=1)))


@pytest.mark.parametrize("special", [NAN, INF], ids=str)
@pytest.mark.parametrize("channels", [3, 16])
def test_a_normalised_channel_with_one_is_nan_and_the_others_are_as_ever(engine: Engine, channels: int, special: float):
    x = np.random.default_rng(0).standard_normal((4, channels, 5, 5)).astype(np.float32)
    clean, _ = forward(engine, [fv.BatchNorm2d(), fv.ReLU()], x, mode="training", differentiable=True)
    x[2, 1, 3, 3] = special
    output, _ = forward(engine, [fv.BatchNorm2d(), fv.ReLU()], x, mode="training", differentiable=True)
    assert np.isnan(output[:, 1]).all()
    np.testing.assert_array_equal(np.delete(output, 1, axis=1), np.delete(clean, 1, axis=1))


def test_a_running_normalisation_before_relu_keeps_nan_where_it_is(engine: Engine):
    x = np.random.default_rng(0).standard_normal((4, 16, 5, 5)).astype(np.float32)
    x[2, 1, 3, 3] = NAN
    for differentiable in (False, True):
        output, _ = forward(engine, [fv.BatchNorm2d(), fv.ReLU()], x, differentiable=differentiable)
        np.testing.assert_array_equal(np.isnan(output), np.isnan(x))


def test_a_sum_before_relu_passes_nan_on(engine: Engine):
    output, _ = forward(engine, [fv.Residual(fv.Tanh()), fv.ReLU()], [[NAN, -1.0, 2.0, -INF]])
    np.testing.assert_allclose(output, [[NAN, 0, 2 + np.tanh(2), 0]], rtol=1e-6)


def test_maxout_passes_nan_on(engine: Engine):
    output, _ = forward(engine, [fv.Maxout(2)], [[1, NAN, -INF, -INF, 2, 1]])
    np.testing.assert_array_equal(output, [[NAN, -INF, 2]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_channels_that_do_not_fill_a_block_send_back_numbers(engine: Engine, name: str):
    """What fills the block is zero, where the slope of a root is infinite."""
    layer, _ = ACTIVATIONS[name]
    before = [fv.Conv2d(24, 3, padding=1), fv.Conv2d(24, 3, padding=1), fv.Abs()]
    graph = fv.Sequential(*before, layer, fv.Conv2d(24, 3, padding=1), fv.GlobalAvgPool2d()).build((17, 24, 24))
    optimizer = fv.SGD(momentum=0)
    state = engine.new_state(graph, optimizer, seed=0)
    x = np.random.default_rng(0).standard_normal((4, 17, 24, 24))
    options = {"mode": "training", "loss": fv.CrossEntropy(), "optimizer": optimizer}
    engine.compile(graph, batch_size=4, **options).step(state, x, np.arange(4), learning_rate=1e-6)
    assert all(np.isfinite(state.read(name)).all() for name in state.names())

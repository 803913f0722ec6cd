"""Activation functions against PyTorch's autograd; the survival of signals against the same network in PyTorch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines import get_engine
from foveate.explain.measure.activation_functions import ACTIVATION_FUNCTIONS, formula, maxout_pieces
from foveate.explain.plots.activation_functions import plot_activation_functions, plot_signal_survival
from foveate.explain.probe.activation_functions import activation_curve, kinks, signal_survival
from foveate.layers import Layer
from foveate.layers.registry import built_in_layers
from tests.engines.cases import CASES
from tests.support import relative_error

F = torch.nn.functional
Function = Callable[[torch.Tensor], torch.Tensor]

TWINS: dict[Layer, Function] = {
    case.layer: lambda x, case=case: case.torch([x[:, None]], {})[:, 0]
    for case in CASES["activation"].values()
    if case.layer.notation and not isinstance(case.layer, fv.Maxout | fv.PReLU)
} | {
    fv.Maxout(2): lambda x: torch.maximum(-x - 0.5, x - 0.5),
    fv.Maxout(3): lambda x: torch.stack([-x - 0.5, 0 * x, x - 0.5]).amax(0),
    fv.PReLU(): lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
}


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize(("layer", "twin"), TWINS.items(), ids=[layer.describe() for layer in TWINS])
def test_curves_are_pytorchs(layer: Layer, twin: Function, engine: str) -> None:
    x = np.arange(-7.96, 8, 0.05).astype(np.float32).astype(np.float64)
    curve = activation_curve(layer, x, engine=get_engine(engine))
    points = torch.tensor(x, requires_grad=True)
    values = twin(points)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    assert relative_error(curve.value, values.detach().numpy()) <= 1e-6
    assert relative_error(curve.derivative, slopes.numpy()) <= 1e-6


def test_every_activation_function_has_a_place_and_a_formula() -> None:
    functions = {
        kind
        for kind in built_in_layers()
        if kind.__module__.endswith("activations") and kind not in (fv.Softmax, fv.LogSoftmax)
    }
    assert {type(layer) for layer in ACTIVATION_FUNCTIONS} == functions
    assert all(formula(layer).startswith("$") for layer in ACTIVATION_FUNCTIONS)
    assert not any("<" in formula(layer) for layer in ACTIVATION_FUNCTIONS)
    assert {type(layer) for layer in TWINS} == functions


def test_pieces_of_ones_own() -> None:
    x = np.linspace(-2, 2, 41)
    curve = activation_curve(fv.Maxout(2), x, pieces=[(0.1, 0), (1, 0.5)])
    assert np.allclose(curve.value, np.maximum(0.1 * x, x + 0.5), atol=1e-6)
    assert kinks(fv.Maxout(2), pieces=[(0.1, 0), (1, 0.5)]) == pytest.approx([-0.5 / 0.9], abs=1e-3)
    assert formula(fv.Maxout(2), [(0.1, 0), (1, 0.5)]) == r"$\max(0.1x, x + 0.5)$"
    assert formula(fv.Maxout(3)) == r"$\max(-x - 0.5, 0, x - 0.5)$"


def test_pieces_are_tangents_of_a_parabola() -> None:
    x = np.linspace(-1, 1, 401)
    largest = max(slope * point + intercept for slope, intercept in maxout_pieces(5) for point in [slope])
    assert largest == pytest.approx(0.5)
    hull = activation_curve(fv.Maxout(5), x).value
    assert (hull <= x**2 / 2 + 1e-6).all()
    assert np.abs(hull - x**2 / 2).max() == pytest.approx(0.25**2 / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (fv.Sigmoid(), []),
        (fv.Softplus(50), []),
        (fv.ELU(), []),
        (fv.ELU(2.0), [0]),
        (fv.LeakyReLU(), [0]),
        (fv.ReLU6(), [0, 6]),
        (fv.Hardsigmoid(), [-3, 3]),
        (fv.Hardswish(), [-3, 3]),
        (fv.Hardtanh(0, 1), [0, 1]),
        (fv.Maxout(3), [-0.5, 0.5]),
    ],
    ids=lambda value: value.describe() if isinstance(value, Layer) else "",
)
def test_kinks_are_where_the_derivative_jumps(layer: Layer, expected: list[float]) -> None:
    assert kinks(layer) == pytest.approx(np.array(expected), abs=1.1e-3)


def test_what_is_no_curve_is_a_sentence() -> None:
    for layer in (fv.Softmax(), fv.Linear(3), fv.LocalResponseNorm(3), fv.Dropout(), fv.ChannelShuffle(2)):
        with pytest.raises(fv.LayerError, match="is not an activation function of one number; those are Sigmoid, Tanh"):
            activation_curve(layer, [0.0])
    with pytest.raises(fv.LayerError, match="3 linear pieces are given, but Maxout 2 takes 2"):
        activation_curve(fv.Maxout(2), [0.0], pieces=[(0, 0)] * 3)
    with pytest.raises(fv.LayerError, match="1 linear pieces are given, but ReLU takes none"):
        activation_curve(fv.ReLU(), [0.0], pieces=[(0, 0)])
    for x in ([], [[1.0]], [np.nan]):
        with pytest.raises(fv.DataError, match="give finite numbers along one axis"):
            activation_curve(fv.ReLU(), x)


def test_the_grid_draws_function_derivative_and_kinks() -> None:
    figure = plot_activation_functions([fv.ReLU6(), fv.Tanh()])
    relu6, tanh, legend = figure.axes[:3]
    assert relu6.get_title() == "ReLU6\n$\\min(\\max(0, x), 6)$"
    assert relu6.lines[-1].get_xydata() == pytest.approx(np.array([[0, 0], [6, 6]]), abs=2e-3)
    assert not tanh.lines[-1].get_xydata().size
    assert tanh.lines[3].get_ydata()[700] == pytest.approx(1)
    assert legend.get_legend().get_texts()[0].get_text() == "function $f(x)$"


def torch_survival(layer: Layer, twin: Function, model_input: tuple[int, ...], **options: object) -> tuple[object, ...]:
    """Variances of signal and gradient in PyTorch, with the weights that the engine drew."""
    from foveate.engines.random import generator
    from foveate.explain.probe import activation_functions

    depth, width, samples, seed = 6, 16, 8, 3
    rule = options["initializer"]
    graph = activation_functions.deep_network(
        layer, model_input, depth, width, rule if isinstance(rule, str) else "auto"
    )
    state = get_engine("reference").new_state(graph, seed=seed)
    x = torch.tensor(generator(seed, "signal").standard_normal((samples, *model_input)), requires_grad=True)
    value, kept = x, []
    for number in range(1, depth + 1):
        name = f"layer{number}.weight"
        drawn = generator(seed, name).standard_normal(graph.parameters[name].shape)
        weight = torch.tensor(state.read(name) if isinstance(rule, str) else rule * drawn, dtype=torch.float64)
        convolve = {2: F.conv1d, 3: F.conv2d, 4: F.conv3d}.get(len(model_input))
        value = F.linear(value, weight) if convolve is None else convolve(value, weight, padding=1)
        value.retain_grad()
        kept.append(value)
        value = twin(value)
    kept[-1].backward(torch.tensor(generator(seed, "gradient").standard_normal(tuple(kept[-1].shape))))
    stages = [x, *kept]
    return [stage.detach().numpy().var() for stage in stages], [stage.grad.numpy().var() for stage in stages]  # type: ignore


def pairwise_maximum(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(len(x), x.shape[1] // 2, 2, *x.shape[2:]).amax(2)


@pytest.mark.parametrize("initializer", ["auto", "he", "xavier", 0.05])
@pytest.mark.parametrize(
    ("layer", "twin", "shape"),
    [
        (fv.ReLU(), torch.relu, (16,)),
        (fv.Sigmoid(), torch.sigmoid, (16,)),
        (fv.Maxout(2), pairwise_maximum, (16,)),
        (fv.Tanh(), torch.tanh, (2, 9)),
        (fv.ReLU(), torch.relu, (3, 6, 6)),
        (fv.SiLU(), F.silu, (1, 4, 4, 4)),
    ],
    ids=["ReLU", "Sigmoid", "Maxout", "1-D", "2-D", "3-D"],
)
def test_variances_are_pytorchs(layer: Layer, twin: Function, shape: tuple[int, ...], initializer: str | float) -> None:
    options = {"depth": 6, "width": 16, "samples": 8, "seed": 3}
    (result,) = signal_survival([layer], initializer=initializer, input_shape=shape, **options)  # type: ignore[arg-type]
    signal, gradient = torch_survival(layer, twin, shape, initializer=initializer)
    assert len(result.signal) == len(result.gradient) == 7
    assert np.allclose(result.signal, signal, rtol=1e-4, atol=0)
    assert np.allclose(result.gradient, gradient, rtol=1e-4, atol=0)


def test_he_keeps_what_a_naive_start_and_a_sigmoid_lose() -> None:
    relu, sigmoid = signal_survival([fv.ReLU(), fv.Sigmoid()], depth=20)
    assert 0.1 < relu.signal[-1] / relu.signal[1] < 10
    assert 0.1 < relu.gradient[1] / relu.gradient[-1] < 10
    assert sigmoid.gradient[1] < 1e-15 * sigmoid.gradient[-1]
    (naive,) = signal_survival([fv.ReLU()], depth=20, initializer=0.01)
    factor = 128 * 0.01**2 / 2  # width / 2 Var(w), He's formula
    assert naive.signal[-1] / naive.signal[1] == pytest.approx(factor**19, rel=0.9)


def test_survival_is_drawn_with_a_line_for_each() -> None:
    figure = plot_signal_survival([fv.ReLU(), fv.Sigmoid()], depth=12, width=32, initializers=("auto", 1e-4))
    top_left, top_right, bottom_left, bottom_right = figure.axes
    assert top_left.get_yscale() == bottom_right.get_yscale() == "log"
    assert [line.get_label() for line in top_left.lines] == ["ReLU", "Sigmoid"]
    assert top_right.get_title() == "weights: normal, deviation 0.0001"
    relu, _ = signal_survival([fv.ReLU(), fv.Sigmoid()], depth=12, width=32)
    assert np.allclose(bottom_left.lines[0].get_ydata(), relu.gradient)
    assert "too small for the engine" in figure.get_supxlabel()


def test_networks_that_cannot_be_made_are_sentences() -> None:
    with pytest.raises(fv.DataError, match="depth is 0, width 128 and samples 64; each must be at least 1"):
        signal_survival(depth=0)
    with pytest.raises(fv.DataError, match=r"standard deviation is -0\.1; it must be positive"):
        signal_survival(initializer=-0.1)
    with pytest.raises(fv.LayerError, match='there is no initializer "orthogonal"; choose one of auto, he'):
        signal_survival(initializer="orthogonal")
    with pytest.raises(fv.LayerError, match="Linear 3 is not an activation function"):
        signal_survival([fv.Linear(3)])
    with pytest.raises(fv.ShapeError, match="the input of a sample has 1 axis, or channels and 1 to 3 spatial axes"):
        signal_survival(input_shape=(1, 2, 3, 4, 5))

"""Activations and their derivatives are accurate where they are tiny, not only on the whole; against float64.

Relative to each value, from -80 on; below it float32 itself has no digits left, and tiny products are still there.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray

import foveate as fv
from foveate.engines import Engine, get_engine
from foveate.layers import Layer


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Not the torch engine: PyTorch's own kernels keep few digits in some tails, and it is they that are fast."""
    return get_engine(request.param)


POINTS = np.concatenate([np.linspace(-60, 40, 20_001), -np.logspace(-6, 0, 61), np.logspace(-6, 0, 61)])


def normal_share(x: torch.Tensor) -> torch.Tensor:
    return torch.erfc(-x / 2**0.5) / 2


def mish(x: torch.Tensor) -> torch.Tensor:
    return x * torch.tanh(torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0))


# In float64, without the cancellation of the usual formulas.
FUNCTIONS: dict[str, tuple[Layer, Callable[[torch.Tensor], torch.Tensor], float]] = {
    "Softplus": (fv.Softplus(), lambda x: torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0), -60),
    "Softplus of another beta": (
        fv.Softplus(0.5), lambda x: 2 * (torch.log1p(torch.exp(-x.abs() / 2)) + x.clamp(min=0) / 2), -60
    ),
    "SiLU": (fv.SiLU(), lambda x: x * torch.sigmoid(x), -60),
    "ELU": (fv.ELU(), F.elu, -60),
    "Sigmoid": (fv.Sigmoid(), torch.sigmoid, -60),
    "Tanh": (fv.Tanh(), torch.tanh, -60),
    "GELU": (fv.GELU(), lambda x: x * normal_share(x), -12),
    "GELU by tanh": (
        fv.GELU("tanh"), lambda x: x * torch.sigmoid((8 / np.pi) ** 0.5 * (x + 0.044715 * x**3)), -9
    ),
    "Mish": (fv.Mish(), mish, -60),
    "Hardswish": (fv.Hardswish(), F.hardswish, -60),
}  # fmt: skip


def both(engine: Engine, layer: Layer, x: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    """The function at `x`, and its derivative."""
    graph = fv.Sequential(layer).build((len(x),), quiet=True)
    program = engine.compile(graph, batch_size=1, mode="inference", differentiable=True)
    output = program.forward(engine.new_state(graph), x[None])[graph.only_output]
    program.backward({graph.only_output: np.ones_like(output)})
    return output[0], program.gradient("input")[0]


def furthest(ours: NDArray, exact: NDArray) -> float:
    """The largest error relative to its value; what is below the normal numbers may be 0."""
    return float((np.abs(ours - exact) / np.maximum(np.abs(exact), 1e-36)).max())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_value_is_right_to_some_digits_everywhere(engine: Engine, name: str):
    layer, function, least = FUNCTIONS[name]
    x = POINTS[least <= POINTS].astype(np.float32)
    ours, _ = both(engine, layer, x)
    assert furthest(ours, function(torch.tensor(x, dtype=torch.float64)).numpy()) < 3e-5


@pytest.mark.parametrize("name", ["Softplus", "SiLU", "ELU", "Mish", "GELU", "GELU by tanh"])
def test_the_derivative_is_right_in_the_tail(engine: Engine, name: str):
    layer, function, least = FUNCTIONS[name]
    # Off the zero of the derivative, about which no formula keeps digits.
    x = POINTS[(least <= POINTS) & ((POINTS < -2) | (POINTS > -0.5)) & (POINTS != 0)].astype(np.float32)
    _, ours = both(engine, layer, x)
    exact = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    function(exact).sum().backward()
    assert exact.grad is not None
    assert furthest(ours, exact.grad.numpy()) < 1e-4


def test_softplus_is_never_negative(engine: Engine):
    ours, _ = both(engine, fv.Softplus(), np.linspace(-40, 40, 160_001, dtype=np.float32))
    assert (ours > 0).all()


def test_what_is_tiny_is_multiplied_before_it_is_flushed(engine: Engine):
    ours, slope = both(engine, fv.SiLU(), np.float32([-88, -90]))
    np.testing.assert_allclose(ours, [-5.3280e-37, -7.3748e-38], rtol=1e-4)
    np.testing.assert_allclose(slope, [-5.2675e-37, -7.2929e-38], rtol=1e-4)


def test_the_logarithm_of_a_sure_class_keeps_its_digits(engine: Engine):
    graph = fv.Sequential(fv.LogSoftmax()).build((3,))
    program = engine.compile(graph, batch_size=1, mode="inference")
    output = program.forward(engine.new_state(graph), [[20, 0, -90]])[graph.only_output]
    np.testing.assert_allclose(output, [[-2.0611537e-09, -20, -110]], rtol=1e-6)

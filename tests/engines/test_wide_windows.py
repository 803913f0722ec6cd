"""Windows far wider than their input: what lies in the padding takes neither time nor memory."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine
from foveate.layers import Layer

WIDE = 400_000_001


@pytest.mark.parametrize(
    "layer",
    [fv.LPPool1d(2.0, WIDE, padding=WIDE // 2, stride=WIDE - 1), fv.MaxPool1d(WIDE, padding=WIDE // 2)],
    ids=Layer.describe,
)
def test_a_window_sees_what_is_there(any_engine: Engine, layer: Layer):
    graph = fv.Sequential(layer).build((1, 3), quiet=True)
    program = any_engine.compile(graph, batch_size=1, mode="training", differentiable=True)
    x = np.array([[[3.0, 0.0, 4.0]]])
    output = program.forward(any_engine.new_state(graph), x)[graph.only_output]
    program.backward({graph.only_output: np.ones_like(output)})
    norm = isinstance(layer, fv.LPPool1d)
    np.testing.assert_allclose(output, [[[5 if norm else 4]]], rtol=1e-6)
    np.testing.assert_allclose(program.gradient("input"), [[[0.6, 0, 0.8] if norm else [0, 0, 1]]], rtol=1e-6)


def test_a_million_bins_of_a_maximum_are_filled_at_once(any_engine: Engine):
    graph = fv.Sequential(fv.AdaptiveMaxPool1d(1_000_000)).build((1, 3), quiet=True)
    program = any_engine.compile(graph, batch_size=1, mode="training", differentiable=True)
    x = np.array([[[1.0, 3.0, 2.0]]])
    output = program.forward(any_engine.new_state(graph), x)[graph.only_output]
    program.backward({graph.only_output: np.ones_like(output)})
    tensor = torch.tensor(x, requires_grad=True)
    theirs = F.adaptive_max_pool1d(tensor, 1_000_000)
    theirs.sum().backward()
    assert tensor.grad is not None
    np.testing.assert_array_equal(output, theirs.detach().numpy())
    np.testing.assert_array_equal(program.gradient("input"), tensor.grad.numpy())


def test_a_norm_of_tiny_numbers_is_not_zero(any_engine: Engine):
    """Their squares are denormal numbers."""
    graph = fv.Sequential(fv.LPPool1d(2.0, 2)).build((1, 2), quiet=True)
    program = any_engine.compile(graph, batch_size=1, mode="inference")
    output = program.forward(any_engine.new_state(graph), np.array([[[3e-20, 4e-20]]]))[graph.only_output]
    np.testing.assert_allclose(output, [[[5e-20]]], rtol=1e-4)

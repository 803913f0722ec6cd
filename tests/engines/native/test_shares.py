"""Gradients of weights that each thread computes for its share of the batch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import foveate as fv
from foveate.engines import get_engine, set_threads
from foveate.engines.native import _native
from foveate.engines.native.planned_threads import planned_threads
from tests.engines.native.layouts import run_in

SHARED = ["convolution to weights", "sum"]


def steps_to_weights(graph: fv.Graph, batch_size: int) -> list[str]:
    options = {"mode": "training", "loss": fv.MeanSquaredError(), "optimizer": fv.SGD()}
    program = get_engine("native").compile(graph, batch_size=batch_size, **options)
    return [step.operation for step in program.steps() if step.phase == "backward" and step.node == "conv"]


@pytest.fixture
def two_threads():
    before = _native.threads()
    set_threads(2)
    yield
    set_threads(before)


@pytest.mark.skipif(_native.vector_lanes() < 8, reason="oneDNN multiplies matrices here")
@pytest.mark.usefixtures("two_threads")
def test_threads_share_a_batch_that_has_far_more_outputs_than_weights():
    stem = fv.Named("conv", fv.Conv2d(32, 5, bias=False))
    graph = fv.Sequential(stem, fv.GlobalAvgPool2d(), fv.Linear(2)).build((3, 40, 40), quiet=True)
    assert [step for step in steps_to_weights(graph, 8) if step in SHARED] == SHARED
    assert "sum" not in steps_to_weights(graph, 7)  # no equal shares
    wide = fv.Sequential(fv.Named("conv", fv.Conv2d(64, 5, bias=False))).build((64, 7, 7), quiet=True)
    assert "sum" not in steps_to_weights(wide, 8)  # fewer outputs than weights


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("channels", "options"),
    [(3, {"kernel_size": 5, "stride": 2}), (16, {"kernel_size": 1}), (3, {"kernel_size": 3, "dilation": 2})],
)
@pytest.mark.usefixtures("two_threads")
def test_the_gradients_are_those_of_pytorch(channels: int, options: dict[str, int], bias: bool):
    graph = fv.Sequential(fv.Named("conv", fv.Conv2d(32, bias=bias, **options))).build((channels, 24, 24), quiet=True)
    random = np.random.default_rng(0)
    x = random.standard_normal((6, channels, 24, 24)).astype(np.float32)
    arriving = random.standard_normal((6, *graph.output_shape)).astype(np.float32)
    engine = get_engine("native")
    state = engine.new_state(graph, seed=0)
    program = engine.compile(graph, batch_size=6, mode="training", differentiable=True)
    program.forward(state, x)
    program.backward({graph.only_output: arriving})
    weight = torch.from_numpy(state.read("conv.weight")).double().requires_grad_()
    added = torch.from_numpy(state.read("conv.bias")).double().requires_grad_() if bias else None
    arguments = {name: value for name, value in options.items() if name != "kernel_size"}
    functional.conv2d(torch.from_numpy(x).double(), weight, added, **arguments).backward(torch.from_numpy(arriving))
    for name, tensor in (("weight", weight), ("bias", added)):
        if tensor is not None:
            np.testing.assert_allclose(program.gradient(f"conv.{name}"), tensor.grad, rtol=1e-4, atol=1e-3)


def test_operands_that_are_not_made_of_shares_are_refused():
    layout = _native.Layout.plain([2, 3])
    with planned_threads(1):
        reorder = _native.reorder_operation(layout, _native.Layout.strided([2, 3], [1, 2]))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    with pytest.raises(ValueError, match='the operand "src" is not made of equal shares'):
        run_in(_native.shares(reorder, 2), {"src": (x, layout)}, {"dst": layout})

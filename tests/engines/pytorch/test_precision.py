"""Training and inference of the torch engine in bfloat16 and TF32."""

from typing import Any

import numpy as np
import pytest
import torch

import foveate as fv
from benchmarks import precision
from foveate.engines import Engine
from foveate.engines.torch import TorchEngine
from foveate.engines.torch.precision import tf32
from tests.engines.cases import ALL_CASES, Case
from tests.support import random_arrays, random_inputs, random_seed, run

ONE_OF_EACH_TYPE = {type(case.layer).__name__: case for case in reversed(ALL_CASES.values())}


def product_to(shape: tuple[int, ...]) -> fv.Layer:
    """A layer that mixes channels and keeps the shape."""
    by_axes = {1: fv.Conv1d, 2: fv.Conv2d, 3: fv.Conv3d}
    if 2 <= len(shape) <= 4:
        return by_axes[len(shape) - 1](shape[0], 1, bias=False)
    return fv.Linear(shape[-1], bias=False)


def usual_error(ours: Any, exact: Any) -> float:
    """The median error by the median magnitude: a quotient by nearly nothing does not count, nor a root of -1."""
    finite = np.isfinite(exact)
    magnitudes, errors = np.abs(exact[finite]), np.abs(ours - exact)[finite]
    if not errors.size:
        return 0.0
    return float(np.median(errors) / max(np.median(magnitudes), 0.1 * magnitudes.mean(), 1e-3))


@pytest.mark.parametrize("case", ONE_OF_EACH_TYPE.values(), ids=ONE_OF_EACH_TYPE)
def test_in_bf16_every_layer_runs_forward_and_backward(case: Case, truth: Engine):
    """After a product, whose result is in bfloat16; numbers have 8 bits then."""
    builder = fv.GraphBuilder()
    values = [builder.add(product_to(shape), builder.input(shape, f"x{n}")) for n, shape in enumerate(case.shapes)]
    graph = builder.build(builder.add(case.layer, *values, name="layer"), quiet=True)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, case.batch), random_seed(graph, case.batch)
    ours = run(TorchEngine("cpu", precision="bf16"), graph, arrays, inputs, seed, mode=case.mode)
    exact = run(truth, graph, arrays, inputs, seed, mode=case.mode)
    assert usual_error(ours.output, exact.output) < 0.02
    assert all(usual_error(ours.gradients[name], gradient) < 0.1 for name, gradient in exact.gradients.items())


def test_in_bf16_a_training_follows_that_in_float32():
    comparison = precision.compare("lenet5", "bf16", "cpu", 30, 32)
    assert comparison.exact[-5:].mean() < 0.9 * comparison.exact[0]
    assert 0 < comparison.furthest < 0.02
    told: list[str] = []
    precision.report(comparison, "bf16", told.append)
    assert len(told) == precision.SHOWN + 2


def test_parameters_stay_float32_in_bf16():
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.Flatten(), fv.Linear(3)).build((1, 6, 6))
    engine, optimizer = TorchEngine("cpu", precision="bf16"), fv.SGD()
    state = engine.new_state(graph, optimizer)
    compiled = engine.compile(graph, batch_size=8, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    compiled.step(state, np.ones((8, 1, 6, 6)), np.arange(8) % 3, learning_rate=0.1)
    assert {tensor.dtype for tensor in state.tensors.values()} == {torch.float32}
    assert compiled.gradient("conv1.weight").dtype == np.float32


@pytest.mark.parametrize("asked", [False, True])
def test_tf32_is_used_only_if_asked_for_and_pytorchs_switch_is_put_back(asked: bool):
    before = torch.backends.cudnn.allow_tf32
    with tf32(asked, torch.device("cuda")):
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (asked, asked)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(("wanted", "dtype"), [("fp8", np.float32), ("bf16", np.float64)])
def test_a_precision_that_there_is_not_is_refused(wanted: Any, dtype: Any):
    with pytest.raises(fv.EngineError, match=f'the precision is "{wanted}"; it must be one of float32, tf32, bf16'):
        TorchEngine("cpu", dtype, wanted)

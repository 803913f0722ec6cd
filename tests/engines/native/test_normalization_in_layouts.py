"""Channels in blocks that are normalised by groups or over the batch, beside PyTorch's and in a network."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import foveate as fv
from foveate.engines import get_engine, set_threads
from foveate.engines.native import _native
from tests.engines.native.layouts import Floats, run_in

SHAPES = {
    "groups in a block": ([3, 32, 7, 9], 8),
    "channels": ([2, 16, 11], 16),
    "groups of whole blocks": ([2, 64, 5, 3], 2),
    "groups across blocks": ([2, 96, 3, 5], 4),
    "one group of a volume": ([1, 32, 3, 4, 2], 1),
    "one position": ([2, 32, 1, 1], 4),
}


def both_ways(x: Floats, arriving: Floats, groups: int, block: int, scales: list[Floats]) -> dict[str, Floats]:
    """Forward and back, with scales and shifts if there are any."""
    dims = list(x.shape)
    layout = _native.Layout.channel_blocked(dims, block)
    rows, channels = _native.Layout.plain([dims[0] * groups]), _native.Layout.plain(dims[1:2])
    affine = {name: (each, channels) for name, each in zip(("scale", "shift"), scales, strict=False)}
    forward = run_in(
        _native.channel_normalization_forward(layout, groups, 1e-5, bool(scales)),
        {"src": (x, layout), **affine},
        {"dst": layout, "mean": rows, "inverse": rows},
    )
    affine.pop("shift", None)
    back = run_in(
        _native.channel_normalization_backward(layout, groups, 1e-5, bool(scales)),
        {"src": (x, layout), "diff_dst": (arriving, layout), **affine}
        | {name: (forward[name], rows) for name in ("mean", "inverse")},
        {"diff_src": layout} | ({"diff_scale": channels, "diff_shift": channels} if scales else {}),
    )
    return forward | back


@pytest.mark.parametrize("block", [8, 16])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_group_normalisation_in_blocks_is_that_of_pytorch(case: str, affine: bool, block: int):
    dims, groups = SHAPES[case]
    random = np.random.default_rng(0)
    x, arriving = (random.standard_normal(dims).astype(np.float32) for _ in range(2))
    x += 100  # far from zero, where a difference of squares would have few digits
    scales = [random.standard_normal(dims[1]).astype(np.float32) for _ in range(2)] if affine else []
    made = both_ways(x, arriving, groups, block, scales)
    wide = [torch.from_numpy(each.astype(np.float64)).requires_grad_() for each in (x, *scales)]
    expected = functional.group_norm(wide[0], groups, *wide[1:], eps=1e-5)
    expected.backward(torch.from_numpy(arriving.astype(np.float64)))
    np.testing.assert_allclose(made["dst"], expected.detach(), rtol=2e-5, atol=2e-5)
    for name, each in zip(("diff_src", "diff_scale", "diff_shift"), wide, strict=False):
        assert each.grad is not None
        np.testing.assert_allclose(made[name], each.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_group(wrong: float):
    dims = [2, 32, 3, 5]
    x, arriving = np.random.default_rng(0).standard_normal((2, *dims)).astype(np.float32)
    x[1, 5, 1, 1] = wrong
    made = both_ways(x, arriving, 8, 16, [])
    for name in ("dst", "diff_src"):
        broken = ~np.isfinite(made[name]).reshape(2, 8, -1)
        assert broken[1, 1].all()
        broken[1, 1] = False
        assert not broken.any()


@pytest.mark.skipif(_native.vector_lanes() < 8, reason="oneDNN's convolutions use no blocks here")
@pytest.mark.parametrize("layer", [fv.GroupNorm(4), fv.InstanceNorm2d(affine=True)])
def test_between_convolutions_nothing_is_brought_into_another_layout(layer: fv.Layer):
    graph = fv.Sequential(fv.Conv2d(32, 1), layer, fv.Conv2d(16, 1)).build((32, 6, 6), quiet=True)
    program = get_engine("native").compile(graph, batch_size=2, mode="training", differentiable=True)
    operations = [step.operation for step in program.steps() if step.node == graph.nodes[1].name]
    assert operations == ["channel norm forward", "channel norm backward"]


BATCHES = {
    "whole blocks": [5, 32, 7, 9],
    "part of a block": [4, 24, 3, 5],
    "a volume": [2, 16, 3, 4, 2],
    "one each": [8, 20, 1, 1],
}


def batch_both_ways(x: Floats, arriving: Floats, block: int, scales: list[Floats], *, relu: bool) -> dict[str, Floats]:
    """Batch normalisation forward and back, with scales and shifts if there are any."""
    layout, channels = _native.Layout.channel_blocked(list(x.shape), block), _native.Layout.plain([x.shape[1]])
    affine = {name: (each, channels) for name, each in zip(("scale", "shift"), scales, strict=False)}
    forward = run_in(
        _native.batch_normalization_in_blocks(layout, 1e-5, relu),
        {"src": (x, layout), **affine},
        {"dst": layout, "mean": channels, "variance": channels},
    )
    back = run_in(
        _native.batch_normalization_in_blocks_backward(layout, 1e-5, relu),
        {"src": (x, layout), "diff_dst": (arriving, layout), **affine}
        | {name: (forward[name], channels) for name in ("mean", "variance")},
        {"diff_src": layout} | ({"diff_scale": channels, "diff_shift": channels} if scales else {}),
    )
    return forward | back


@pytest.mark.parametrize("block", [8, 16])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("case", BATCHES)
def test_batch_normalisation_in_blocks_is_that_of_pytorch(case: str, relu: bool, affine: bool, block: int):
    dims = BATCHES[case]
    random = np.random.default_rng(0)
    x, arriving = (random.standard_normal(dims).astype(np.float32) for _ in range(2))
    x += 100
    scales = [random.standard_normal(dims[1]).astype(np.float32) for _ in range(2)] if affine else []
    made = batch_both_ways(x, arriving, block, scales, relu=relu)
    wide = [torch.from_numpy(each.astype(np.float64)).requires_grad_() for each in (x, *scales)]
    expected = functional.batch_norm(wide[0], None, None, *wide[1:], training=True, eps=1e-5)
    expected = expected.relu() if relu else expected
    expected.backward(torch.from_numpy(arriving.astype(np.float64)))
    np.testing.assert_allclose(made["dst"], expected.detach(), rtol=2e-5, atol=2e-5)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(made["mean"], x.mean(axes, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(made["variance"], x.var(axes, dtype=np.float64), rtol=1e-5)
    for name, each in zip(("diff_src", "diff_scale", "diff_shift"), wide, strict=False):
        assert each.grad is not None
        np.testing.assert_allclose(made[name], each.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_channel(wrong: float):
    x, arriving = np.random.default_rng(0).standard_normal((2, 2, 32, 3, 5)).astype(np.float32)
    x[1, 5, 1, 1] = wrong
    made = batch_both_ways(x, arriving, 16, [], relu=True)
    for name in ("dst", "diff_src"):
        assert [channel for channel in range(32) if not np.isfinite(made[name][:, channel]).all()] == [5]


def test_no_number_of_threads_changes_a_bit_of_batch_normalisation():
    x, arriving = np.random.default_rng(0).standard_normal((2, 6, 48, 20, 20)).astype(np.float32)
    before, made = _native.threads(), []
    try:
        for threads in (1, 2, 3):
            set_threads(threads)
            made.append(batch_both_ways(x, arriving, 16, [], relu=True))
    finally:
        set_threads(before)
    for other in made[1:]:
        for name, array in made[0].items():
            np.testing.assert_array_equal(other[name], array)


@pytest.mark.skipif(_native.vector_lanes() < 8, reason="oneDNN's convolutions use no blocks here")
def test_the_statistics_of_a_batch_are_measured_by_our_own_kernel():
    graph = fv.Sequential(fv.Conv2d(32, 1), fv.BatchNorm2d(), fv.ReLU(), fv.Conv2d(16, 1)).build((32, 6, 6), quiet=True)
    program = get_engine("native").compile(graph, batch_size=2, mode="training", differentiable=True)
    steps = {step.operation: step.implementation for step in program.steps() if step.node == graph.nodes[2].name}
    assert list(steps) == ["batch norm forward", "running statistics", "batch norm backward"]
    assert all(implementation.startswith("foveate") for implementation in steps.values())

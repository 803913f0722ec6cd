"""Layers between convolutions, whose channels lie in blocks, beside the reference engine; one alone meets no blocks."""

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines import get_engine
from foveate.engines.native import _native
from foveate.layers import Shape
from tests.engines.native.layouts import run_in
from tests.support import normal, random_arrays, random_inputs, random_seed, relative_error, run

PLANE, WIDE, LINE, VOLUME = (32, 9, 11), (32, 12, 20), (32, 21), (16, 4, 6, 5)

LAYERS: list[tuple[fv.Layer, Shape]] = [
    (fv.GroupNorm(8), PLANE),
    (fv.InstanceNorm1d(affine=True), LINE),
    (fv.InstanceNorm3d(), VOLUME),
    (fv.Softmax(), PLANE),
    (fv.Softmax(axis=1), WIDE),
    (fv.LogSoftmax(axis=2), PLANE),
    (fv.LogSoftmax(axis=1), VOLUME),
    (fv.LPPool2d(2, 2), PLANE),
    (fv.LPPool2d(3, 3, stride=1), PLANE),
    (fv.LPPool1d(1, 4, stride=3), LINE),
    (fv.LPPool3d(2, 2, stride=1), VOLUME),
    (fv.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), (32, 10, 12)),
    (fv.AdaptiveAvgPool2d((4, 5)), PLANE),
    (fv.AdaptiveAvgPool1d(4), LINE),
    (fv.Conv2d(32, 3, padding=1, groups=32), PLANE),
    (fv.Conv2d(32, 5, stride=2, padding=2, groups=32), PLANE),
    (fv.Conv2d(32, (9, 4), padding=(4, 3), groups=32, bias=False), PLANE),
    (fv.Conv2d(32, 3, stride=2, padding=2, dilation=2, groups=16), PLANE),
    (fv.Conv2d(32, 3, padding=1, groups=8), PLANE),
    (fv.Conv2d(32, (1, 5), stride=(3, 1), groups=8), PLANE),
    (fv.Conv2d(32, 3, padding=3, groups=4), PLANE),
    (fv.Maxout(2), (32, 4, 8)),
    (fv.Maxout(4), PLANE),
    (fv.ChannelShuffle(4), PLANE),
    (fv.PixelShuffle(2), PLANE),
    (fv.PixelUnshuffle(2), (32, 6, 8)),
    (fv.Affine(), PLANE),
    (fv.Affine(axes=None), PLANE),
    (fv.PReLU(axes=(1,)), PLANE),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda each: str(each).replace("/", " "))
def test_a_layer_between_convolutions_is_that_of_the_reference(layer: fv.Layer, shape: Shape):
    one = {2: fv.Conv1d, 3: fv.Conv2d, 4: fv.Conv3d}[len(shape)]
    graph = fv.Sequential(one(shape[0], 1), layer, one(16, 1)).build(shape, quiet=True)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 3), random_seed(graph, 3)
    ours, expected = (run(get_engine(name), graph, arrays, inputs, seed) for name in ("native", "reference"))
    assert relative_error(ours.output, expected.output) < 1e-5
    for name, gradient in expected.gradients.items():
        assert relative_error(ours.gradients[name], gradient, typical=0.3) < 2e-5, name


@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("dims", [(2, 5, 16), (3, 7, 33), (2, 64, 300), (1, 1, 49), (4, 3, 5)])
def test_softmax_along_columns_is_that_of_pytorch_for_all_numbers(dims: tuple[int, int, int], logarithm: bool):
    x, arriving = 5 * normal(dims).astype(np.float32), normal(dims, seed=1).astype(np.float32)
    x[0, 0, 1], x[0, -1, 2], x[0, 0, 3] = np.nan, np.inf, -np.inf
    layout = _native.Layout.plain(list(dims))
    made = run_in(_native.softmax(*dims, logarithm), {"src": (x, layout)}, {"dst": layout})["dst"]
    known = {"dst": (made, layout), "diff_dst": (arriving, layout)}
    back = run_in(_native.softmax_backward(*dims, logarithm), known, {"diff_src": layout})["diff_src"]
    wide = torch.from_numpy(x).double().requires_grad_()
    expected = torch.log_softmax(wide, 1) if logarithm else torch.softmax(wide, 1)
    expected.backward(torch.from_numpy(arriving).double())
    assert wide.grad is not None
    np.testing.assert_allclose(made, expected.detach(), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(back, wide.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(_native.vector_lanes() < 8, reason="oneDNN's convolutions use no blocks here")
@pytest.mark.parametrize(
    ("layer", "operation"),
    [
        (fv.LPPool2d(2, 2), "norm of boxes"),
        (fv.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), "mean of boxes"),
        (fv.Conv2d(32, 3, stride=2, groups=8), "gradient of filters"),
        (fv.Softmax(axis=1), "softmax"),
    ],
    ids=str,
)
def test_what_lies_in_blocks_stays_there(layer: fv.Layer, operation: str):
    graph = fv.Sequential(fv.Conv2d(32, 1), layer, fv.Conv2d(16, 1)).build((32, 10, 12), quiet=True)
    program = get_engine("native").compile(graph, batch_size=2, mode="training", differentiable=True)
    steps = [step for step in program.steps() if step.operation.startswith(operation)]
    assert steps
    for step in steps:
        assert "B" in step.layouts["diff_dst" if "diff_dst" in step.layouts else "src"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_filters_that_meet_it(wrong: float):
    dims = [1, 16, 5, 5]
    x, arriving = np.ones(dims, np.float32), np.ones(dims, np.float32)
    x[0, 3, 0, 0] = wrong
    layout = _native.Layout.channel_blocked(dims, 16)
    weights = _native.Layout.plain([16, 1, 1, 3, 3])
    window = _native.Window([3, 3], [1, 1], [1, 1], [1, 1], [1, 1])
    operation = _native.filter_gradient(layout, layout, window, 1)
    made = run_in(operation, {"src": (x, layout), "diff_dst": (arriving, layout)}, {"diff_weights": weights})
    broken = ~np.isfinite(made["diff_weights"][:, 0, 0])
    assert broken[3].tolist() == [[True, True, False], [True, True, False], [False] * 3]
    broken[3] = False
    assert not broken.any()

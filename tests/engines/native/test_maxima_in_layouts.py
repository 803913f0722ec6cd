"""Maxima, their winners and the way back are the same in every layout that the kernel takes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.engines.native import _native
from foveate.engines.native.rules.base import channels_last

SHAPES = {
    "2-D": ([3, 32, 7, 9], [3, 32, 4, 5]),
    "1-D": ([2, 16, 11], [2, 16, 6]),
    "3-D": ([1, 16, 5, 4, 3], [1, 16, 3, 2, 2]),
}
LAYOUTS = {
    "channels last": channels_last,
    "blocks of 16": lambda dims: _native.Layout.channel_blocked(dims, 16),
    "blocks of 8": lambda dims: _native.Layout.channel_blocked(dims, 8),
}


def pooled(x: NDArray, gradient: NDArray, layout_of) -> tuple[NDArray, NDArray]:
    """Windows of three with stride 2 and padding 1, and where the gradient goes, in plain order again."""
    axes = x.ndim - 2
    source, target = layout_of(list(x.shape)), layout_of(list(gradient.shape))
    window = _native.Window([3] * axes, [2] * axes, [1] * axes, [1] * axes, [1] * axes)
    planes = _native.Planes(source, target, window)
    given, arriving, output, back = (
        _native.aligned_zeros(layout.bytes // 4) for layout in (source, target, target, source)
    )
    plain = [_native.Layout.plain(list(each.shape)) for each in (x, gradient)]
    _native.reorder(x.ravel(), plain[0], given, source)
    _native.reorder(gradient.ravel(), plain[1], arriving, target)
    count = -(-planes.winner_bytes // 4)
    winners, bytes_of_winners = _native.aligned_zeros(count), _native.Layout.plain([count])
    operands = [("src", source, given), ("dst", target, output), ("winners", bytes_of_winners, winners)]
    _native.execute(_native.maximum(planes), operands)
    operands = [("diff_dst", target, arriving), ("winners", bytes_of_winners, winners), ("diff_src", source, back)]
    _native.execute(_native.maximum_backward(planes), operands)
    results = np.empty(gradient.size, np.float32), np.empty(x.size, np.float32)
    _native.reorder(output, target, results[0], plain[1])
    _native.reorder(back, source, results[1], plain[0])
    return results[0].reshape(gradient.shape), results[1].reshape(x.shape)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_maxima_do_not_depend_on_the_layout(shape: str, layout: str):
    random = np.random.default_rng(0)
    source, target = SHAPES[shape]
    x = random.integers(-3, 4, source).astype(np.float32)  # many equals
    x.ravel()[::29] = np.nan
    x.ravel()[::31] = -np.inf
    gradient = random.standard_normal(target).astype(np.float32)
    expected = pooled(x, gradient, _native.Layout.plain)
    for ours, plain in zip(pooled(x, gradient, LAYOUTS[layout]), expected, strict=True):
        np.testing.assert_array_equal(ours, plain)

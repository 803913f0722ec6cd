"""Sums along any axes, beside NumPy's in float64; every number is counted once."""

import numpy as np
import pytest

from foveate.engines.native import _native
from tests.engines.native.layouts import run_in

CASES = [
    ([3, 4, 5, 6], [1, 4, 1, 1]),
    ([3, 4, 5, 6], [3, 4, 1, 1]),
    ([3, 4, 5, 6], [1, 1, 5, 6]),
    ([3, 4, 5, 6], [3, 1, 5, 1]),
    ([3, 4, 5, 6], [1, 4, 1, 6]),
    ([3, 4, 5, 6], [1, 1, 1, 1]),
    ([3, 4, 5, 6], [3, 4, 5, 6]),
    ([2, 3, 50, 41], [2, 1, 50, 41]),
    ([70, 1, 1, 9], [1, 1, 1, 9]),
    ([130, 7], [1, 1]),
    ([1, 1, 1], [1, 1, 1]),
]


@pytest.mark.parametrize(("dims", "made"), CASES)
def test_sums_are_those_of_numpy(dims: list[int], made: list[int]):
    x = np.random.default_rng(0).standard_normal(dims).astype(np.float32)
    source, target = _native.Layout.plain(dims), _native.Layout.plain(made)
    result = run_in(_native.sum_along(source, target), {"src": (x, source)}, {"dst": target})["dst"]
    axes = tuple(axis for axis, pair in enumerate(zip(dims, made, strict=True)) if pair[0] != pair[1])
    np.testing.assert_allclose(result, x.astype(np.float64).sum(axis=axes, keepdims=True), rtol=2e-7, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_reaches_its_sum_alone(wrong: float):
    x = np.ones((4, 3, 20), np.float32)
    x[2, 1, 7] = wrong
    source, target = _native.Layout.plain([4, 3, 20]), _native.Layout.plain([1, 3, 1])
    result = run_in(_native.sum_along(source, target), {"src": (x, source)}, {"dst": target})["dst"]
    np.testing.assert_array_equal(result.ravel(), [80, wrong, 80])


def test_sums_along_what_is_no_axis_of_one_number_are_refused():
    with pytest.raises(ValueError, match="kept or summed"):
        _native.sum_along(_native.Layout.plain([4, 6]), _native.Layout.plain([4, 3]))

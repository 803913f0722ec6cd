"""Kernels run by themselves on arrays in any layout, for tests."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from foveate.engines.native import _native

Floats = NDArray[np.float32]


def run_in(
    operation: _native.Operation,
    given: Mapping[str, tuple[Floats, _native.Layout]],
    made: Mapping[str, _native.Layout],
) -> dict[str, Floats]:
    """What the operation makes of plain arrays brought into their layouts, in the plain order again."""
    operands = []
    for name, (array, layout) in given.items():
        placed = _native.aligned_zeros(layout.bytes // 4)
        _native.reorder(np.ascontiguousarray(array).ravel(), _native.Layout.plain(list(array.shape)), placed, layout)
        operands.append((name, layout, placed))
    targets = {name: _native.aligned_zeros(layout.bytes // 4) for name, layout in made.items()}
    _native.execute(operation, [*operands, *((name, made[name], each) for name, each in targets.items())])
    results = {}
    for name, layout in made.items():
        results[name] = np.empty(layout.dims, np.float32)
        _native.reorder(targets[name], layout, results[name].ravel(), _native.Layout.plain(layout.dims))
    return results

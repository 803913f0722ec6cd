"""Arrays that are derived from a state and its version: reordered, folded, transformed. All programs share them."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from foveate.engines.base import FloatArray, State
from foveate.engines.native import _native


@dataclass(frozen=True, eq=False)
class Derivation:
    """How to compute an array in a layout from a state; equal keys mean equal arrays."""

    key: Hashable
    layout: _native.Layout
    compute: Callable[[State], FloatArray]

    def then(self, operation: _native.Operation, names: tuple[str, str], layout: _native.Layout) -> "Derivation":
        """The derivation followed by `operation`; `names` are those of its two operands, the one it reads first."""
        source, target = names

        def compute(state: State) -> FloatArray:
            result = _native.aligned_zeros(layout.bytes // 4)
            _native.execute(operation, [(source, self.layout, self.compute(state)), (target, layout, result)])
            return result

        return Derivation((self.key, operation.name, operation.implementation, layout), layout, compute)


def derived_from(
    key: Hashable, canonical: _native.Layout, layout: _native.Layout, compute: Callable[[State], FloatArray]
) -> Derivation:
    """An array that `compute` returns in the `canonical` layout, converted to `layout`."""

    def reordered(state: State) -> FloatArray:
        source = np.ascontiguousarray(compute(state), np.float32)
        result = _native.aligned_zeros(layout.bytes // 4)
        _native.reorder(source, canonical, result, layout)
        return result

    return Derivation((key, layout), layout, reordered)


class DerivedArrays:
    """A state's derived arrays, each computed when first asked for and again when the state has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrays: dict[Hashable, tuple[int, FloatArray]] = {}

    def get(self, state: State, derivation: Derivation) -> FloatArray:
        """The array for the state as it is now; it must not be written to."""
        with self._lock:
            version, array = self._arrays.get(derivation.key, (None, None))
            if array is None or version != state.version:
                array = derivation.compute(state)
                self._arrays[derivation.key] = (state.version, array)
            return array

"""The native engine's state: a few flat arrays in the packed layout, on which optimisers work number by number."""

from functools import cached_property

import numpy as np

from foveate.engines.base import FloatArray, State
from foveate.engines.initializers import initial_arrays, is_blank
from foveate.engines.native import _native
from foveate.engines.native.derived import DerivedArrays
from foveate.engines.native.packing import PackedPlace, packing_of
from foveate.graph import Graph, Optimizer

_USED = ("parameters", "statistics")
"""What a network computes with; the other spaces are the optimiser's."""


class NativeState(State):
    """Parameters, statistics and slots, each kind in one array."""

    def __init__(self, graph: Graph, optimizer: Optimizer | None, seed: int) -> None:
        super().__init__(graph, optimizer, seed)
        self.packing = packing_of(graph)
        self.derived = DerivedArrays()
        self.spaces: dict[str, FloatArray] = {
            "parameters": _native.aligned_zeros(self.packing.parameter_bytes // 4),
            "statistics": _native.aligned_zeros(self.packing.statistic_bytes // 4),
        }
        for slot in optimizer.slots if optimizer is not None else ():
            self.spaces[f"slot:{slot}"] = _native.aligned_zeros(self.packing.parameter_bytes // 4)
        if not is_blank():  # the spaces are zeros already
            for name, array in initial_arrays(graph, seed).items():
                self._load(name, array)

    @cached_property
    def accumulated(self) -> FloatArray:
        """Where the gradients of several batches are added up; no part of what is read, copied and saved."""
        return _native.aligned_zeros(self.packing.parameter_bytes // 4)

    def _move_towards(self, other: State, share: float) -> None:
        assert isinstance(other, NativeState)
        for space in ("parameters", "statistics"):
            if share == 1:
                self.spaces[space][...] = other.spaces[space]
            else:
                _native.move_towards(self.spaces[space], other.spaces[space], share)

    def looks_finite(self) -> bool:
        """Whether the sum of their squares is finite, as no sum with NaN or infinity is."""
        with np.errstate(over="ignore", invalid="ignore"):
            return all(np.isfinite(np.dot(space, space)) for space in map(self.spaces.get, _USED) if space is not None)

    def _read(self, name: str) -> FloatArray:
        flat, place = self._find(name)
        return read_canonical(flat, place, self._check_name(name))

    def _load(self, name: str, array: FloatArray) -> None:
        flat, place = self._find(name)
        source = np.ascontiguousarray(array, np.float32)
        _native.reorder(source, place.canonical, flat[place.offset // 4 :], place.layout)

    def _find(self, name: str) -> tuple[FloatArray, PackedPlace]:
        slot, _, plain = name.rpartition("/")
        if slot:
            return self.spaces[f"slot:{slot}"], self.packing.parameters[plain]
        if name in self.packing.parameters:
            return self.spaces["parameters"], self.packing.parameters[name]
        return self.spaces["statistics"], self.packing.statistics[name]


def read_canonical(flat: FloatArray, place: PackedPlace, shape: tuple[int, ...]) -> FloatArray:
    """A copy of one packed array in the canonical layout."""
    result = np.empty(shape, np.float32)
    _native.reorder(flat[place.offset // 4 :], place.layout, result, place.canonical)
    return result

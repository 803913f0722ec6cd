"""The native engine: oneDNN's primitives and kernels of our own, compiled into programs."""

from collections.abc import Sequence
from typing import ClassVar

from foveate.engines.base import Engine, Mode
from foveate.engines.native.packing import Packing, pack
from foveate.engines.native.program import NativeProgram
from foveate.engines.native.state import NativeState
from foveate.graph import Graph, Loss, Optimizer

REMEMBERED_PACKINGS = 8


class NativeEngine(Engine):
    """float32 on the CPU."""

    name: ClassVar[str] = "native"

    def __init__(self) -> None:
        self._packings: list[tuple[Graph, Packing]] = []

    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> NativeState:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""
        return NativeState(graph, optimizer, seed, self._packing(graph))

    def _compile(
        self,
        graph: Graph,
        batch_size: int,
        mode: Mode,
        loss: Loss | None,
        optimizer: Optimizer | None,
        keep: Sequence[str],
        differentiable: bool,
        parameter_gradients: bool,
    ) -> NativeProgram:
        packing = self._packing(graph)
        return NativeProgram(
            graph, batch_size, mode, loss, optimizer, keep, differentiable, parameter_gradients, packing
        )

    def _packing(self, graph: Graph) -> Packing:
        """The graph's packing; states and programs of equal graphs share it."""
        for known, packing in self._packings:
            if known is graph or known == graph:
                return packing
        packing = pack(graph)
        self._packings = [(graph, packing), *self._packings][:REMEMBERED_PACKINGS]
        return packing

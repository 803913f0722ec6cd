"""The torch engine's state: a tensor for each array."""

from typing import Any

import numpy as np
import torch

from foveate.engines.base import FloatArray, State
from foveate.engines.initializers import initial_arrays
from foveate.engines.torch.arrays import TYPES, to_numpy, to_tensor
from foveate.graph import Graph, Optimizer


class TorchState(State):
    """Tensors by name, in the canonical layout, on one device."""

    def __init__(
        self, graph: Graph, optimizer: Optimizer | None, seed: int, dtype: type[np.floating], device: str
    ) -> None:
        super().__init__(graph, optimizer, seed)
        self.dtype = dtype
        self.device = torch.device(device)
        self.tensors: dict[str, torch.Tensor] = {}
        self.accumulated: dict[str, torch.Tensor] = {}
        """The sums of gradients of several batches; no part of what is read, copied and saved."""
        for name, array in initial_arrays(graph, seed).items():
            self._load(name, array)
        for name in self.names(slots=True):
            if "/" in name:
                self.tensors[name] = torch.zeros_like(self.tensors[name.rsplit("/", 1)[-1]])

    def _made_from(self) -> tuple[Any, ...]:
        return *super()._made_from(), self.dtype, str(self.device)

    def _read(self, name: str) -> FloatArray:
        return to_numpy(self.tensors[name])

    def _load(self, name: str, array: FloatArray) -> None:
        # A new tensor, because a session may still go back through the old one.
        self.tensors[name] = to_tensor(np.array(array, self.dtype), self.device).to(TYPES[self.dtype])

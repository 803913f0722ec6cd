"""The torch engine's interface: it makes states and compiles programs for one device."""

from typing import ClassVar

import numpy as np
import torch

from foveate.engines.engine import Engine
from foveate.engines.request import Request
from foveate.engines.torch.program import TorchProgram
from foveate.engines.torch.state import TorchState
from foveate.graph import Graph, Optimizer


class TorchEngine(Engine):
    """PyTorch, on a GPU or a CPU.

    Args:
        device: "cuda", "cuda:1", "mps", "cpu" ... (default: a GPU if there is one, else the CPU).
        dtype: np.float32, or np.float64 for tests.

    Raises:
        EngineError: this machine has no such device.
    """

    name: ClassVar[str] = "torch"

    def __init__(self, device: str | None = None, dtype: type[np.floating] = np.float32) -> None:
        self.device = torch.device(device or "cpu")
        self.dtype = dtype

    @property
    def threads(self) -> int:
        """How many threads PyTorch uses on the CPU."""
        return torch.get_num_threads()

    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> TorchState:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""
        return TorchState(graph, optimizer, seed, self.dtype, str(self.device))

    def _compile(self, graph: Graph, request: Request) -> TorchProgram:
        return TorchProgram(graph, request, self.dtype, self.device)

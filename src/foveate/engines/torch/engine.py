"""The torch engine's interface: it makes states and compiles programs for one device."""

from typing import ClassVar

import numpy as np
import torch

from foveate.engines.engine import Engine
from foveate.engines.group import ALONE, Group
from foveate.engines.request import Request
from foveate.engines.torch.arrays import TYPES
from foveate.engines.torch.distributed import joined_group, local_device
from foveate.engines.torch.precision import PRECISIONS, Precision
from foveate.engines.torch.program import Place, TorchProgram
from foveate.engines.torch.state import TorchState
from foveate.errors import EngineError
from foveate.graph import Graph, Optimizer
from foveate.text import printable


class TorchEngine(Engine):
    """PyTorch, on a GPU or a CPU.

    Args:
        device: "cuda", "cuda:1", "mps", "cpu" ... (default: a GPU if there is one, else the CPU).
        dtype: np.float32, or np.float64 for tests.
        precision: "float32", "tf32" (faster on NVIDIA's GPUs, with 10 bits in each factor of a product), or "bf16",
            which computes activations and products in bfloat16; parameters, losses and updates stay in float32.
        group: the processes that train together; see `distributed_engine`.
        synchronised: whether their batch normalisation measures the whole batch; otherwise each process measures its
            own share, and the running statistics are the means.

    Raises:
        EngineError: this machine has no such device, or there is no such precision.
    """

    name: ClassVar[str] = "torch"

    def __init__(
        self,
        device: str | None = None,
        dtype: type[np.floating] = np.float32,
        precision: Precision = "float32",
        group: Group = ALONE,
        *,
        synchronised: bool = True,
    ) -> None:
        if precision not in PRECISIONS or (dtype is np.float64 and precision != "float32"):
            raise EngineError(f'the precision is "{printable(precision)}"; it must be one of {", ".join(PRECISIONS)}')
        self.device = _checked(_best() if device is None else device, dtype)
        self.dtype = dtype
        self.precision = precision
        self.group = group
        self.synchronised = synchronised

    @property
    def threads(self) -> int:
        """How many threads PyTorch uses on the CPU."""
        return torch.get_num_threads()

    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> TorchState:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""
        return TorchState(graph, optimizer, seed, self.dtype, str(self.device))

    def _compile(self, graph: Graph, request: Request) -> TorchProgram:
        place = Place(self.device, self.dtype, self.precision, self.group, self.synchronised)
        return TorchProgram(graph, request, place)


def distributed_engine(
    device: str | None = None,
    dtype: type[np.floating] = np.float32,
    precision: Precision = "float32",
    *,
    synchronised: bool = True,
) -> TorchEngine:
    """The engine of one of the processes that torchrun has started; arguments as for `TorchEngine`.

    Raises:
        EngineError: the processes do not find each other, or as for `TorchEngine`.
    """
    device = local_device(device)
    alone = TorchEngine(device, dtype, precision)
    if alone.device.type == "cuda":
        torch.cuda.set_device(alone.device)
    return TorchEngine(device, dtype, precision, joined_group(alone.device), synchronised=synchronised)


def _best() -> str:
    """A GPU if PyTorch can use one here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _checked(name: str, dtype: type[np.floating]) -> torch.device:
    """The device called `name`, if a number can be put there."""
    try:
        device = torch.device(name)
        torch.empty(1, dtype=TYPES[dtype], device=device)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise EngineError(
            f'PyTorch {torch.__version__} cannot use the device "{printable(name)}" here ({reason}). Use '
            f'"{_best()}", or leave the device out'
        ) from None
    return device

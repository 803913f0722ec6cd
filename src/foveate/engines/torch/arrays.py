"""The way of numbers between NumPy and a device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

TYPES: dict[type[np.floating], torch.dtype] = {np.float32: torch.float32, np.float64: torch.float64}
"""PyTorch's name of each type that an engine computes in."""


def to_tensor(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """The numbers of `array` on `device`; on a CPU the tensor may share the array's memory."""
    whole = np.ascontiguousarray(array)
    if not whole.flags.writeable:  # PyTorch warns of these, though nothing here writes into a batch
        whole = whole.copy()
    return torch.from_numpy(whole).to(device)


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy of a tensor's numbers, in C's order."""
    return np.array(tensor.detach().cpu().numpy(), order="C")


class Reading:
    """Numbers on their way from the device; nobody waits for them, or for what is launched after, until `wait`."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        on_cuda = tensors[0].device.type == "cuda"
        self._here = [tensor.to("cpu", non_blocking=on_cuda) for tensor in tensors]
        self._done = torch.cuda.Event() if on_cuda else None  # type: ignore[no-untyped-call]
        if self._done is not None:
            self._done.record()

    def wait(self) -> list[NDArray[Any]]:
        """The numbers."""
        if self._done is not None:
            self._done.synchronize()
        return [to_numpy(tensor) for tensor in self._here]

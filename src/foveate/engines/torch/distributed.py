"""Processes that train together through torch.distributed, started by torchrun on one machine or several.

Each takes its share of every batch; losses, gradients and, if wanted, the statistics of batch normalisation are
summed over all of them, by the weights with which they count. So N processes compute what one does on whole batches,
whatever the loss weights or ignores. DistributedDataParallel would average the means of each process, which is only
the same if all count alike.
"""

import atexit
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from foveate.engines.group import Group
from foveate.errors import EngineError

WAITING = timedelta(minutes=10)
"""How long a process waits for the others to come to the same point; one that ends is noticed at once."""


@dataclass(frozen=True)
class TorchGroup(Group):
    """A process of torch.distributed's default group."""

    def all_reduce(self, tensor: torch.Tensor) -> None:
        """Replace `tensor` by the sum of those of all processes; all of them get the same bits."""
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            reason = _reason(error)
            late = "timed out" in str(error).lower() or "timeout" in str(error).lower()
            minutes = WAITING.total_seconds() / 60
            why = f"the others have not come as far for {minutes:.0f} minutes" if late else "another one has ended"
            raise EngineError(
                f"process {self.rank} of {self.size} cannot go on, because {why} ({reason}). The last checkpoint is "
                "whole: start all of them again with --resume"
            ) from None

    def total(self, numbers: Sequence[float]) -> list[float]:
        """The sums of each of these numbers over all processes."""
        tensor = torch.tensor(numbers, dtype=torch.float64)
        self.all_reduce(tensor)
        return [float(number) for number in tensor]


def joined_group(device: torch.device) -> Group:
    """The group that torchrun has started this process in, by NCCL between GPUs and by Gloo between CPUs.

    Raises:
        EngineError: the processes do not find each other.
    """
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        try:
            dist.init_process_group(backend, timeout=WAITING)
        except (RuntimeError, ValueError) as error:
            reason = _reason(error)
            raise EngineError(
                f"the processes of this training do not find each other ({reason}); start them with "
                "torchrun --nproc-per-node 2 -m foveate train ..."
            ) from None
        atexit.register(dist.destroy_process_group)
    return TorchGroup(dist.get_rank(), dist.get_world_size())


def _reason(error: Exception) -> str:
    """What the library says first, without the place in its source."""
    return re.sub(r"^\[\S+:\d+\] ", "", str(error)).split("\n")[0].split(". ")[0].rstrip(".")


def local_device(name: str | None) -> str | None:
    """The device of this process: each on one machine has a GPU of its own, unless one is named by its number."""
    on_gpus = name == "cuda" or (name is None and torch.cuda.is_available())
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_gpus else name

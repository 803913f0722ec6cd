"""What is known of PyTorch and of GPUs without importing PyTorch, which takes seconds."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

GPU_FILE = Path("/dev/nvidiactl")
"""Linux has it if the driver of an NVIDIA GPU is loaded."""


def torch_version() -> str | None:
    """The version of PyTorch, or None if it is not installed."""
    try:
        return version("torch") if find_spec("torch") is not None else None
    except (PackageNotFoundError, ValueError):  # a folder called torch, or a blocked module
        return None


@cache
def gpu() -> str | None:
    """The kind of GPU that PyTorch could use here, as PyTorch calls it: "cuda", "mps" or None."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "mps"
    return "cuda" if GPU_FILE.exists() else None


def processes() -> tuple[int, int]:
    """The rank of this process and their number, if torchrun has started several; else 0 and 1."""
    rank, size = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    return (int(rank), int(size)) if rank.isdecimal() and size.isdecimal() else (0, 1)

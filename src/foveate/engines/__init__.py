"""Engines run graphs on arrays: `reference` in NumPy defines each operation, `native` is fast, `torch` runs on GPUs."""

import re
from dataclasses import dataclass
from functools import cache
from os import cpu_count
from typing import Any

from foveate.engines.base import State
from foveate.engines.choice import gpu, processes, torch_version
from foveate.engines.definitions import register
from foveate.engines.engine import Engine
from foveate.engines.losses import register_loss
from foveate.engines.program import Program, Session, StepInfo, StepResult
from foveate.engines.request import Request
from foveate.errors import EngineError
from foveate.log import logger
from foveate.text import printable

__all__ = [
    "Engine",
    "Program",
    "Request",
    "Session",
    "State",
    "StepInfo",
    "StepResult",
    "default_engine",
    "get_engine",
    "register",
    "register_loss",
    "set_threads",
]


MOST_THREADS = 256
"""The most threads, unless there are more cores: the system may end a process that starts too many."""


ENGINE_NAME = re.compile(r"(?P<plain>native|reference)|torch(?::(?P<device>[^+]+))?(?:\+(?P<precision>\w+))?")


def get_engine(name: str) -> Engine:
    """The engine called "native", "torch" or "reference"; "torch:cuda" names a device too, "torch+bf16" a precision.

    Raises:
        EngineError: there is no such engine, or it is not installed on this machine.
    """
    found = ENGINE_NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise EngineError(f'there is no engine "{printable(name)}"; choose "native", "torch" or "reference"')
    return _engine(found["plain"] or "torch", found["device"], found["precision"] or "float32")


@cache
def _engine(name: str, device: str | None, precision: Any) -> Engine:
    if name == "torch":
        from foveate.engines.pytorch import check_torch

        check_torch()
        from foveate.engines.torch.engine import TorchEngine, distributed_engine

        _use_torch_threads()
        if processes()[1] > 1:
            return distributed_engine(device, precision=precision)
        return TorchEngine(device, precision=precision)
    if name == "reference":
        from foveate.engines.reference import ReferenceEngine

        return ReferenceEngine()
    try:
        from foveate.engines.native.engine import NativeEngine
    except ImportError as error:
        raise _not_built(error) from None
    return NativeEngine()


@cache
def default_engine() -> Engine:
    """The native engine; if it was not built PyTorch's, else the reference engine, with one warning that says so."""
    try:
        engine = get_engine("native")
        logger.info("native engine, threads: %d", engine.threads)
        if gpu() is not None:
            logger.info('this machine has a GPU, which engine="torch" would use')
        return engine
    except EngineError as error:
        name, kind = ("reference", "slow reference") if torch_version() is None else ("torch", "torch")
        logger.info("%s engine: %s", name, error)
        import warnings

        warnings.warn(f"{str(error).removesuffix('.')}. The {kind} engine is used instead.", stacklevel=2)
        return get_engine(name)


def set_threads(count: int) -> None:
    """Use `count` threads from now on: in native programs that are compiled then, and in PyTorch's engine.

    The same count gives the same bits.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise EngineError(f"the number of threads is {count!r}; it must be an int of at least 1")
    most = max(MOST_THREADS, cpu_count() or 1)
    if count > most:
        raise EngineError(f"the number of threads is {count}; it must be at most {most}, and one for each core is best")
    _torch_threads.wanted = count
    if _torch_threads.engine_is_made:
        _use_torch_threads()
    try:
        from foveate.engines.native._native import set_threads as set_native_threads
    except ImportError as error:
        if torch_version() is not None:
            return
        raise _not_built(error) from None
    set_native_threads(count)


@dataclass
class _TorchThreads:
    """PyTorch has one number for the whole process: it is left alone until there is an engine that uses it."""

    wanted: int | None = None
    engine_is_made: bool = False


_torch_threads = _TorchThreads()


def _use_torch_threads() -> None:
    _torch_threads.engine_is_made = True
    if _torch_threads.wanted is not None:
        import torch

        torch.set_num_threads(_torch_threads.wanted)


def _not_built(error: ImportError) -> EngineError:
    return EngineError(
        f"the native engine cannot be loaded ({error}). It needs a C++ compiler and oneDNN when foveate is installed: "
        "install both (Debian: g++ and libdnnl-dev; on Linux x86-64 the compiler is enough) and install foveate again."
    )

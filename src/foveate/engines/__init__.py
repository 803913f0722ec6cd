"""Engines run graphs on arrays: `reference` in NumPy defines each operation, `native` is the fast one."""

from functools import cache
from os import cpu_count

from foveate.engines.base import State
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


def get_engine(name: str) -> Engine:
    """The engine called "native", "torch" or "reference"; "torch:cuda" names a device too.

    Raises:
        EngineError: there is no such engine, or it is not installed on this machine.
    """
    plain, colon, device = name.partition(":") if isinstance(name, str) else (name, "", "")
    if plain not in ("native", "reference", "torch") or (colon and (plain != "torch" or not device)):
        raise EngineError(f'there is no engine "{printable(name)}"; choose "native", "torch" or "reference"')
    return _engine(plain, device)


@cache
def _engine(name: str, device: str) -> Engine:
    if name == "torch":
        from foveate.engines.pytorch import check_torch

        check_torch()
        from foveate.engines.torch.engine import TorchEngine

        return TorchEngine(device or None)
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
    """The native engine, or if it was not built the reference engine, with one warning that says so."""
    try:
        engine = get_engine("native")
        logger.info("native engine, threads: %d", engine.threads)
        return engine
    except EngineError as error:
        logger.info("reference engine: %s", error)
        import warnings

        warnings.warn(f"{str(error).removesuffix('.')}. The slow reference engine is used instead.", stacklevel=2)
        return get_engine("reference")


def set_threads(count: int) -> None:
    """Compile native programs for `count` threads from now on; the same count gives the same bits."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise EngineError(f"the number of threads is {count!r}; it must be an int of at least 1")
    most = max(MOST_THREADS, cpu_count() or 1)
    if count > most:
        raise EngineError(f"the number of threads is {count}; it must be at most {most}, and one for each core is best")
    try:
        from foveate.engines.native._native import set_threads as set_native_threads
    except ImportError as error:
        raise _not_built(error) from None
    set_native_threads(count)


def _not_built(error: ImportError) -> EngineError:
    return EngineError(
        f"the native engine cannot be loaded ({error}). It needs a C++ compiler and oneDNN when foveate is installed: "
        "install both (Debian: g++ and libdnnl-dev; on Linux x86-64 the compiler is enough) and install foveate again."
    )

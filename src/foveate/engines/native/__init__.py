"""The native engine, where it was built; importing it elsewhere raises an EngineError that says what to install."""

from foveate.errors import EngineError

try:
    from foveate.engines.native._native import set_threads
except ImportError as error:
    raise EngineError(
        f"the native engine is not there ({error}). It needs a C++ compiler and oneDNN when foveate is installed: "
        "install both (Debian: g++ and libdnnl-dev; on Linux x86-64 the compiler is enough) and install foveate again."
    ) from None

from foveate.engines.native.engine import NativeEngine

__all__ = ["NativeEngine", "set_threads"]

"""The native engine: oneDNN's primitives and kernels of our own, compiled into programs. `engine` is its front."""

import os
from importlib import import_module

_WAITING = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "20000"}
"""How OpenMP's threads wait for each other: they spin for a fraction of a millisecond, which bridges the gaps between
steps, and then sleep. Unless told otherwise GNU's library spins for milliseconds, which slows down all else that runs
on the machine, or hardly at all once there are more threads than cores."""


def _load_extension() -> None:
    """OpenMP reads its settings once, when it is loaded; afterwards the environment is as it was."""
    own = {} if any(name in os.environ for name in _WAITING) else _WAITING
    os.environ.update(own)
    try:
        import_module("foveate.engines.native._native")
    except ImportError:
        pass  # whoever needs it is told
    finally:
        for name in own:
            del os.environ[name]


_load_extension()

"""The native engine: oneDNN's primitives and kernels of our own, compiled into programs. `engine` is its front."""

import os
from importlib import import_module

from foveate.engines.machine import limit_of_instructions, threads_within_quota

_WAITING = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "20000"}
"""How OpenMP's threads wait for each other: they spin for a fraction of a millisecond, which bridges the gaps between
steps, and then sleep. Unless told otherwise GNU's library spins for milliseconds, which slows down all else that runs
on the machine, or hardly at all once there are more threads than cores."""


def _load_extension() -> None:
    """OpenMP and oneDNN read their settings once, when loaded; afterwards the environment is as it was."""
    own = {} if any(name in os.environ for name in _WAITING) else dict(_WAITING)
    limit = limit_of_instructions(os.environ)
    if limit is not None:
        own["ONEDNN_MAX_CPU_ISA"] = limit
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        native = import_module("foveate.engines.native._native")
    except ImportError:
        return  # whoever needs it is told
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    if "OMP_NUM_THREADS" not in os.environ:
        native.set_threads(threads_within_quota(native.threads()))


_load_extension()

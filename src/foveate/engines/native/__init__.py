"""The native engine: oneDNN's primitives and kernels of our own, compiled into programs. Its interface is `engine`."""

import os
from importlib import import_module

from foveate.engines.machine import limit_of_instructions, threads_within_quota

WAITING = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "1000"}
"""How OpenMP's threads wait for each other: they spin for some microseconds, which bridges the gaps between short
steps, and then sleep. By default GNU's library spins for milliseconds; if other programs want the cores too, such as
a second training, each wait then costs a whole time slice."""


def _load_extension() -> None:
    """Load it with our settings, which OpenMP and oneDNN read once; afterwards the environment is as it was."""
    own = {} if any(name in os.environ for name in WAITING) else dict(WAITING)
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

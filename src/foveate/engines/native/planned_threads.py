"""How many threads oneDNN plans for: it divides the work of a primitive when that is made, not when it runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from foveate.engines.native import _native


@contextmanager
def planned_threads(count: int | None = None) -> Iterator[int]:
    """Primitives made inside are for `count` threads, or as many as programs have, whatever OpenMP gives the caller."""
    threads = count or _native.threads()
    before = _native.exchange_callers_threads(threads)
    try:
        yield threads
    finally:
        _native.exchange_callers_threads(before)

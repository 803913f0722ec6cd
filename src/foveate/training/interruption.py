"""Handles Ctrl-C between steps instead of within one, so that what is saved is consistent."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C is only noted, for the yielded function to report; a second one acts at once.

    Nothing changes outside the main thread, where Python delivers no signals, or if Ctrl-C was already ignored.
    """
    noted = Event()

    def note(number: int, frame: Any) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    former = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or former in (signal.SIG_IGN, None):
        yield noted.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, former)

"""Handles Ctrl-C and signals to end between steps instead of within one, so that what is saved is consistent."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process; Windows has only one."""


class _Noted:
    """Signals that are only noted; a second one takes effect at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._former: dict[int, Any] = {}

    def begin(self, numbers: tuple[int, ...]) -> None:
        """Note these from now on, but for those that are ignored."""
        for number in numbers:
            former = signal.getsignal(number)
            if number not in self._former and former not in (signal.SIG_IGN, None):
                self._former[number] = former
                signal.signal(number, self._note)

    def end(self) -> None:
        """Let them have the effect that they had before."""
        while self._former:
            number, former = self._former.popitem()
            signal.signal(number, former)

    def _note(self, number: int, _: Any) -> None:
        if self.number is None:
            self.number = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            self.end()
            signal.raise_signal(number)


_late: _Noted | None = None
"""Those to end that wait until a training has saved all; set in the main thread only."""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C is only noted, for the yielded function to report; a second one acts at once.

    Within `saved_first` the same is true of signals to end, and stays so after the block. Nothing changes outside the
    main thread, where Python delivers no signals, or for what was already ignored.
    """
    noted = _Noted()
    if current_thread() is not main_thread():
        yield lambda: False
        return
    late = _late
    if late is not None:
        late.begin(_ENDS)
    noted.begin((signal.SIGINT,))
    try:
        yield lambda: noted.number is not None or (late is not None and late.number is not None)
    finally:
        noted.end()


@contextmanager
def saved_first() -> Iterator[None]:
    """Let a signal to end take effect after the block, if it comes once training has begun."""
    global _late  # noqa: PLW0603 - signals belong to the process
    if current_thread() is not main_thread() or _late is not None:
        yield
        return
    _late = noted = _Noted()
    try:
        yield
    finally:
        _late = None
        noted.end()
    if noted.number is not None:
        signal.raise_signal(noted.number)

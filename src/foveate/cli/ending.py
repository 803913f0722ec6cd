"""How `foveate train` ends by a signal, and without a reader."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foveate.cli.output import wrapped
from foveate.text import named

if TYPE_CHECKING:
    from foveate.training import RunFolder

_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


_interrupted = False


def _interrupt(_: int, __: Any) -> None:
    global _interrupted  # noqa: PLW0603 - signals belong to the process
    _interrupted = True
    raise KeyboardInterrupt


def remember_ctrl_c() -> None:
    """Let Ctrl-C be remembered as well: an extension module that is being imported may swallow what it raises."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def check_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed and had no effect."""
    if _interrupted:
        raise KeyboardInterrupt


@contextmanager
def ends_in_a_sentence(folder: "RunFolder") -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command with a sentence and the status 128 + their number.

    They stay ignored if they are, as under nohup. A training that has begun saves all before.
    """
    began = time.time()

    def end(number: int, _: Any) -> None:
        path = folder.checkpoint
        saved = path.exists() and path.stat().st_mtime >= began - 1
        goes_on = f"; {named(path)} has the training so far, and the same command with --resume continues"
        words = f"foveate: ended by {signal.Signals(number).name}{goes_on if saved else ', before anything was learnt'}"
        with suppress(OSError, RuntimeError):  # standard error may be gone, or busy
            typer.echo(wrapped(words, sys.stderr), err=True)
        raise SystemExit(128 + number)

    former = {number: signal.getsignal(number) for number in _ENDS}
    changed = [number for number, handler in former.items() if handler is signal.SIG_DFL]
    try:
        for number in changed:
            signal.signal(number, end)
    except ValueError:  # not the main thread
        changed = []
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def tell(words: str, *, err: bool = False, nl: bool = True) -> None:
    """Print; if nobody reads standard output any longer, this and all that follows is discarded."""
    try:
        typer.echo(words, err=err, nl=nl)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115

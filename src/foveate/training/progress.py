"""What is shown while a network trains: a live bar, or a line for each epoch, or nothing."""

import sys
from collections.abc import Callable
from shutil import get_terminal_size
from time import monotonic
from types import TracebackType
from typing import Self, TextIO

from foveate.progress import Bar, is_live
from foveate.text import broken
from foveate.training.history import Epoch


class Progress:
    """Shows nothing; the base class of those that show something. Used as a context manager around the training."""

    def start(self, epochs: int, steps: int, done: int) -> None:
        """Training begins: this many epochs and steps, some of which may already be done."""

    def step(self, epoch: int, samples: int, loss: float, accuracy: float | None, step_loss: float) -> None:
        """A step of `samples` is done; `loss` and `accuracy` are the means of the epoch so far.

        Only classifications have an accuracy.
        """

    def epoch(self, row: Epoch) -> None:
        """An epoch is finished."""

    def note(self, text: str) -> None:
        """Something worth a line has happened: training stopped early, or goes on for longer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The training ended, successfully or not."""


class Lines(Progress):
    """A line for each epoch, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def start(self, epochs: int, steps: int, done: int) -> None:
        """Say where training resumes."""
        if done:
            self.note(_resumed(epochs, steps, done))

    def epoch(self, row: Epoch) -> None:
        """Write the epoch's figures at once."""
        self.note(str(row))

    def note(self, text: str) -> None:
        """Write a line at once; if that is not possible, training goes on in silence."""
        if self._stream is None:
            return
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any longer, the disk is full, or it is closed
            self._stream = None


class LiveBar(Progress):
    """A bar for the whole training with images/s, loss, accuracy and time left, and a line above it for each epoch."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._bar = stream, Bar(stream)
        self._epochs, self._is_gone = 0, False
        self._samples, self._since = 0, monotonic()

    def start(self, epochs: int, steps: int, done: int) -> None:
        """Set the bar's length."""
        self._epochs = epochs
        self._bar.start(steps, done)
        if done:
            self._shown(lambda: self._bar.print(_resumed(epochs, steps, done)))
        self._since = monotonic()

    def step(self, epoch: int, samples: int, loss: float, accuracy: float | None, step_loss: float) -> None:
        """Move the bar; redraw it a few times a second."""
        self._samples += samples
        self._bar.advance(1)
        if not self._bar.is_due():
            return
        rate = f"{self._samples / max(monotonic() - self._since, 1e-9):,.0f} images/s"
        figures = f"loss {loss:.4f}" + ("" if accuracy is None else f"  accuracy {accuracy:.1%}")
        self._shown(lambda: self._bar.draw(f"epoch {epoch}/{self._epochs}", f"{rate} {figures}"))

    def epoch(self, row: Epoch) -> None:
        """Print the epoch's figures above the bar; validation does not count in the next epoch's images/s."""
        self.note(str(row))
        self._samples, self._since = 0, monotonic()

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._shown(
            lambda: self._bar.print(broken(text, get_terminal_size().columns) if self._stream.isatty() else text)
        )

    def _shown(self, show: Callable[[], object]) -> None:
        """Show something as long as there is a terminal; without one, training goes on in silence."""
        if self._is_gone:
            return
        try:
            show()
        except (OSError, ValueError):
            self._is_gone = True

    def __enter__(self) -> Self:
        self._shown(self._bar.__enter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._is_gone = False  # what it holds is let go in any case
        self._shown(lambda: self._bar.__exit__(kind, error, trace))


def _resumed(epochs: int, steps: int, done: int) -> str:
    """Where training resumes: within an epoch, or at the beginning of one."""
    each = max(1, steps // max(1, epochs))
    if done >= steps:
        return f"all {epochs} epochs were already done"
    return f"resuming in epoch {done // each + 1} of {epochs}, after step {done} of {steps}"


def make_progress(show: bool | Progress, stream: TextIO | None = None) -> Progress:
    """A bar if `stream` (default: standard output) is a terminal or a notebook, else lines; silent if not `show`."""
    if isinstance(show, Progress):
        return show
    if not show:
        return Progress()
    target = stream or sys.stdout
    return LiveBar(target) if is_live(target) else Lines(target)

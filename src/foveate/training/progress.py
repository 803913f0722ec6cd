"""What a person sees while a network trains: a live bar on a terminal, a line for each epoch elsewhere, or nothing."""

import os
import sys
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from foveate.training.history import Epoch

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

REFRESH_SECONDS = 0.2


class Progress:
    """Shows nothing; base of those that do. Used as a context manager around a training."""

    def start(self, epochs: int, steps: int, done: int) -> None:
        """A training of so many epochs and steps begins, perhaps with some steps done before."""

    def step(self, epoch: int, samples: int, loss: float, accuracy: float | None, step_loss: float) -> None:
        """A step of `samples` is done; `loss` and `accuracy` are the means of the epoch so far.

        Only classifications have an accuracy.
        """

    def epoch(self, row: Epoch) -> None:
        """An epoch is finished."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The training ended, well or not."""


class Lines(Progress):
    """A line for each epoch, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def epoch(self, row: Epoch) -> None:
        """Write the epoch's figures at once."""
        self._stream.write(f"{row}\n")
        self._stream.flush()


class LiveBar(Progress):
    """A bar over the whole training with images/s, loss, accuracy and time left, and a line above it for each epoch.

    It is redrawn from the training's own loop: a thread of its own would take time from the engine's.
    """

    def __init__(self, stream: TextIO) -> None:
        self._bar = _bar(stream)
        self._task = self._bar.add_task("", total=None, rate="", figures="")
        self._epochs = 0
        self._drawn = 0.0
        self._samples, self._since = 0, monotonic()

    def start(self, epochs: int, steps: int, done: int) -> None:
        """Set the bar's length."""
        self._epochs = epochs
        self._bar.update(self._task, total=steps, completed=done)
        self._since = monotonic()

    def step(self, epoch: int, samples: int, loss: float, accuracy: float | None, step_loss: float) -> None:
        """Move the bar; redraw it a few times a second."""
        now = monotonic()
        self._samples += samples
        self._bar.advance(self._task)
        if now - self._drawn < REFRESH_SECONDS:
            return
        rate = f"{self._samples / max(now - self._since, 1e-9):,.0f} images/s"
        figures = f"loss {loss:.4f}" + ("" if accuracy is None else f"  accuracy {accuracy:.1%}")
        self._bar.update(self._task, description=f"epoch {epoch}/{self._epochs}", rate=rate, figures=figures)
        self._bar.refresh()
        self._drawn = now

    def epoch(self, row: Epoch) -> None:
        """Print the epoch's figures above the bar; validation does not count in the next epoch's images/s."""
        self._bar.console.print(str(row), highlight=False, soft_wrap=True)
        self._samples, self._since = 0, monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()


def make_progress(show: bool | Progress, stream: TextIO | None = None) -> Progress:
    """A bar where `stream` (default: standard output) is a terminal, lines elsewhere; silent if not `show`."""
    if isinstance(show, Progress):
        return show
    if not show:
        return Progress()
    target = stream or sys.stdout
    moves = target.isatty() and os.environ.get("TERM") != "dumb"
    return LiveBar(target) if moves else Lines(target)


def _bar(stream: TextIO) -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(file=stream),
        auto_refresh=False,
        transient=True,
        expand=True,
    )

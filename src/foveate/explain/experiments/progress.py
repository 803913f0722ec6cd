"""What a person sees while an experiment runs: a live bar, or a line for each run, or nothing."""

from types import TracebackType
from typing import Self, TextIO

from foveate.progress import Bar, is_live
from foveate.training import progress as training


class Progress:
    """Shows nothing; the base class of those that do. Used as a context manager around an experiment."""

    def start(self, runs: int, images: int) -> None:
        """An experiment of this many runs begins; together they process this many images."""

    def begin(self, run: str, images: int) -> None:
        """A run over this many images begins."""

    def advance(self, images: int, figures: str) -> None:
        """This many more images are done; `figures` says how the run is going."""

    def finish(self, line: str) -> None:
        """The run is finished, perhaps early; `line` gives its result."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The experiment ended, well or not."""


class Lines(Progress):
    """A line for each run, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._runs, self._done = 0, 0

    def start(self, runs: int, images: int) -> None:
        """Note how many runs there will be."""
        self._runs = runs

    def finish(self, line: str) -> None:
        """Write the run's result at once."""
        self._done += 1
        self._stream.write(f"{self._done}/{self._runs} {line}\n")
        self._stream.flush()


class LiveBar(Progress):
    """A bar over the whole experiment, and a line above it for each run."""

    def __init__(self, stream: TextIO) -> None:
        self._bar = Bar(stream)
        self._runs, self._done, self._end = 0, 0, 0

    def start(self, runs: int, images: int) -> None:
        """Set the bar's length."""
        self._runs = runs
        self._bar.start(images)

    def begin(self, run: str, images: int) -> None:
        """Say which run it is."""
        self._end += images
        self._bar.draw(f"{self._done + 1}/{self._runs} {run}", "")

    def advance(self, images: int, figures: str) -> None:
        """Move the bar; redraw it a few times a second."""
        self._bar.advance(images)
        if self._bar.is_due():
            self._bar.draw(figures=figures)

    def finish(self, line: str) -> None:
        """Print the run's result above the bar, and skip what a run that ended early left out."""
        self._done += 1
        self._bar.print(line)
        self._bar.move_to(self._end)
        self._bar.draw()

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bar.__exit__(kind, error, trace)


def make_progress(stream: TextIO) -> Progress:
    """A bar if `stream` is a terminal or a notebook, otherwise lines."""
    return LiveBar(stream) if is_live(stream) else Lines(stream)


class Watcher(training.Progress):
    """Follows each step of a training: moves the experiment's progress and keeps the step's loss."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.losses: list[float] = []
        self.started = False

    def start(self, epochs: int, steps: int, done: int) -> None:
        """The training's settings are valid, and it begins."""
        self.started = True

    def step(self, epoch: int, samples: int, loss: float, accuracy: float | None, step_loss: float) -> None:
        """A step is done."""
        self.losses.append(float(f"{step_loss:.5g}"))
        self._progress.advance(samples, f"loss {loss:.3f}" + ("" if accuracy is None else f"  accuracy {accuracy:.1%}"))

"""The progress bar of everything that takes long: live on a terminal and in a notebook, nothing anywhere else."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from threading import Event, Lock, RLock, Thread
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeAlias, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

Part = TypeVar("Part")

REFRESH_SECONDS = 0.2
PATIENCE_SECONDS = 2.0
"""Seconds below which work needs no bar."""

_NOTEBOOK_COLUMNS = 100
one_at_a_time = Lock()
"""Held by the bar on the screen: two would overwrite each other, so any other stays hidden meanwhile."""


def is_live(stream: TextIO | None) -> bool:
    """Whether a bar on `stream` can be redrawn in place: on a terminal with a movable cursor, or in a notebook."""
    return _shows_in_notebook(stream) or _is_terminal(stream)


class Bar:
    """A bar with a text before it, and figures and the time after it; a line printed meanwhile appears above it.

    It is drawn only within a `with` block, and gone after it, however the block ends. If the stream is not `is_live`
    nothing is drawn. It is redrawn from the worker's own loop: a separate thread would take time from the
    engine's. Only `ticks` starts one, for work that is silent for seconds, and shows the time elapsed instead of that
    left.

    Args:
        stream: where to draw.
        total: how much there is to do; None if that is not known, or not known yet.
        text: what is being done.
        patience: seconds before the bar appears.
        ticks: redraw it even if nobody moves it.
    """

    def __init__(
        self,
        stream: TextIO | None,
        total: int | None = None,
        text: str = "",
        *,
        patience: float = 0.0,
        ticks: bool = False,
    ) -> None:
        self._stream, self._patience, self._ticks = stream, patience, ticks
        self._surface: Terminal | _Notebook | None = None
        self._facts: dict[str, Any] = {"total": total, "completed": 0, "description": text, "figures": ""}
        self._visible, self._drawn, self._since = False, 0.0, monotonic()
        self._guard, self._ended = RLock(), Event()
        self._thread: Thread | None = None

    def start(self, total: int, done: int = 0) -> None:
        """Set the total, some of which may already be done."""
        self._facts.update(total=total, completed=done)

    def move(self, count: int) -> None:
        """Add `count` to what is done; redraw the bar a few times a second."""
        self.advance(count)
        if self.is_due():
            self.draw()

    def advance(self, count: int) -> None:
        """Add `count` to what is done, without drawing."""
        self._facts["completed"] += count

    def move_to(self, done: int) -> None:
        """Set what is done in all, without drawing."""
        self._facts["completed"] = done

    def is_due(self) -> bool:
        """Whether it is time to draw again."""
        now = monotonic()
        return now - self._drawn >= REFRESH_SECONDS and now - self._since >= self._patience

    def draw(self, text: str | None = None, figures: str | None = None) -> None:
        """Draw the bar as it stands, unless it is too early for it to appear."""
        with self._guard:
            if text is not None:
                self._facts["description"] = text
            if figures is not None:
                self._facts["figures"] = figures
            if monotonic() - self._since >= self._patience and self._appear() and self._surface is not None:
                self._surface.draw(self._facts)
                self._drawn = monotonic()

    def print(self, line: str) -> None:
        """Write a line above the bar."""
        with self._guard:
            if self._visible and self._surface is not None:
                self._surface.print(line)
            elif self._stream is not None:
                self._stream.write(f"{line}\n")
                self._stream.flush()

    def __enter__(self) -> Self:
        self._since = monotonic()
        if is_live(self._stream):
            assert self._stream is not None, "only a stream is live"
            kind = _Notebook if _shows_in_notebook(self._stream) else Terminal
            self._surface = kind(self._stream, clock=self._ticks)
            try:
                self._begin()
            except BaseException:  # Ctrl-C too: Python leaves no block that it has not entered
                self._leave()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen as it was."""
        self._leave()

    def _begin(self) -> None:
        self.draw()
        if self._ticks:
            self._thread = Thread(target=self._tick, name="foveate-progress", daemon=True)
            self._thread.start()

    def _leave(self) -> None:
        self._ended.set()
        try:
            if self._thread is not None:
                self._thread.join()
        finally:
            with self._guard:
                if self._visible and self._surface is not None:
                    self._visible = False
                    one_at_a_time.release()
                    self._surface.stop()

    def _appear(self) -> bool:
        """Put the bar on the screen if it is not there yet; whether that succeeded."""
        if not self._visible and self._surface is not None and not self._ended.is_set():
            self._visible = one_at_a_time.acquire(blocking=False)
            if self._visible:
                self._surface.start()
        return self._visible

    def _tick(self) -> None:
        while not self._ended.wait(REFRESH_SECONDS):
            self.draw()


class Terminal:
    """A bar that rich draws at the foot of a terminal."""

    def __init__(self, stream: TextIO, *, clock: bool) -> None:
        from rich.console import Console

        console = Console(file=stream, force_jupyter=False, force_terminal=True)
        self._bar = _rich_bar(console, clock)
        self._task = self._bar.add_task("", total=None, figures="")

    def start(self) -> None:
        """Show it."""
        self._bar.start()

    def draw(self, facts: dict[str, Any]) -> None:
        """Bring it up to date."""
        self._bar.update(self._task, **facts)
        self._bar.refresh()

    def print(self, line: str) -> None:
        """Write a line above it."""
        self._bar.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def stop(self) -> None:
        """Leave it as it is."""
        self._bar.stop()


class _Notebook:
    """A bar that is one output of a cell, drawn over and over. (rich's own needs ipywidgets, or shows nothing.)"""

    def __init__(self, stream: TextIO, *, clock: bool) -> None:
        from rich.console import Console

        self._stream = stream
        console = Console(
            file=StringIO(), width=_NOTEBOOK_COLUMNS, force_jupyter=False, force_terminal=False, color_system=None
        )
        self._bar = _rich_bar(console, clock)
        self._task = self._bar.add_task("", total=None, figures="")
        self._output: Any = None

    def start(self) -> None:
        # Imported by name: IPython is where a notebook is, and no requirement.
        display = import_module("IPython.display").display
        self._output = display({"text/plain": ""}, raw=True, display_id=True)

    def draw(self, facts: dict[str, Any]) -> None:
        self._bar.update(self._task, **facts)
        with self._bar.console.capture() as text:
            self._bar.console.print(self._bar.get_renderable())
        self._output.update({"text/plain": text.get().rstrip()}, raw=True)

    def print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def stop(self) -> None:
        self._output.update({"text/plain": ""}, raw=True)


Tell: TypeAlias = Callable[[int, int], object]
"""Called with the amount done and the total."""


@contextmanager
def told(progress: "bool | Tell", text: str) -> Iterator[Tell]:
    """What to report progress to: `progress` if it is a function, else a bar or nothing.

    The bar appears on standard error if the work takes over two seconds.
    """
    if callable(progress):
        yield progress
        return
    with Bar(sys.stderr if progress else None, None, text, patience=PATIENCE_SECONDS) as bar:

        def tell(done: int, total: int) -> None:
            bar.start(total, done)
            bar.move(0)

        yield tell


def watched(
    parts: Iterable[Part], total: int | None, text: str, *, progress: bool, size: Callable[[Part], int] = lambda _: 1
) -> Iterator[Part]:
    """The parts as they come, under a bar that `size` of each moves."""
    with Bar(sys.stderr if progress else None, total, text, patience=PATIENCE_SECONDS) as bar:
        for part in parts:
            yield part
            bar.move(size(part))


def _rich_bar(console: Any, clock: bool) -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    time = (TimeElapsedColumn(),) if clock else (TimeRemainingColumn(), TextColumn("left"))
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", markup=False),
        *time,
        console=console,
        auto_refresh=False,
        transient=True,
        expand=True,
        # rich would send what is printed to where the bar is: into the terminal, and not into the file that was asked
        # for.
        redirect_stdout=_is_terminal(sys.stdout),
        redirect_stderr=_is_terminal(sys.stderr),
    )


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether it is a terminal that can move its cursor. Without a console Python has no stream at all."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _shows_in_notebook(stream: TextIO | None) -> bool:
    """Whether `stream` is shown by a notebook below a cell."""
    python = sys.modules.get("IPython")
    shell = None if python is None else python.get_ipython()
    return getattr(shell, "kernel", None) is not None and stream in (sys.stdout, sys.stderr)

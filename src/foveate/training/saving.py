"""What a training writes as it goes: checkpoints, of which the last few are kept, and the history."""

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

import numpy as np

from foveate.engines import State
from foveate.engines.base import FloatArray
from foveate.errors import FileError, TrainingError
from foveate.files import ArraysInTurn, Checkpoint, write_checkpoint
from foveate.text import named
from foveate.training.claim import nothing_to_resume, words_of
from foveate.training.folder import RunFolder
from foveate.training.history import History
from foveate.training.job import Job


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written or read, and training goes on all the same."""


class Saving:
    """Writes a training's checkpoints, and lets it go on if one cannot be written.

    Args:
        job: the training; without a folder nothing is written.
    """

    def __init__(self, job: Job) -> None:
        self._folder, self._keep = job.folder, job.keep_checkpoints
        self._seconds = None if job.checkpoint_minutes is None else 60 * job.checkpoint_minutes
        self._written = monotonic()
        self._told = False
        self._of_this_run = False
        self._damaged: list[Path] = []

    def is_due(self) -> bool:
        """Whether the last checkpoint is old."""
        return self._folder is not None and self._seconds is not None and monotonic() - self._written >= self._seconds

    def write(self, step: int, checkpoint: Callable[[], Checkpoint], history: History) -> None:
        """Write a checkpoint and the history; if that is not possible, a warning says so, once until it is again."""
        if self._folder is None:
            return
        saved = False
        try:
            write_checkpoint(self._folder.checkpoint, checkpoint(), self._make_place)
            self._of_this_run = saved = True
            history.to_csv(self._folder.history)
            self._told = False
        except FileError as error:
            if not self._told:
                warnings.warn(f"step {step}: {error}. {self._state(saved)}", CheckpointWarning, stacklevel=2)
            self._told = True
        self._written = monotonic()

    def restore(self, load: Callable[[Path], None]) -> None:
        """Call `load` with the latest checkpoint, or with the one before if that is damaged, which a warning tells.

        Raises:
            TrainingError: there is none.
            FileError: none can be read; the error is that of the latest.
        """
        assert self._folder is not None, "only a folder has checkpoints"
        found = self._folder.checkpoints()
        if not found:
            raise TrainingError(nothing_to_resume(self._folder, words_of(self._folder)))
        errors: list[FileError] = []
        for path in found:
            try:
                load(path)
            except FileError as error:
                errors.append(error)
                continue
            self._of_this_run, self._damaged = True, found[: len(errors)]
            if errors:
                told = f"{errors[0]}. Training goes on from an earlier one instead, {named(path)}"
                warnings.warn(told, CheckpointWarning, stacklevel=2)
            return
        raise errors[0]

    def _state(self, saved: bool) -> str:
        """How a training goes on that cannot write a file, perhaps after it has `saved` the checkpoint."""
        assert self._folder is not None, "only a folder has checkpoints"
        kept = named(self._folder.checkpoint)
        if saved:
            last = f"{kept} has been written"
        elif self._of_this_run and self._folder.checkpoint.is_file():
            last = f"{kept} is still the last one"
        else:
            last = f"{kept} is gone" if self._of_this_run else "There is no checkpoint yet"
        return f"{last}; training goes on and tries again"

    def _make_place(self) -> None:
        """Let the earlier checkpoints move up by one; called when the new one is on the disk, before it has its name.

        The latest one has two names for a moment, so that there is one at any time.
        """
        assert self._folder is not None, "only a folder has checkpoints"
        folder, damaged = self._folder, self._damaged
        earlier = [path for path in folder.checkpoints() if path not in damaged] if self._of_this_run else []
        staying = earlier[: self._keep - 1]
        for path in folder.checkpoints():
            if path not in staying and (path != folder.checkpoint or path in damaged):
                path.unlink()
        moves = [(path, folder.former(age)) for age, path in enumerate(staying, 1) if path != folder.former(age)]
        # Into a free place each: upwards the oldest first, downwards, after damaged ones, the latest.
        for path, place in moves if damaged else reversed(moves):
            if path == folder.checkpoint:
                _name_again(path, place)
            else:
                path.replace(place)
        self._damaged = []


def write_results(folder: RunFolder, save: Callable[[Path], object], history: History) -> None:
    """Write the model, the history and its figure; if one cannot be written, the FileError says where it still is."""
    try:
        save(folder.model)
        folder.write(history)
    except FileError as error:
        raise FileError(f"{error}. {words_of(folder).unsaved}") from None


def _name_again(path: Path, place: Path) -> None:
    """Give a file another name; it keeps the one that it had as well if the file system allows two."""
    place.unlink(missing_ok=True)
    try:
        os.link(path, place)
    except OSError:
        path.replace(place)


def arrays_in_turn(state: State, *, slots: bool = False, sets: Mapping[str, State] | None = None) -> ArraysInTurn:
    """The state's arrays, each read when it is written: no second copy of all of them is ever in memory.

    Args:
        state: the parameters, statistics and slots.
        slots: whether the optimiser's slots belong to them.
        sets: the states whose parameters and statistics are written, by what stands before their names
            (default: those of `state`, under their own names).
    """
    sources = {name: (state, name) for name in state.names(slots=slots) if "/" in name}
    for copy, each in ({"": state} if sets is None else sets).items():
        sources |= {f"{copy}/{name}" if copy else name: (each, name) for name in each.names()}
    graph = state.graph
    known = {name: each.shape for name, each in graph.parameters.items()}
    known |= {name: each.shape for name, each in graph.statistics.items()}
    shapes = {name: known[plain.rsplit("/", 1)[-1]] for name, (_, plain) in sources.items()}
    smallest = min(shapes, key=lambda name: int(np.prod(shapes[name])), default=None)

    def read(name: str) -> FloatArray:
        source, plain = sources[name]
        return source.read(plain)

    return ArraysInTurn(shapes, np.dtype(np.float32) if smallest is None else read(smallest).dtype, read)

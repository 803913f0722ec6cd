"""What a run holds besides its state: the running average of the parameters, and those of the best epoch."""

from collections.abc import Mapping, Sequence

from foveate.engines import State
from foveate.engines.base import FloatArray
from foveate.tasks.measuring import beats
from foveate.tasks.metrics.base import Direction
from foveate.training.history import Epoch, format_metric
from foveate.training.job import Job

TRAINED, BEST = "trained", "best"
"""What checkpoints call the parameters that steps change, if the plain names have their average, and the best ones."""


class Kept:
    """The parameters that are measured and, in the end, kept.

    Args:
        job: what is trained.
        better: which direction of the headline metric is better.
    """

    def __init__(self, job: Job, better: Direction) -> None:
        self._job, self._better = job, better
        self._average = job.programs.engine.copied(job.state) if job.recipe.ema is not None else None
        self._best: State | None = None
        self.keeps_best = job.recipe.keep_best and job.validation is not None

    @property
    def shown(self) -> State:
        """The parameters that are measured: the average if there is one."""
        return self._job.state if self._average is None else self._average

    def follow(self, updates: int) -> None:
        """Move the average towards the parameters after one update; `updates` counts those so far.

        With decay d the average moves by 1 - d of the way, at first by more: by 9 / (10 + updates).
        """
        if self._average is not None and self._job.recipe.ema is not None:
            decay = min(self._job.recipe.ema, (1 + updates) / (10 + updates))
            self._average.move_towards(self._job.state, 1 - decay)

    def before_epoch(self, rows: Sequence[Epoch]) -> None:
        """Copy the parameters, which training is about to change, if the last epoch was the best so far."""
        if not self.keeps_best or not rows or self.best(rows) != len(rows):
            return
        if self._best is None:
            self._best = self._job.programs.engine.copied(self.shown)
        else:
            self._best.move_towards(self.shown)

    def best(self, rows: Sequence[Epoch]) -> int | None:
        """The best epoch in validation, counted from 1; between equal ones, that of the lower loss, then the first."""
        best: Epoch | None = None
        for row in rows:
            if row.validation_loss is not None and (best is None or self._beats(row, best)):
                best = row
        return None if best is None else rows.index(best) + 1

    def _beats(self, row: Epoch, other: Epoch) -> bool:
        if beats(row.validation_metric, other.validation_metric, self._better):
            return True
        if beats(other.validation_metric, row.validation_metric, self._better):
            return False
        return (row.validation_loss or 0.0) < (other.validation_loss or 0.0)

    def waited_for_better(self, rows: Sequence[Epoch]) -> int:
        """Epochs since the best one."""
        return len(rows) - (self.best(rows) or len(rows))

    def conclude(self, rows: Sequence[Epoch], position: int) -> int | None:
        """Make the parameters that are kept those of the job's state; the best epoch if that is whose they are.

        Args:
            rows: the finished epochs.
            position: the steps done in the one after them.
        """
        chosen = self.best(rows) if self.keeps_best else None
        if chosen is not None and (chosen < len(rows) or position > 0) and self._best is not None:
            self._job.state.move_towards(self._best)
        elif self._average is not None:
            self._job.state.move_towards(self._average)
        return chosen

    def sets(self, rows: Sequence[Epoch], position: int) -> dict[str, State]:
        """The parameters that a checkpoint holds, by the name of the set; the plain one is called ""."""
        found = {"": self.shown}
        if self._average is not None:
            found[TRAINED] = self._job.state
        if self._best is not None and ((self.best(rows) or 0) < len(rows) or position > 0):
            found[BEST] = self._best
        return found

    def restore(self, arrays: Mapping[str, FloatArray], rows: Sequence[Epoch], position: int) -> bool:
        """Take the sets of a checkpoint back; False if it lacks the best epoch's, so that they cannot be kept.

        Raises:
            KeyError: an array is missing.
        """
        _load(self._job.state, arrays, f"{TRAINED}/" if self._average is not None else "")
        if self._average is not None:
            _load(self._average, arrays, "")
        best = self.best(rows)
        if not self.keeps_best or best is None or (best == len(rows) and position == 0):
            return True
        name = next(iter(self._job.state.names()))
        if f"{BEST}/{name}" not in arrays:
            self.keeps_best = False
            return False
        self._best = self._job.programs.engine.copied(self.shown)
        _load(self._best, arrays, f"{BEST}/")
        return True


def told(row: Epoch) -> str:
    """What the best epoch measured."""
    if row.validation_metric is None:
        return f"validation loss {row.validation_loss:.4f}"
    return f"{row.metric} {format_metric(row.metric, row.validation_metric)}"


def _load(state: State, arrays: Mapping[str, FloatArray], prefix: str) -> None:
    for name in state.names():
        state.load(name, arrays[f"{prefix}{name}"])

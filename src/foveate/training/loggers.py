"""Callbacks that write what training measures: JSON lines, and TensorBoard's files."""

import json
from pathlib import Path
from typing import Any

from foveate.calls import path_from
from foveate.errors import FileError, TrainingError
from foveate.training.callbacks import Callback, Training

TENSORBOARD = "pip install 'foveate[tensorboard]'"


class JSONLines(Callback):
    """Appends a line of JSON for each epoch to a file, and for steps if asked for.

    An epoch has the columns of history.csv; a step has `step`, `epoch`, `loss`, `learning_rate`, and `norm` if the
    gradients are clipped. A resumed training appends to the same file.

    Args:
        path: the file.
        every: also write a line every this many steps.

    Raises:
        TrainingError: `every` is not a number of steps.
    """

    def __init__(self, path: str | Path, *, every: int | None = None) -> None:
        self._path, self._every = path_from(path, "path"), _steps(every)

    def on_step(self, training: Training) -> None:
        """Write a line, if it is its turn."""
        if self._every is not None and training.step % self._every == 0:
            self._write(_of_step(training))

    def on_epoch(self, training: Training) -> None:
        """Write a line."""
        self._write(training.history.epochs[-1].to_json())

    def _write(self, row: dict[str, Any]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise FileError(f"{self._path} cannot be written: {error}") from None


class TensorBoard(Callback):
    """Writes what training measures as scalars for TensorBoard: `tensorboard --logdir FOLDER` shows them.

    Needs tensorboardX, which `pip install 'foveate[tensorboard]'` installs.

    Args:
        folder: where to write; a resumed training adds to it.
        every: write loss and learning rate every this many steps.

    Raises:
        TrainingError: tensorboardX is not installed, or `every` is not a number of steps.
    """

    def __init__(self, folder: str | Path, *, every: int = 10) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise TrainingError(f"TensorBoard needs tensorboardX, which is not installed; {TENSORBOARD}") from None
        self._every = _steps(every)
        self._writer: Any = None
        self._make, self._folder = SummaryWriter, path_from(folder, "folder")

    def on_step(self, training: Training) -> None:
        """Write the step's loss and learning rate, if it is its turn."""
        if self._every is not None and training.step % self._every == 0:
            row = _of_step(training)
            for name in row.keys() - {"step", "epoch"}:
                self._open().add_scalar(f"step/{name}", row[name], training.step)

    def on_epoch(self, training: Training) -> None:
        """Write the epoch's figures."""
        row = training.history.epochs[-1].to_json()
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self._open().add_scalar(f"epoch/{name}", value, row["epoch"])
        self._open().flush()

    def on_end(self, training: Training) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            self._writer = self._make(str(self._folder))
        return self._writer


def _of_step(training: Training) -> dict[str, Any]:
    row = {"step": training.step, "epoch": training.epoch, "loss": training.loss}
    norm = {} if training.norm is None else {"norm": training.norm}
    return {**row, "learning_rate": training.learning_rate, **norm}


def _steps(every: Any) -> int | None:
    if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise TrainingError(f"every is {every!r}; it must be an int of at least 1 step")
    return every

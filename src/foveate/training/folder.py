"""The folder that training writes to, and the names of the files in it."""

import re
from dataclasses import dataclass
from pathlib import Path

from foveate.calls import path_from
from foveate.training.curves import save_curves
from foveate.training.history import History

_CHECKPOINT = re.compile(r"checkpoint(?:-([1-9]\d{0,5}))?\.safetensors")


@dataclass(frozen=True)
class RunFolder:
    """Where training keeps its checkpoint and writes its model, history and learning curves."""

    path: Path

    def __post_init__(self) -> None:
        path_from(self.path, "out")

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """The latest state of the training."""
        return self.path / "checkpoint.safetensors"

    @property
    def history(self) -> Path:
        """The history, a line for each epoch."""
        return self.path / "history.csv"

    @property
    def curves(self) -> Path:
        """A figure of the history."""
        return self.path / "curves.png"

    @property
    def options(self) -> Path:
        """The options of the command that trained."""
        return self.path / "run.toml"

    @property
    def rates(self) -> Path:
        """A figure of the learning rates that were tried."""
        return self.path / "lr_finder.png"

    def former(self, age: int) -> Path:
        """The checkpoint written `age` before the latest, if it is kept."""
        return self.path / f"checkpoint-{age}.safetensors" if age else self.checkpoint

    def checkpoints(self) -> list[Path]:
        """The checkpoints that are there, the latest first."""
        try:
            names = {path.name for path in self.path.iterdir()}
        except OSError:
            return []
        ages = (int(match[1] or 0) for name in names if (match := _CHECKPOINT.fullmatch(name)))
        return [self.former(age) for age in sorted(ages)]

    def run_files(self) -> list[Path]:
        """The files that hold what a training has learnt and measured, as far as they are there."""
        return [path for path in (self.model, self.history) if path.exists()] + self.checkpoints()

    def names(self) -> list[str]:
        """The names of all files that a training writes."""
        return [
            path.name for path in (self.model, self.checkpoint, self.history, self.curves, self.options, self.rates)
        ]

    def write(self, history: History) -> None:
        """Write the history and its figure; a FileError if they cannot be written."""
        history.to_csv(self.history)
        if history.epochs:
            save_curves(history, self.curves)

"""The folder that training writes to, and the names of the files in it."""

from dataclasses import dataclass
from pathlib import Path

from foveate.calls import path_from
from foveate.training.curves import save_curves
from foveate.training.history import History


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

    def write(self, history: History) -> None:
        """Write the history and its figure; a FileError if they cannot be written."""
        history.to_csv(self.history)
        if history.epochs:
            save_curves(history, self.curves)

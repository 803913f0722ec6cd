"""What a training run is given: the state, the data and the recipe; and what it counts as it goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foveate.data import Dataset, Preprocessing
from foveate.engines import State, StepResult
from foveate.files import ModelDescription
from foveate.tasks import AnyTask
from foveate.training.callbacks import Callback
from foveate.training.folder import RunFolder
from foveate.training.history import History
from foveate.training.programs import Programs
from foveate.training.recipe import Recipe


@dataclass
class Totals:
    """What the steps of an epoch have measured so far."""

    loss: float = 0.0
    correct: float = 0.0
    counted: float = 0.0
    samples: float = 0.0
    seconds: float = 0.0
    waiting: float = 0.0
    learning_rate: float = 0.0

    def add(self, result: StepResult, samples: float) -> None:
        """Count one step of `samples`, or of what counts as so many."""
        self.loss += result.loss * samples
        self.correct += result.correct
        self.counted += result.counted
        self.samples += samples


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained, on what, and how; `description` is the model that checkpoints describe.

    `task` defaults to that of the data. `extend` lets a checkpoint of fewer epochs go on; `callbacks` are told of steps
    and epochs, and `model_of` makes the model that they see of the state and the history so far.
    """

    state: State
    programs: Programs
    recipe: Recipe
    train: Dataset
    preprocessing: Preprocessing
    description: ModelDescription
    validation: Dataset | None = None
    folder: RunFolder | None = None
    checkpoint_every: int | None = None
    checkpoint_minutes: float | None = None
    keep_checkpoints: int = 1
    frozen: frozenset[str] = frozenset()
    task: AnyTask | None = None
    extend: bool = False
    callbacks: Sequence[Callback] = ()
    model_of: Callable[[State, History], Any] | None = None

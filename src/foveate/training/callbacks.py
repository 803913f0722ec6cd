"""What is told of the steps and epochs of a training: callbacks of one's own, and loggers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from foveate.errors import TrainingError
from foveate.text import printable
from foveate.training.history import History


@dataclass(eq=False)
class Training:
    """A training under way, as callbacks see it.

    `step` counts the steps done, of `steps` in all, `epoch` is the one that is trained or has just ended, counted from
    1, and `history` has a row for each finished epoch. `loss`, `learning_rate` and `norm`, that of the gradients before
    they were clipped, are those of the last step.
    """

    epochs: int
    steps: int
    step: int = 0
    epoch: int = 1
    loss: float = 0.0
    learning_rate: float = 0.0
    norm: float | None = None
    history: History = field(default_factory=History)
    reason: str | None = field(default=None, repr=False)
    make_model: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def model(self) -> Any:
        """The model as it is now: `evaluate`, `predict` and `save` work. Training goes on to change it.

        With `ema` it has the average of the parameters.
        """
        if self.make_model is None:
            raise TrainingError("this training was not started by Model.fit, so there is no model to look at")
        return self.make_model()

    def stop(self, reason: str = "") -> None:
        """End the training after this step or epoch; what was trained so far is kept, and the reason told."""
        self.reason = printable(reason.strip()) or "a callback asked for it"


EVENTS = ("on_step", "on_epoch", "on_end")


class Callback:
    """Base of what `fit(callbacks=[...])` tells of its steps and epochs; define what you need.

    An error that a callback raises ends the training, but loses nothing: the checkpoint is written first, the model
    keeps what was trained, and then `fit` raises the error.

    >>> class Target(Callback):
    ...     def on_epoch(self, training):
    ...         if training.history.epochs[-1].validation_accuracy > 0.95:
    ...             training.stop("good enough")
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in vars(cls):
            if name.startswith("on_") and name not in EVENTS:
                raise TrainingError(
                    f"{cls.__name__} defines {name}, of which nobody tells it; callbacks have {', '.join(EVENTS)}"
                )

    def on_step(self, training: Training) -> None:
        """A step is done."""

    def on_epoch(self, training: Training) -> None:
        """An epoch is finished and validated, its row is in the history, and its checkpoint is written."""

    def on_end(self, training: Training) -> None:
        """The training has ended, in whichever way; if it did not fail, the model is the one that `fit` leaves."""

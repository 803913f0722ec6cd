"""The outputs of a network, each with its task, for models, training and evaluation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.graph import Graph, Loss, nearest
from foveate.tasks.base import Answer, Task
from foveate.tasks.output import Output
from foveate.tasks.several import AnyTask, Several


@dataclass(frozen=True)
class Head:
    """An output of a network, the task that has accepted it, and its weight in the loss."""

    task: Task
    output: Output
    weight: float = 1.0

    def __post_init__(self) -> None:
        self.task.check_output(self.output)

    @property
    def name(self) -> str:
        """The output's name."""
        return self.output.name

    def loss(self, given: Loss | None = None) -> Loss:
        """`given` if it fits, or the task's default.

        Raises:
            TrainingError: it does not fit, or it applies what the network's last layer has already applied.
        """
        loss = self.task.default_loss(self.output) if given is None else given
        self.task.check_loss(loss, self.output)
        return loss

    def check_targets(self, targets: ArrayLike, count: int) -> NDArray[Any]:
        """A dataset's targets in one form, checked against the network's output; a DataError says what is wrong."""
        return self.task.check_targets(targets, count, self.output)

    def loss_targets(self, targets: NDArray[Any]) -> NDArray[Any]:
        """A batch of checked targets as the loss takes them."""
        return self.task.loss_targets(targets, self.output)

    def compared(self, loss: Loss, values: NDArray[Any]) -> NDArray[np.float64]:
        """A batch of the network's outputs as `loss` takes them, in float64: logits if the loss expects them."""
        if loss.applies is not None:
            return self.output.logits(values)
        return np.asarray(values, np.float64)

    def decode(self, values: NDArray[Any]) -> NDArray[Any]:
        """A batch of the network's outputs as `predict` returns them; a DataError if they are NaN or infinite."""
        return self.task.decode(values, self.output)

    def answers(self, values: NDArray[Any]) -> list[Answer]:
        """A readable answer for each sample of a batch of the network's outputs."""
        return self.task.answers(self.decode(values))


def heads(task: AnyTask, graph: Graph) -> tuple[Head, ...]:
    """The outputs of `graph` with their tasks, in the order of the tasks.

    Raises:
        DataError: the network has an output without a task or a task without an output, or a task refuses its output.

    >>> from foveate import Linear, Sequential
    >>> from foveate.tasks import Classification
    >>> heads(Classification(("cat", "dog")), Sequential(Linear(2)).build((8,)))[0].output
    Output(name='linear1', shape=(2,), activation='none')
    """
    if not isinstance(task, Several):
        if len(graph.outputs) != 1:
            raise DataError(
                f"the network has {len(graph.outputs)} outputs ({', '.join(graph.outputs)}), but only one task; give "
                "each its own: Several({output: task, ...})"
            )
        return (Head(task, Output.of(graph)),)
    for name in task.tasks:
        if name not in graph.outputs:
            raise DataError(f"the network has no output {name}.{nearest(name, graph.outputs)}")
    missing = [name for name in graph.outputs if name not in task.tasks]
    if missing:
        raise DataError(f"the network's output {missing[0]} has no task; add it to Several({{...}})")
    return tuple(Head(one, Output.of(graph, name), task.weights[name]) for name, one in task.tasks.items())

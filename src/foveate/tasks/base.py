"""The base of tasks: what a network is for determines how its outputs are trained, decoded and measured."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self, TypeAlias

from numpy.typing import ArrayLike, NDArray

from foveate.calls import Called
from foveate.errors import CallError, DataError, TrainingError
from foveate.graph import Loss, built_in_losses
from foveate.graph.losses import TargetKind
from foveate.tasks.metrics.base import Metric
from foveate.tasks.output import Output

Answer: TypeAlias = list[tuple[str, float]]
"""A readable answer about one sample: names with a probability, a value or a fraction, the most telling first."""


TASKS_OF: Mapping[str, str] = {
    "BinaryCrossEntropy": "MultiLabel",
    "CrossEntropy": "Classification or Segmentation",
    "Dice": "Segmentation",
    "Focal": "MultiLabel",
    "Huber": "Regression",
    "L1": "Regression",
    "MeanSquaredError": "Regression",
}
"""The tasks that each loss is made for."""


class Task(metaclass=Called):
    """What an output of a network is for.

    Your own task is a frozen dataclass whose fields are plain data, derived from this and registered:

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from foveate import MeanSquaredError
    >>> from foveate.tasks import RegressionErrors, register
    >>> @register
    ... @dataclass(frozen=True)
    ... class Angle(Task):
    ...     kind = "angle"
    ...     headline = "mae"
    ...     unit: str = "degrees"
    ...     def fitting_losses(self, output):
    ...         return ("MeanSquaredError",)
    ...     def default_loss(self, output):
    ...         return MeanSquaredError()
    ...     def check_output(self, output):
    ...         if output.shape != (1,):
    ...             raise DataError("an angle is one number; end the network with Linear(1)")
    ...     def check_targets(self, targets, count, output=None):
    ...         return np.asarray(targets, np.float64).reshape(count, 1)
    ...     def decode(self, values, output):
    ...         return values % 360
    ...     def answers(self, decoded):
    ...         return [[(self.unit, float(row[0]))] for row in decoded]
    ...     def metrics(self, output):
    ...         return [RegressionErrors((self.unit,))]
    >>> Angle().to_json()
    {'kind': 'angle', 'unit': 'degrees'}
    """

    kind: ClassVar[str]
    """The name that files know it by."""

    headline: ClassVar[str]
    """Which of its metrics' numbers progress bars show and the best epoch is chosen by."""

    @abstractmethod
    def fitting_losses(self, output: Output) -> tuple[str, ...]:
        """Names of the losses that can train `output`."""

    def target_kinds(self, output: Output) -> tuple[TargetKind, ...]:
        """The kinds of targets that `loss_targets` returns, in the losses' terms.

        A custom loss fits if its `targets` name one of them; by default none does.
        """
        return ()

    @abstractmethod
    def default_loss(self, output: Output) -> Loss:
        """The loss that trains `output` by default."""

    @abstractmethod
    def check_output(self, output: Output) -> None:
        """Raise a DataError if this task cannot read the network's output."""

    @abstractmethod
    def check_targets(self, targets: ArrayLike, count: int, output: Output | None = None) -> NDArray[Any]:
        """The targets of all `count` samples in one form, or a DataError that says which is wrong.

        Datasets are made before the network: `output` is given once there is one.
        """

    @abstractmethod
    def decode(self, values: NDArray[Any], output: Output) -> NDArray[Any]:
        """What `predict` returns for a batch (N, ...) of the network's outputs; a DataError if they are NaN."""

    @abstractmethod
    def answers(self, decoded: NDArray[Any]) -> list[Answer]:
        """A readable answer for each decoded sample."""

    @abstractmethod
    def metrics(self, output: Output) -> Sequence[Metric]:
        """New metrics with nothing counted yet."""

    def loss_targets(self, targets: NDArray[Any], output: Output) -> NDArray[Any]:
        """A batch of checked targets in the form that the loss compares with the output; unchanged by default."""
        return targets

    def check_loss(self, loss: Loss, output: Output) -> None:
        """Refuse a loss that does not fit.

        Raises:
            TrainingError: it is not a loss, belongs to another task, or applies what the last layer has applied.
        """
        self.check_measured(loss, output)
        if loss.applies is not None and output.activation != "none":
            raise TrainingError(
                f"{type(loss).__name__} applies the {loss.applies} itself, but the network's output {output.name} "
                f"already ends with {output.activation}; train the network without that layer (predict applies it)"
            )

    def check_measured(self, loss: Loss, output: Output) -> None:
        """Refuse a loss that compares what this task does not have, with a TrainingError as in `check_loss`."""
        default = type(self.default_loss(output)).__name__
        if not isinstance(loss, Loss):
            raise TrainingError(f"the loss is {loss!r}; it must be a Loss, such as {default}(), or be left out")
        name, fitting = type(loss).__name__, self.fitting_losses(output)
        if name not in fitting and not self._fits_own(loss, output):
            of = f", which is for {TASKS_OF[name]}" if name in TASKS_OF else ""
            raise TrainingError(
                f"the output {output.name} is for {type(self).__name__}, which is trained with "
                f"{' or '.join(fitting)}, but its loss is {name}{of}; leave the loss out for {default}"
            )

    def _fits_own(self, loss: Loss, output: Output) -> bool:
        """Whether a custom loss compares the kind of targets that this task has."""
        return type(loss) not in built_in_losses() and not set(loss.targets).isdisjoint(self.target_kinds(output))

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `foveate.tasks.from_json` builds an equal task."""
        return {"kind": self.kind, **{name: _plain(getattr(self, name)) for name in _options(type(self))}}

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """The task with these options, each checked as if written by hand.

        Raises:
            DataError: an option is unknown or missing, or its value is not allowed.
        """
        unknown = [name for name in options if name not in _options(cls)]
        if unknown:
            raise DataError(
                f"the task {cls.kind} has no option {unknown[0]!r}; it has {', '.join(_options(cls)) or 'none'}"
            )
        try:
            return cls(**{name: _tuples(value) for name, value in options.items()})
        except CallError as error:
            raise DataError(str(error)) from None


def _options(task: type[Task]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(task) if field.init)  # type: ignore[arg-type]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value

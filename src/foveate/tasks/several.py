"""A network of several outputs, each with a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from numpy.typing import ArrayLike, NDArray

from foveate.calls import Called
from foveate.errors import DataError
from foveate.tasks.base import Task
from foveate.tasks.classification import Classification
from foveate.tasks.names import check_names
from foveate.tasks.registry import SEVERAL, make_task

LARGEST_WEIGHT = 1e9
"""The largest weight: more would drown every other output's loss in float32."""


@dataclass(frozen=True, init=False)
class Several(metaclass=Called):
    """A task, and optionally a weight, for each output of a network.

    Training minimises the weighted sum of the outputs' losses. The first output is the main one:
    its headline chooses the best epoch.

    Args:
        by_output: for each output a task, or (task, weight); the weight is positive (default: 1).

    Raises:
        DataError: there is no output, or one has no task, or a weight that is not positive.

    >>> from foveate.tasks import Classification, Regression
    >>> both = Several({"kind": Classification(("cat", "dog")), "age": (Regression(("years",)), 0.1)})
    >>> both.weights
    {'kind': 1.0, 'age': 0.1}
    """

    kind: ClassVar[str] = SEVERAL

    tasks: Mapping[str, Task]
    weights: Mapping[str, float] = field(default_factory=dict)

    def __init__(self, by_output: Mapping[str, Task | tuple[Task, float]]) -> None:
        if not isinstance(by_output, Mapping):
            raise DataError(f"Several takes a task for each output, by the output's name, but got {by_output!r}")
        names = check_names(by_output, "output", "outputs")
        pairs = {name: _pair(name, by_output[name]) for name in names}
        object.__setattr__(self, "tasks", {name: task for name, (task, _) in pairs.items()})
        object.__setattr__(self, "weights", {name: weight for name, (_, weight) in pairs.items()})

    def check_targets(self, targets: Mapping[str, ArrayLike], count: int) -> dict[str, NDArray[Any]]:
        """The targets of each output, checked by its task.

        Raises:
            DataError: they are not a mapping with an entry for each output, or a task refuses them.
        """
        if not isinstance(targets, Mapping) or set(targets) != set(self.tasks):
            given = ", ".join(map(str, targets)) if isinstance(targets, Mapping) else type(targets).__name__
            raise DataError(
                f"targets must be a mapping with an entry for each output ({', '.join(self.tasks)}), but there is "
                f"{given or 'none'}"
            )
        checked = {}
        for name, task in self.tasks.items():
            try:
                checked[name] = task.check_targets(targets[name], count)
            except DataError as error:
                raise DataError(f"output {name}: {error}") from None
        return checked

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `foveate.tasks.from_json` builds an equal object."""
        outputs = {name: {"task": task.to_json(), "weight": self.weights[name]} for name, task in self.tasks.items()}
        return {"kind": SEVERAL, "outputs": outputs}


AnyTask: TypeAlias = Task | Several
"""What a model is for: a task, or one for each of several outputs."""


def class_names(task: AnyTask | None) -> tuple[str, ...]:
    """The names of a classification's classes; a DataError if a model has another task, or none yet."""
    if isinstance(task, Classification):
        return task.classes
    if task is not None:
        raise DataError(
            f"the model is for {type(task).__name__}, which has no classes to choose from; see model.answers"
        )
    raise DataError("the model has no class names yet; fit it, or make it with Model(graph, classes=...)")


def from_json(data: Any) -> AnyTask:
    """The task that `to_json` described, each name and number checked as if written by hand.

    Raises:
        DataError: its kind is unknown, or an option is invalid.

    >>> from_json({"kind": "classification", "classes": ["cat", "dog"]})
    Classification(classes=('cat', 'dog'))
    """
    if not isinstance(data, Mapping) or data.get("kind") != SEVERAL:
        return make_task(data)
    if set(data) != {"kind", "outputs"} or not isinstance(data["outputs"], Mapping):
        raise DataError('several tasks are described by a "kind" and "outputs" only, a task for each name')
    return Several({name: _entry(name, entry) for name, entry in data["outputs"].items()})


def _entry(name: str, data: Any) -> tuple[Task, float]:
    if not isinstance(data, Mapping) or set(data) != {"task", "weight"}:
        raise DataError(f'the output {name} is described by a "task" and a "weight" only, but has {data!r}')
    return make_task(data["task"]), data["weight"]


def _pair(name: str, value: Any) -> tuple[Task, float]:
    task, weight = value if isinstance(value, tuple) and len(value) == 2 else (value, 1.0)
    if not isinstance(task, Task):
        raise DataError(f"the output {name} needs a task, or (task, weight), but has {value!r}")
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 < weight <= LARGEST_WEIGHT:
        raise DataError(
            f"the weight of the output {name} is {weight!r}; it must be a positive number, at most {LARGEST_WEIGHT:g}"
        )
    return task, float(weight)

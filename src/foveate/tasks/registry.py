"""Tasks by their kind, for files: a kind is found here or not at all; no file can name code to import."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar

from foveate.errors import DataError
from foveate.graph import nearest
from foveate.layers.registry import same_origin
from foveate.tasks.base import Task

SEVERAL = "several"
"""The kind of a network of several outputs, each of which has a task."""

_KINDS: dict[str, type[Task]] = {}

T = TypeVar("T", bound=type[Task])


def register(task_type: T) -> T:
    """Make a task type loadable by its kind; can be used as a class decorator.

    Defining the same class again replaces it, as happens in notebooks.

    Raises:
        DataError: it is not a dataclass, it has no kind, or another task has the same kind.
    """
    if not is_dataclass(task_type):
        raise DataError(
            f"{task_type.__name__} is not a dataclass; write @dataclass(frozen=True) above it, below @register"
        )
    kind = getattr(task_type, "kind", None)
    if not isinstance(kind, str) or not kind.isidentifier():
        raise DataError(
            f'{task_type.__name__} has the kind {kind!r}; give it a word by which files know it: kind = "my_task"'
        )
    before = _KINDS.get(kind)
    if kind == SEVERAL or (before is not None and not same_origin(before, task_type)):
        raise DataError(f'there is already a task of kind "{kind}"; choose another kind for {task_type.__name__}')
    _KINDS[kind] = task_type
    return task_type


def make_task(data: Any) -> Task:
    """The single task that `Task.to_json` described.

    Raises:
        DataError: its kind is unknown, or an option is invalid.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
        raise DataError('a task is described by a JSON object with its "kind", but this one is not')
    kind = data["kind"]
    if kind not in _KINDS:
        raise DataError(
            f"there is no task of kind {kind[:40]!r}.{nearest(kind[:40], _KINDS)}. If it is your own, import the "
            "module that registers it first"
        )
    return _KINDS[kind].from_options({name: value for name, value in data.items() if name != "kind"})

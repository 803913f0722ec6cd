"""A model as its file describes it: where its task stands, and how it was trained."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from foveate.data import Preprocessing
from foveate.errors import FileError
from foveate.files import ModelDescription
from foveate.graph import Graph
from foveate.tasks import AnyTask, Classification, from_json
from foveate.training.history import History
from foveate.training.loop import Job


def describe(
    graph: Graph, task: AnyTask | None, preprocessing: Preprocessing | None, facts: Mapping[str, Any]
) -> ModelDescription:
    """The description of a model; a task that is more than a name for each output is among the facts."""
    plain = None if preprocessing is None else preprocessing.to_json()
    outputs = sum(prod(graph.shapes[name]) for name in graph.outputs)
    if task is None or (isinstance(task, Classification) and len(task.classes) == outputs):
        return ModelDescription(graph, None if task is None else task.classes, plain, facts)
    return ModelDescription(graph, None, plain, {**facts, "task": task.to_json()})


def described_task(description: ModelDescription) -> AnyTask | None:
    """The task that `describe` wrote; a DataError where it cannot be."""
    if "task" in description.training:
        return from_json(description.training["task"])
    return None if description.classes is None else Classification(description.classes)


def training_facts(before: Mapping[str, Any], job: Job, history: History) -> dict[str, Any]:
    """How a model was trained, for its file; `before` are the facts of its earlier trainings."""
    finished = 0 if history.interrupted else 1
    return {
        "trainings": whole(before.get("trainings")) + finished,
        "interrupted": history.interrupted,
        "engine": job.programs.engine.name,
        "samples": len(job.train),
        "recipe": job.recipe.to_json(),
        "history": history.to_json(),
    }


def whole(value: object) -> int:
    """A whole number from a file's training facts, 0 where there is none."""
    return value if isinstance(value, int) else 0


def frozen_names(path: object, given: object, names: Sequence[str]) -> frozenset[str]:
    """The names of frozen arrays in a file's training facts."""
    if not isinstance(given, list) or not all(isinstance(name, str) and name in names for name in given):
        raise FileError(f"{path} is damaged: what it calls frozen is not a list of its parameters and statistics")
    return frozenset(given)

"""Checks what a model is made of and called with; anything else is refused in a sentence."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from foveate.calls import is_number, kind
from foveate.data import Dataset, Preprocessing
from foveate.engines import Engine
from foveate.errors import DataError, EngineError, GraphError, TrainingError
from foveate.graph import Graph
from foveate.graph.compose import Composite
from foveate.tasks import AnyTask, Classification, Several, Task

FIT_HINTS: Mapping[str, str] = {
    "_": "images and labels go into one Dataset, fit(Dataset(images, labels, classes))",
    "lr": "the learning rate belongs to the schedule, schedule=OneCycle(0.1)",
    "learning_rates": "it is called learning_rate_factors, and multiplies the schedule's rate",
    "learning_rate": "the learning rate belongs to the schedule, schedule=OneCycle(0.1)",
    "validation_data": "it is called validation, and is a Dataset",
    "validation_split": "give validation= a Dataset",
    "callback": "it is called callbacks, a list of objects whose classes derive from foveate.Callback",
    "early_stopping": "it is called patience, the number of epochs without a better validation",
    "early_stopping_patience": "it is called patience, the number of epochs without a better validation",
    "clipnorm": "it is called clip_norm",
    "gradient_clip_val": "it is called clip_norm",
    "max_grad_norm": "it is called clip_norm",
    "accumulate_grad_batches": "it is called accumulate",
    "gradient_accumulation_steps": "it is called accumulate",
    "ema_decay": "it is called ema",
    "max_epochs": "it is called epochs",
    "verbose": "it is called progress",
}
"""Replies to arguments that `fit` has in other libraries."""


def check_made(graph: object, task: object, preprocessing: object, seed: object, engine: object) -> None:
    """Refuse anything that a model cannot be made of.

    Raises:
        GraphError: the network is not a graph.
        DataError: the task, the preprocessing or the seed is of another kind.
        EngineError: the engine is neither a name nor an engine.
    """
    if not isinstance(graph, Graph):
        raise GraphError(_no_graph(graph))
    if task is not None and not isinstance(task, Task | Several):
        given = f"the class {task.__name__}" if isinstance(task, type) else repr(task)
        raise DataError(f'task is {given}; it must be a task, such as fv.tasks.Classification(("cat", "dog"))')
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise DataError(
            f"preprocessing is {preprocessing!r}; it must be a Preprocessing, such as "
            "Preprocessing.measure(dataset), or be left out"
        )
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DataError(f"seed is {seed!r}; it must be an int")
    if engine is not None and not isinstance(engine, str | Engine):
        raise EngineError(f'engine is {engine!r}; give "native", "torch", "reference" or an Engine, or leave it out')


def given_task(task: AnyTask | None, classes: Sequence[str] | None) -> AnyTask | None:
    """The task of a model, which `classes` may stand for; a DataError if both are given."""
    if classes is None:
        return task
    if task is not None:
        raise DataError("both task and classes are given; classes=... is short for task=Classification(classes)")
    return Classification(classes)  # type: ignore[arg-type]


def check_data(dataset: object) -> None:
    """Refuse anything but a dataset; the DataError says how to make one."""
    if not isinstance(dataset, Dataset):
        raise DataError(f"the data are {kind(dataset)}, not a Dataset; make one with Dataset(inputs, targets, classes)")


def check_every(steps: object, minutes: object, kept: object) -> None:
    """Refuse anything but the number of steps or minutes between checkpoints, or None, and how many are kept."""
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise TrainingError(f"checkpoint_every is {steps!r}; it must be an int of at least 1 step, or None")
    if minutes is not None and (not is_number(minutes) or not 0 < minutes < inf):  # type: ignore[operator]
        raise TrainingError(f"checkpoint_minutes is {minutes!r}; it must be a positive number of minutes, or None")
    if isinstance(kept, bool) or not isinstance(kept, int) or kept < 1:
        raise TrainingError(f"keep_checkpoints is {kept!r}; it must be an int of at least 1")


def _no_graph(given: Any) -> str:
    if isinstance(given, Composite):
        return (
            f"the network is {kind(given)} whose shapes are not known yet; build it: Model(network.build(input_shape))"
        )
    if isinstance(given, str):
        return f'the network is the text "{given}"; make one of that name: Model(fv.zoo.make("{given}"))'
    if isinstance(given, Callable):  # type: ignore[arg-type]
        name = getattr(given, "__name__", "it")
        return f"the network is not made yet; call it: Model({name}())"
    return f"the network is {kind(given)}, not a graph; build one: Model(Sequential(...).build(input_shape))"

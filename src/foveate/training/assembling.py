"""From what `fit` is given to a job: every argument checked, every default chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack

from foveate.calls import path_from
from foveate.data import Augmentation, Dataset, Preprocessing
from foveate.data.splitting import both
from foveate.engines import Engine, State
from foveate.errors import TrainingError
from foveate.files import ModelDescription
from foveate.graph import SGD, Graph, Optimizer, Schedule
from foveate.tasks import AnyTask
from foveate.training.arguments import check_every
from foveate.training.callbacks import Callback
from foveate.training.compatibility import check_arguments, check_rates, check_training
from foveate.training.description import whole
from foveate.training.folder import RunFolder
from foveate.training.history import History
from foveate.training.job import Job
from foveate.training.objectives import GivenLoss, as_given, training_losses
from foveate.training.programs import Programs
from foveate.training.recipe import Recipe, default_schedule


class Learner(Protocol):
    """A model, as far as its training goes."""

    graph: Graph
    task: AnyTask | None
    preprocessing: Preprocessing | None
    seed: int
    engine: Engine
    state: State
    frozen: frozenset[str]
    splits: dict[str, Any]
    training: dict[str, Any]
    _programs: Programs

    def _description(self, task: AnyTask | None, preprocessing: Preprocessing | None) -> ModelDescription: ...

    def _seen(self, job: Job, state: State, history: History) -> Any: ...


class Given(TypedDict):
    """The arguments of `fit`; see `Model.fit`."""

    validation: Dataset | None
    epochs: int
    batch_size: int
    optimizer: Optimizer | None
    schedule: Schedule | None
    learning_rate_factors: Mapping[str, float] | None
    loss: GivenLoss
    augmentation: Augmentation | None
    clip_norm: float | None
    accumulate: int
    ema: float | None
    patience: int | None
    keep_best: bool
    callbacks: Sequence[Callback]
    out: str | Path | None
    resume: bool
    extend: bool
    checkpoint_every: int | None
    checkpoint_minutes: float | None
    keep_checkpoints: int


def assembled(learner: Learner, dataset: Dataset, **given: Unpack[Given]) -> Job:
    """The job of training `learner` on `dataset`.

    Raises:
        DataError, TrainingError, GraphError: an argument cannot be used; the message says why.
    """
    _check_way_of_going_on(given)
    validation, graph = given["validation"], learner.graph
    parts = [dataset] if validation is None else [dataset, validation]
    check_arguments(graph, parts, learner.frozen, given["optimizer"], given["schedule"])
    check_rates(graph, learner.frozen, given["learning_rate_factors"] or {})
    task = learner.task or dataset.task
    outputs = check_training(graph, task, parts, given["augmentation"])
    optimizer = given["optimizer"] or SGD()
    recipe = Recipe(
        epochs=given["epochs"],
        batch_size=given["batch_size"],
        optimizer=optimizer,
        schedule=given["schedule"] or default_schedule(optimizer),
        loss=as_given(training_losses(outputs, given["loss"])),
        augmentation=given["augmentation"] or Augmentation(),
        seed=learner.seed + whole(learner.training.get("trainings")),
        learning_rate_factors=given["learning_rate_factors"] or {},
        clip_norm=given["clip_norm"],
        accumulate=given["accumulate"],
        ema=given["ema"],
        patience=given["patience"],
        keep_best=given["keep_best"],
    )
    preprocessing = learner.preprocessing or Preprocessing.measure(dataset)
    description = learner._description(task, preprocessing)
    job = Job(
        # Its own, so the model stays as it is should training fail.
        state=learner.engine.copied(learner.state, optimizer, recipe.seed),
        programs=learner._programs,
        recipe=recipe,
        train=dataset,
        preprocessing=preprocessing,
        description=replace(description, splits=both(learner.splits, dataset.record)),
        validation=validation,
        folder=None if given["out"] is None else RunFolder(path_from(given["out"], "out")),
        checkpoint_every=given["checkpoint_every"],
        checkpoint_minutes=given["checkpoint_minutes"],
        keep_checkpoints=given["keep_checkpoints"],
        frozen=learner.frozen,
        task=task,
        extend=given["extend"],
        callbacks=tuple(given["callbacks"]),
    )
    return replace(job, model_of=partial(learner._seen, job))


def _check_way_of_going_on(given: Given) -> None:
    """Check what concerns the run as a whole: how it goes on, when it stops, who is told."""
    if given["resume"] and given["out"] is None:
        raise TrainingError("resume=True needs out=, the folder that holds the checkpoint")
    if given["extend"] and not given["resume"]:
        raise TrainingError("extend=True lets a run go on for more epochs; give resume=True and out= with it")
    if given["patience"] is not None and given["validation"] is None:
        raise TrainingError("patience= counts epochs in which validation gets no better; give validation= a Dataset")
    check_every(given["checkpoint_every"], given["checkpoint_minutes"], given["keep_checkpoints"])
    callbacks: object = given["callbacks"]
    for each in callbacks if isinstance(callbacks, list | tuple) else (callbacks,):
        if not isinstance(each, Callback):
            raise TrainingError(
                f"callbacks has {each!r}; give a list of objects whose classes derive from foveate.Callback"
            )

"""A model: a graph with its state, task and preprocessing, ready to be trained, used and saved."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from foveate.calls import Called, called, path_from
from foveate.data import Augmentation, Dataset, Preprocessing
from foveate.data.preprocessing import ImageLike
from foveate.engines import Engine, State, default_engine, get_engine
from foveate.engines.base import FloatArray
from foveate.engines.folding import FusionReport, fused
from foveate.engines.initializers import blank
from foveate.errors import DataError, FileError
from foveate.files import ModelDescription, Portable, read_model, write_model
from foveate.graph import Graph, Optimizer, Schedule
from foveate.tasks import Answer, AnyTask, Classification, Head, Several, class_names, heads
from foveate.training import (
    FIT_HINTS,
    Callback,
    Evaluation,
    Examined,
    FineTuned,
    GivenLoss,
    History,
    Inspected,
    Job,
    Programs,
    Progress,
    answers_at_once,
    answers_one_by_one,
    arrays_in_turn,
    assembled,
    check_dataset,
    check_made,
    check_preprocessing,
    evaluate,
    fit,
    given_task,
    in_claimed_folder,
    make_progress,
    named_batches,
    prepared_inputs,
    trained_losses,
    training_facts,
    whole,
    write_results,
)

__all__ = ["Evaluation", "FusionReport", "Model", "load"]


class Model(FineTuned, Examined, Inspected, Portable, metaclass=Called):
    """A graph with its parameters, its task, and the preprocessing of its inputs.

    Args:
        graph: the network.
        task: what its outputs mean (default: taken from the data by `fit`).
        classes: the names of a classification's classes: short for task=Classification(classes).
        preprocessing: what `predict` and `fit` do to raw inputs (default: measured on the data by `fit`).
        seed: seed for the initial parameters, shuffling, augmentation and dropout.
        engine: "native", "torch", "torch:cuda", "reference" or an Engine (default: the fastest on the CPU).

    Raises:
        DataError: the network's outputs do not fit `task`, its input does not fit `preprocessing`, or
                both `task` and `classes` are given.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        task: AnyTask | None = None,
        classes: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
        seed: int = 0,
        engine: str | Engine | None = None,
    ) -> None:
        check_made(graph, task, preprocessing, seed, engine)
        self.graph = graph
        self.task = given_task(task, classes)
        """What the outputs mean: how they are trained, decoded and measured."""
        self.preprocessing = preprocessing
        self.seed = seed
        self.engine = get_engine(engine) if isinstance(engine, str) else engine or default_engine()
        self.training: dict[str, Any] = {}
        """How the model was trained; kept in its file."""
        self.report: FusionReport | None = None
        """What `fuse` did, in the model that it made."""
        self.frozen: frozenset[str] = frozenset()
        """Names of the parameters that `fit` leaves alone, and of the statistics that it uses but does not measure."""
        self.splits: dict[str, Any] = {}
        """How the data were split, if known; kept in the model's file."""
        self.names: dict[str, str] = {}
        """The name that each array had at its source; kept in the model's file."""
        self.remarks: dict[str, Any] = {}
        """Any notes, as JSON; kept in the model's file."""
        if self.task is not None:
            heads(self.task, graph)
        check_preprocessing(graph, preprocessing)
        self.state: State = self.engine.new_state(graph, seed=seed)
        self._programs: Programs = Programs(self.engine, graph)

    @called(**FIT_HINTS)
    @in_claimed_folder
    def fit(
        self,
        dataset: Dataset,
        *,
        validation: Dataset | None = None,
        epochs: int = 5,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        learning_rate_factors: Mapping[str, float] | None = None,
        loss: GivenLoss = None,
        augmentation: Augmentation | None = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
        ema: float | None = None,
        patience: int | None = None,
        keep_best: bool = True,
        callbacks: Sequence[Callback] = (),
        out: str | Path | None = None,
        progress: bool | Progress = True,
        resume: bool = False,
        overwrite: bool = False,
        extend: bool = False,
        checkpoint_every: int | None = None,
        checkpoint_minutes: float | None = 10.0,
        keep_checkpoints: int = 2,
    ) -> History:
        """Train on `dataset`; Ctrl-C ends training between two steps and keeps what was learnt.

        The same seed, engine and thread count give the same parameters, bit for bit, whether or not training was
        stopped and resumed in between; another `fit` shuffles differently.

        Args:
            dataset: the data to train on.
            validation: the data to measure on after each epoch; not to be what the model is tested on in the end.
            epochs: passes over the data.
            batch_size: samples in a step; the last of an epoch may have fewer.
            optimizer: how the parameters are updated (default: SGD with Nesterov momentum and weight decay).
            schedule: how the learning rate changes (default: one cycle).
            learning_rate_factors: what to multiply the learning rate by, keyed by the names or patterns that `freeze`
                takes, such as {"features.*": 0.1}; the last one that matches counts (default: 1 everywhere).
            loss: what is minimised (default: the task's own); for several outputs, a mapping by output.
            augmentation: random changes to the inputs (default: none).
            clip_norm: the most that the norm of all gradients together may be; they are scaled down to it.
            accumulate: how many batches make a step: their gradients are added up, each batch normalises by itself.
            ema: decay of a running average of the parameters and statistics, such as 0.999; it is what is measured in
                validation, and what the model has in the end.
            patience: stop when validation has been no better for this many epochs.
            keep_best: with validation, the model has the parameters of the epoch that was best there, not of the last.
            callbacks: objects that are told of steps and epochs, see the model, and can stop; see `Callback`.
            out: a folder for model.safetensors, history.csv, curves.png and a checkpoint after each epoch.
            progress: whether to show a live bar, or lines if the output is neither a terminal nor a notebook.
            resume: continue from the checkpoint in `out`.
            overwrite: let a run that `out` holds be replaced.
            extend: with `resume`, let a run of fewer epochs go on to `epochs`; the schedule is stretched over all.
            checkpoint_every: also write a checkpoint every this many steps.
            checkpoint_minutes: also write one if the last is this many minutes old; None for no such ones.
            keep_checkpoints: how many are kept; if the latest is damaged, training resumes from the one before.

        Returns:
            a row for each epoch; `interrupted`, `stopped` and `best` say how it ended and what was kept.

        Raises:
            DataError: the data do not fit the network.
            TrainingError: the loss does not fit the task, or is no longer a number (the model is then as it was
                    before); `out` holds a run already, or nothing to resume from, or another training writes to it.
            FileError: a file in `out` cannot be read or written.
        """
        job = assembled(
            self,
            dataset,
            validation=validation,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=schedule,
            learning_rate_factors=learning_rate_factors,
            loss=loss,
            augmentation=augmentation,
            clip_norm=clip_norm,
            accumulate=accumulate,
            ema=ema,
            patience=patience,
            keep_best=keep_best,
            callbacks=callbacks,
            out=out,
            resume=resume,
            extend=extend,
            checkpoint_every=checkpoint_every,
            checkpoint_minutes=checkpoint_minutes,
            keep_checkpoints=keep_checkpoints,
        )
        history = fit(job, make_progress(progress), resume=resume)
        self._take(job, job.state, history)
        self._programs.release()
        if job.folder is not None and self.engine.group.rank == 0:
            write_results(job.folder, self.save, history)
        if history.failure is not None:
            raise history.failure
        return history

    def evaluate(
        self, dataset: Dataset, batch_size: int | None = None, *, loss: GivenLoss = None, progress: bool = True
    ) -> Evaluation:
        """The loss and the task's metrics on `dataset`, with running statistics and without dropout.

        Args:
            dataset: the data to measure on.
            batch_size: samples run at once (default: chosen to use little memory).
            loss: the loss to measure (default: the one that the model was trained with, or else the task's own).
            progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.

        Raises:
            DataError: the data do not fit the model, or it has no preprocessing yet.
        """
        check_dataset(self.graph, self.task, dataset)
        task = self.task or dataset.task
        measured = trained_losses(heads(task, self.graph), self.training) if loss is None else loss
        given = (self.state, self._programs, dataset, self._prepared())
        return evaluate(*given, batch_size=batch_size, loss=measured, task=task, progress=progress)

    @called()
    def predict(self, images: "ImageLike | Iterable[ImageLike] | Mapping[str, Any]", *, progress: bool = True) -> Any:
        """The network's outputs for raw images, preprocessed as in training and decoded by the task.

        That is one array: probabilities (N, classes) of a classification, values (N, K) of a regression, maps
        (N, *spatial) of a segmentation; for a network with several outputs a dict of them.

        Args:
            images: one or a list of paths, PIL images or uint8 arrays; or a batch as one array. For a network with
                    several inputs a mapping by name; those other than the image are float32 as the network takes them.
            progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.

        Raises:
            FileError: a file is not an image.
            DataError: an array cannot be used, the network's outputs are not numbers, or the model has no preprocessing
                or no task yet.
            ShapeError: an array does not have the network's shape.
        """
        preprocessing = self._prepared()
        given = (self.state, self._programs, self._heads(), preprocessing, images)
        decoded = answers_at_once(*given, progress=progress)
        return decoded if isinstance(self.task, Several) else decoded[self.graph.only_output]

    def stream(
        self,
        images: "ImageLike | Iterable[ImageLike] | Mapping[str, Any]",
        batch_size: int | None = None,
        *,
        return_errors: bool = False,
    ) -> Iterator[Any]:
        """The answers of `predict` image by image, computed in batches: memory does not grow with the number of images.

        Args:
            images: as for `predict`; a generator is read when its turn comes.
            batch_size: images read and run at once (default: chosen to use little memory).
            return_errors: yield the FoveateError of an image that cannot be read or answered in its place, and go on.

        Raises:
            FileError, DataError, ShapeError: as for `predict`, when the image's batch is reached.
        """
        preprocessing = self._prepared()
        given = (self.state, self._programs, self._heads(), preprocessing, images)
        named = isinstance(self.task, Several)
        yield from answers_one_by_one(*given, batch_size=batch_size, return_errors=return_errors, named=named)

    def answers(self, images: "ImageLike | Iterable[ImageLike] | Mapping[str, Any]") -> Any:
        """A readable answer for each raw image: names with a probability, a value or a fraction.

        Returns:
            a list of (name, number) for each image, the most telling first; for a network with several outputs a dict
            of such lists. Arguments and errors as for `predict`.
        """
        decoded = self.predict(images)
        if not isinstance(self.task, Several):
            return self._heads()[0].task.answers(decoded)
        found: dict[str, list[Answer]] = {name: task.answers(decoded[name]) for name, task in self.task.tasks.items()}
        return found

    def classify(self, images: "ImageLike | Iterable[ImageLike]") -> list[tuple[str, float]]:
        """The name and the probability of the most probable class of each raw image; arguments as for `predict`."""
        names = self.class_names
        return [(names[int(row.argmax())], float(row.max())) for row in self.predict(images)]

    def logits(self, inputs: ArrayLike | Mapping[str, ArrayLike], batch_size: int | None = None) -> FloatArray:
        """The network's only output for prepared inputs; arguments and errors as for `outputs`."""
        return self.outputs(inputs, batch_size)[self.graph.only_output]

    def outputs(
        self, inputs: ArrayLike | Mapping[str, ArrayLike], batch_size: int | None = None
    ) -> dict[str, FloatArray]:
        """Every output of the network, not decoded, for prepared inputs: float32, already preprocessed.

        Args:
            inputs: (N, *input shape); for a network with several inputs a mapping of such arrays.
            batch_size: samples run at once (default: chosen to use little memory).

        Raises:
            ShapeError: the inputs do not have the network's shape.
            DataError: there are none, or one holds NaN or infinity.
        """
        values = prepared_inputs(self.graph, inputs)
        state = self.state  # read once: `fit` in another thread may replace it between two batches
        parts = [
            self._programs.outputs(state, batch) for batch in named_batches(values, self._programs.size(batch_size))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.graph.outputs}

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes; None if the model has no task yet, or one other than classification."""
        return self.task.classes if isinstance(self.task, Classification) else None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, or a DataError if the model has none."""
        return class_names(self.task)

    def fuse(self) -> "Model":
        """A new model whose convolutions and linear layers absorb the batch normalisations after them.

        Outputs stay the same except for rounding. The new model's `report` says what was folded and why other
        normalisations could not be, with the largest difference of the outputs on a batch of random inputs.

        Raises:
            EngineError: running statistics are missing.
        """
        (graph, state), report = fused(self.engine, self.graph, self.state)
        result = Model(graph, task=self.task, preprocessing=self.preprocessing, seed=self.seed, engine=self.engine)
        names = set(state.names())
        result.state, result.report = state, report
        result.frozen = self.frozen & names
        result.names = {name: other for name, other in self.names.items() if name in names}
        result.training, result.splits, result.remarks = dict(self.training), dict(self.splits), dict(self.remarks)
        return result

    def read(self, name: str) -> FloatArray:
        """A copy of the parameter or statistic `name` ("conv1.weight"), in the layout (O, I/groups, *kernel)."""
        return self.state.read(name)

    @called()
    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file, atomically.

        Raises:
            FileError: a parameter is NaN or infinite, or the file cannot be written; an earlier file is untouched.
        """
        write_model(
            path_from(path, "path"), arrays_in_turn(self.state), self._description(self.task, self.preprocessing)
        )

    def described(self) -> dict[str, Any]:
        """Everything but the arrays, as in the model's file: plain data."""
        return self._description(self.task, self.preprocessing).to_json()

    def _take(self, job: Job, state: State, history: History) -> None:
        """Make the result of training this model's own."""
        self.state = state
        self.task, self.preprocessing = job.task, job.preprocessing
        self.splits = dict(job.description.splits)
        self.training = training_facts(self.training, job, history)

    def _seen(self, job: Job, state: State, history: History) -> "Model":
        """This model as it is while it is trained, for callbacks."""
        seen = object.__new__(type(self))
        seen.__dict__.update(self.__dict__)
        seen._take(job, state, history)
        return seen

    def _description(self, task: AnyTask | None, preprocessing: Preprocessing | None) -> ModelDescription:
        return ModelDescription(
            graph=self.graph,
            task=task,
            preprocessing=None if preprocessing is None else preprocessing.to_json(),
            frozen=self.frozen,
            splits=self.splits,
            names=self.names,
            remarks=self.remarks,
            training={**self.training, "seed": self.seed},
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_programs"}

    def __setstate__(self, data: Mapping[str, Any]) -> None:
        self.__dict__.update(data)
        self._programs = Programs(self.engine, self.graph)

    def _heads(self) -> tuple[Head, ...]:
        if self.task is None:
            raise DataError("the model has no task yet; fit it, or make it with Model(graph, task=...)")
        return heads(self.task, self.graph)

    def _prepared(self) -> Preprocessing:
        if self.preprocessing is None:
            raise DataError(
                "the model has no preprocessing yet; fit it, or make it with "
                "Model(graph, preprocessing=Preprocessing.measure(dataset))"
            )
        return self.preprocessing


@called()
def load(path: str | Path, *, engine: str | Engine | None = None) -> Model:
    """The model that `Model.save` or training wrote; from a checkpoint, the model as it was then.

    Args:
        path: the safetensors file.
        engine: as for `Model`.

    Raises:
        FileError: the file is missing, cut short, damaged, of another kind or version, or has unknown features.
    """
    arrays, description = read_model(path_from(path, "path"))
    measured = description.preprocessing
    try:
        with blank():
            model = Model(
                description.graph,
                task=description.task,
                preprocessing=None if measured is None else Preprocessing.from_json(measured),
                seed=whole(description.training.get("seed")),
                engine=engine,
            )
    except (FileError, DataError) as error:
        raise FileError(f"{path} cannot be used: {error}") from None
    for name, array in arrays.items():
        model.state.load(name, array)
    model.training, model.frozen = dict(description.training), description.frozen
    model.splits, model.names = dict(description.splits), dict(description.names)
    model.remarks = dict(description.remarks)
    return model

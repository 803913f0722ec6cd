"""A model: a graph with its state, class names and preprocessing, ready to be trained, used and saved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.data import Augmentation, Dataset, Preprocessing
from foveate.data.preprocessing import ImageLike
from foveate.engines import Engine, Program, State, StepInfo, default_engine, get_engine
from foveate.engines.base import FloatArray, Mode
from foveate.engines.folding import folded
from foveate.engines.random import generator
from foveate.errors import DataError, FileError, ShapeError, TrainingError
from foveate.files import ModelDescription, read_model, write_model
from foveate.geometry import format_sizes
from foveate.graph import (
    SGD,
    CrossEntropy,
    Graph,
    Loss,
    Optimizer,
    Schedule,
    Summary,
    fold_normalizations,
    matching_arrays,
)
from foveate.training import (
    Evaluation,
    History,
    Job,
    Programs,
    Progress,
    Recipe,
    RunFolder,
    check_classes,
    check_dataset,
    check_preprocessing,
    class_count,
    default_schedule,
    evaluate,
    fit,
    in_batches,
    logits_of,
    make_progress,
    save_curves,
    softmax,
)

__all__ = ["Evaluation", "FusionReport", "Model", "load"]

INFERENCE_BATCH = 256
PROBE_BATCH = 8


@dataclass(frozen=True)
class FusionReport:
    """What `Model.fuse` did: pairs of a product and the normalisation that went into it, sentences on those that did
    not, and the largest difference of the outputs on a probe batch."""

    folded: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]
    largest_difference: float

    def __str__(self) -> str:
        count = f"{len(self.folded)} normalisation{'' if len(self.folded) == 1 else 's'} folded"
        return "\n".join((f"{count}; outputs differ by at most {self.largest_difference:.2g}", *self.refused))


class Model:
    """A graph with its parameters, the names of its classes, and what is done to inputs before it sees them.

    Args:
        graph: the network.
        classes: a name for each of its outputs; `fit` takes them from the data unless given.
        preprocessing: what `predict` and `fit` do to raw inputs; `fit` measures it on the data unless given.
        seed: of the initial parameters, of shuffling, augmentation and dropout.
        engine: "native", "reference" or an Engine; the fastest there is unless given.

    Raises:
        DataError: the network has another number of outputs than `classes`, or another input than `preprocessing`.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        classes: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
        seed: int = 0,
        engine: str | Engine | None = None,
    ) -> None:
        self.graph = graph
        self.classes = None if classes is None else tuple(classes)
        self.preprocessing = preprocessing
        self.seed = seed
        self.engine = _engine(engine)
        self.training: dict[str, Any] = {}
        """How the model was trained; kept in its file."""
        self.report: FusionReport | None = None
        """What `fuse` did, in the model that it made."""
        self.frozen: frozenset[str] = frozenset()
        """Names of the parameters that `fit` leaves alone, and of the statistics that it uses but does not measure."""
        check_classes(graph, self.classes)
        check_preprocessing(graph, preprocessing)
        self.state: State = self.engine.new_state(graph, seed=seed)
        self._programs = Programs(self.engine, graph)

    def fit(
        self,
        dataset: Dataset,
        *,
        validation: Dataset | None = None,
        epochs: int = 5,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        loss: Loss | None = None,
        augmentation: Augmentation | None = None,
        out: str | Path | None = None,
        progress: bool | Progress = True,
        resume: bool = False,
        checkpoint_every: int | None = None,
    ) -> History:
        """Train on `dataset`; Ctrl-C ends it between two steps and keeps what was learnt.

        The same seed, engine and thread count give the same parameters, bit for bit, whether or not training was
        stopped and resumed in between; a further `fit` shuffles anew.

        Args:
            dataset: what to learn.
            validation: what to measure after each epoch.
            epochs: passes over the data.
            batch_size: samples in a step; the last of an epoch may have fewer.
            optimizer: SGD with Nesterov momentum and weight decay unless given.
            schedule: one cycle unless given.
            loss: cross-entropy unless given.
            augmentation: random changes to the inputs; none unless given.
            out: a folder for model.safetensors, history.csv, curves.png and a checkpoint after each epoch.
            progress: whether to show a live bar, or lines where the output is no terminal.
            resume: go on from the checkpoint in `out`; start anew where there is none.
            checkpoint_every: write a checkpoint after so many steps too.

        Returns:
            a row for each epoch; `interrupted` is set where Ctrl-C ended it.

        Raises:
            DataError: the data do not fit the network.
            TrainingError: the loss is no number any more (the model is then as it was before), or there is nothing to
                resume from.
            FileError: a file in `out` cannot be read or written.
        """
        if resume and out is None:
            raise TrainingError("resume=True needs out=, the folder in which the checkpoint is")
        if checkpoint_every is not None and checkpoint_every < 1:
            raise TrainingError(f"checkpoint_every is {checkpoint_every}; it must be at least 1 step, or None")
        optimizer = optimizer or SGD()
        recipe = Recipe(
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=schedule or default_schedule(optimizer),
            loss=loss or CrossEntropy(),
            augmentation=augmentation or Augmentation(),
            seed=self.seed + _whole(self.training.get("trainings")),
        )
        job = self._job(dataset, validation, recipe, None if out is None else RunFolder(Path(out)), checkpoint_every)
        history = fit(job, make_progress(progress), resume=resume)
        self._take(job, history)
        if job.folder is not None:
            self._write(job.folder, history)
        return history

    def freeze(self, *patterns: str) -> "Model":
        """Tell parameters not to learn; the model itself is given back.

        A frozen normalisation uses its running statistics in training too, and leaves them alone. What is frozen is
        kept in the model's file.

        Args:
            patterns: names of layers ("conv1"), or of arrays with wildcards ("stage1.*", "*.bias").

        Raises:
            GraphError: a pattern matches nothing; the message gives the nearest names.
        """
        self.frozen |= matching_arrays(self.graph, patterns)
        return self

    def unfreeze(self, *patterns: str) -> "Model":
        """Let parameters learn again, all of them unless `patterns` say which; arguments as for `freeze`."""
        self.frozen -= matching_arrays(self.graph, patterns or ("*",))
        return self

    def evaluate(self, dataset: Dataset, batch_size: int = INFERENCE_BATCH) -> Evaluation:
        """Accuracy, loss and confusion on `dataset`, with running statistics and without dropout.

        Raises:
            DataError: the data do not fit the model, or it has no preprocessing yet.
        """
        check_dataset(self.graph, self.classes, dataset)
        return evaluate(self.state, self._programs, dataset, self._prepared(), batch_size=batch_size)

    def predict(self, images: "ImageLike | Iterable[ImageLike]") -> NDArray[np.float32]:
        """Probabilities (N, classes) for raw images, preprocessed as in training.

        Args:
            images: one or a list of paths, PIL images or uint8 arrays; or a batch as one array.

        Raises:
            FileError: a file is no image.
            DataError: an array cannot be used, or the model has no preprocessing yet.
            ShapeError: an array does not have the network's shape.
        """
        class_count(self.graph)
        outputs = self.logits(self._prepared().from_images(images))
        return softmax(logits_of(self.graph, outputs)).astype(np.float32)

    def classify(self, images: "ImageLike | Iterable[ImageLike]") -> list[tuple[str, float]]:
        """The name and the probability of the most probable class of each raw image; arguments as for `predict`."""
        names = self.class_names
        return [(names[int(row.argmax())], float(row.max())) for row in self.predict(images)]

    def logits(self, inputs: ArrayLike, batch_size: int = INFERENCE_BATCH) -> FloatArray:
        """The network's output for prepared inputs: float32, preprocessed already.

        Args:
            inputs: (N, *input shape).
            batch_size: samples that are run at once.

        Raises:
            ShapeError: the inputs do not have the network's shape.
            DataError: there are none, or one holds NaN or infinity.
        """
        values = np.asarray(inputs, np.float32)
        if values.shape[1:] != self.graph.input_shape or not values.ndim:
            raise ShapeError(
                f"the network takes N x {format_sizes(self.graph.input_shape)} (batch first), but the inputs are "
                f"{format_sizes(values.shape) or 'one number'}"
            )
        if not len(values):
            raise DataError("there are no inputs; give at least one")
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            raise DataError(f"input {int(finite.argmin())} holds NaN or infinity; mend it or leave it out")
        name, output = self.graph.only_input, self.graph.only_output
        state = self.state  # read once: `fit` in another thread may replace it between two batches
        batches = ({name: batch} for batch in in_batches(values, batch_size))
        return np.concatenate([self._programs.outputs(state, batch)[output] for batch in batches])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, or a DataError where the model has none."""
        if self.classes is None:
            raise DataError("the model has no class names yet; fit it, or make it with Model(graph, classes=...)")
        return self.classes

    def program(self, batch_size: int = 1, mode: Mode = "inference") -> Program:
        """The compiled program for `batch_size` in `mode`; its `steps()` say what runs, in which layouts and bytes."""
        if mode == "training":
            return self._programs.get(batch_size=batch_size, mode=mode, loss=CrossEntropy(), optimizer=SGD())
        return self._programs.get(batch_size=batch_size, mode=mode)

    def steps(self, batch_size: int = 1, mode: Mode = "inference") -> list[StepInfo]:
        """What the compiled program runs, in order; print each to see node, implementation, layouts and bytes."""
        return self.program(batch_size, mode).steps()

    def summary(self) -> Summary:
        """A table of the layers with shapes, parameters and costs."""
        return self.graph.summary()

    def fuse(self) -> "Model":
        """A new model in which products do the work of the batch normalisations after them; `report` says which.

        Outputs stay the same but for rounding: the report has the largest difference on a batch of random inputs.
        Normalisations that cannot be folded stay, each with a sentence in the report.

        Raises:
            EngineError: running statistics are missing.
        """
        folding = fold_normalizations(self.graph)
        fused = Model(
            folding.graph,
            classes=self.classes,
            preprocessing=self.preprocessing,
            seed=self.seed,
            engine=self.engine,
        )
        fused.training = dict(self.training)
        fused.frozen = self.frozen.intersection(fused.state.names())
        arrays = {name: self.state.read(name) for name in fused.state.names() if name in self.state.names()}
        for product, normalization in folding.pairs:
            weight, bias = folded(self.state, product, normalization)
            arrays |= {f"{product.parameters}.weight": weight, f"{product.parameters}.bias": bias}
        for name, array in arrays.items():
            fused.state.load(name, array)
        fused.report = FusionReport(
            folded=tuple((product.name, normalization.name) for product, normalization in folding.pairs),
            refused=folding.refused,
            largest_difference=_largest_difference(self, fused),
        )
        return fused

    def read(self, name: str) -> FloatArray:
        """A copy of the parameter or statistic `name` ("conv1.weight"), in the layout (O, I/groups, *kernel)."""
        return self.state.read(name)

    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file, atomically.

        Raises:
            FileError: a parameter is NaN or infinite, or the file cannot be written; what was there is untouched.
        """
        arrays = {name: self.state.read(name) for name in self.state.names()}
        write_model(Path(path), arrays, self._description(self.classes, self.preprocessing))

    def _job(
        self,
        dataset: Dataset,
        validation: Dataset | None,
        recipe: Recipe,
        folder: RunFolder | None,
        checkpoint_every: int | None,
    ) -> Job:
        """What to train, on a state of its own, so that the model stays as it is should training fail."""
        classes = self.classes or dataset.classes
        for part in (dataset, validation):
            if part is not None:
                check_dataset(self.graph, classes, part)
        check_classes(self.graph, classes)
        preprocessing = self.preprocessing or Preprocessing.measure(dataset)
        state = self.engine.new_state(self.graph, recipe.optimizer, recipe.seed)
        for name in self.state.names():
            state.load(name, self.state.read(name))
        description = self._description(classes, preprocessing)
        return Job(
            state=state,
            programs=self._programs,
            recipe=recipe,
            train=dataset,
            preprocessing=preprocessing,
            description=description,
            validation=validation,
            folder=folder,
            checkpoint_every=checkpoint_every,
            frozen=self.frozen,
        )

    def _take(self, job: Job, history: History) -> None:
        """Make what was trained this model's own."""
        self.state = job.state
        self._programs.release()
        self.classes, self.preprocessing = job.description.classes, job.preprocessing
        finished = 0 if history.interrupted else 1
        self.training = {
            "trainings": _whole(self.training.get("trainings")) + finished,
            "interrupted": history.interrupted,
            "engine": self.engine.name,
            "samples": len(job.train),
            "recipe": job.recipe.to_json(),
            "history": history.to_json(),
        }

    def _write(self, folder: RunFolder, history: History) -> None:
        self.save(folder.model)
        history.to_csv(folder.history)
        if history.epochs:
            save_curves(history, folder.curves)

    def _description(self, classes: tuple[str, ...] | None, preprocessing: Preprocessing | None) -> ModelDescription:
        facts = {**self.training, "seed": self.seed}
        if self.frozen:
            facts["frozen"] = sorted(self.frozen)
        return ModelDescription(self.graph, classes, None if preprocessing is None else preprocessing.to_json(), facts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_programs"}

    def __setstate__(self, data: Mapping[str, Any]) -> None:
        self.__dict__.update(data)
        self._programs = Programs(self.engine, self.graph)

    def _prepared(self) -> Preprocessing:
        if self.preprocessing is None:
            raise DataError(
                "the model has no preprocessing yet; fit it, or make it with "
                "Model(graph, preprocessing=Preprocessing.measure(dataset))"
            )
        return self.preprocessing


def load(path: str | Path, *, engine: str | Engine | None = None) -> Model:
    """The model that `Model.save` or a training wrote; from a checkpoint, the model as it stood.

    Args:
        path: the safetensors file.
        engine: as for `Model`.

    Raises:
        FileError: the file is missing, cut short, damaged, of another kind or of another version.
    """
    arrays, description = read_model(Path(path))
    try:
        model = Model(
            description.graph,
            classes=description.classes,
            preprocessing=_preprocessing(description.preprocessing),
            seed=_whole(description.training.get("seed")),
            engine=engine,
        )
    except (FileError, DataError) as error:
        raise FileError(f"{path} cannot be used: {error}") from None
    for name, array in arrays.items():
        model.state.load(name, array)
    model.training = dict(description.training)
    model.frozen = _frozen(path, model.training.pop("frozen", []), model.state.names())
    return model


def _largest_difference(model: Model, fused: Model) -> float:
    """Between the outputs on a batch of random inputs; the first model's normalisations run as they are."""
    inputs = {
        name: generator(0, f"probe {name}").standard_normal((PROBE_BATCH, *shape), np.float32)
        for name, shape in model.graph.inputs.items()
    }
    # A differentiable program folds nothing by itself, so that this compares with the unfolded network.
    plain = model.engine.compile(model.graph, batch_size=PROBE_BATCH, mode="inference", differentiable=True)
    program = fused.engine.compile(fused.graph, batch_size=PROBE_BATCH, mode="inference")
    before, after = plain.forward(model.state, inputs), program.forward(fused.state, inputs)
    pairs = zip(model.graph.outputs, fused.graph.outputs, strict=True)
    return max(float(np.abs(before[old] - after[new]).max()) for old, new in pairs)


def _engine(engine: str | Engine | None) -> Engine:
    if engine is None:
        return default_engine()
    return get_engine(engine) if isinstance(engine, str) else engine


def _preprocessing(described: Mapping[str, Any] | None) -> Preprocessing | None:
    return None if described is None else Preprocessing.from_json(described)


def _frozen(path: str | Path, given: object, names: Sequence[str]) -> frozenset[str]:
    """The names of frozen arrays in a file's training facts."""
    if not isinstance(given, list) or not all(isinstance(name, str) and name in names for name in given):
        raise FileError(f"{path} is damaged: what it calls frozen is not a list of its parameters and statistics")
    return frozenset(given)


def _whole(value: object) -> int:
    """A whole number from a file's training facts, 0 where there is none."""
    return value if isinstance(value, int) else 0

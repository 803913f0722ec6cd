"""Batch normalisation left in training mode during testing: a very common source of bugs, on purpose."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset, Splits
from foveate.data.batches import permutation
from foveate.engines import Program
from foveate.engines.base import FloatArray, Mode
from foveate.engines.reference import ReferenceEngine
from foveate.errors import DataError, TrainingError
from foveate.explain.experiments.progress import Progress
from foveate.explain.experiments.report import percent
from foveate.explain.experiments.running import Settings as CommonSettings
from foveate.explain.experiments.running import draw_samples, load_data, plain, train
from foveate.explain.probe.classes import check_classifier, class_name
from foveate.explain.probe.probe import displayed, prepare
from foveate.geometry import format_sizes
from foveate.graph import Block, Graph, OneCycle, Sequential
from foveate.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from foveate.layers.normalization import BatchNormalization
from foveate.model import Model, load
from foveate.training import check_classes, check_dataset, in_batches, logits_of, softmax

ORDERS = ("shuffled", "sorted by class")

TEST_BATCH = 128
"""Images in a batch of the correct test, where the number makes no difference."""


@dataclass(frozen=True, kw_only=True)
class Settings(CommonSettings):
    """What to train, and how to test it. `model` is the path of a model to test instead."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "batch_sizes": "batch sizes of the test",
        "images_per_class": "test images of each class",
        "companions": "companions of the one image",
        "model": "model",
        "training_images": "training images",
        "epochs": "epochs",
        "channels": "channels of the convolutions",
        "learning_rate": "peak learning rate (one cycle)",
        "batch_size": "images in a training step",
        "seed": "seed",
    }

    batch_sizes: tuple[int, ...] = (2, 4, 8, 32, 128)
    images_per_class: int = 128
    companions: int = 7
    model: str | None = None
    training_images: int = 10_000
    epochs: int = 4
    channels: tuple[int, ...] = (16, 32, 64)
    learning_rate: float = 0.1
    batch_size: int = 64

    @classmethod
    def quick(cls, **changes: Any) -> "Settings":
        """Fewer images and channels."""
        small: dict[str, Any] = {
            "batch_sizes": (2, 8, 32), "images_per_class": 32, "training_images": 4_000, "epochs": 3,
        }  # fmt: skip
        return cls(**(small | changes))


@dataclass(frozen=True)
class Test:
    """All test images once in batches of one size and order, normalised by each batch's own statistics.

    `accuracy` is that of the wrong test; `moved` is how far the running statistics moved meanwhile, as the norm of the
    change divided by their norm, over the whole network; `accuracy_after` is that of a correct test from then on.
    """

    order: str
    batch_size: int
    accuracy: float
    moved: float
    accuracy_after: float


@dataclass(frozen=True)
class Company:
    """One image among companions: their indices, and what it is taken for when the batch's statistics are used."""

    name: str
    companions: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """The correct accuracy, every wrong test, and one image among several sets of companions."""

    settings: Settings
    engine: str
    network: str
    classes: tuple[str, ...]
    accuracy: float
    """The accuracy with running statistics, as it should be."""
    tests: tuple[Test, ...]
    label: int
    """The class of the one image."""
    probabilities: tuple[float, ...]
    """Its probabilities with running statistics."""
    companies: tuple[Company, ...]
    shape: tuple[int, ...]
    thumbnails: tuple[str, ...]
    """The image, then the companions of each company in turn: 8-bit values of `shape` in base64."""
    dropout: bool
    """Whether the network has dropout, which stays in training mode too."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"experiment": "batch-statistics-at-test-time", **plain(self)}

    def of(self, order: str) -> tuple[Test, ...]:
        """The tests in that order, from the smallest batches to the largest."""
        return tuple(sorted((test for test in self.tests if test.order == order), key=lambda test: test.batch_size))

    def images(self) -> NDArray[np.float64]:
        """The thumbnails on a scale from 0 to 1, (N, *shape)."""
        values = [np.frombuffer(b64decode(text), np.uint8).reshape(self.shape) for text in self.thumbnails]
        return np.stack(values) / 255


def network(shape: Sequence[int], classes: int, channels: Sequence[int]) -> Graph:
    """Convolutions of 3x3 with batch normalisation and ReLU, pooling between them, a global mean, a linear layer."""
    blocks: list[Block] = []
    for stage, count in enumerate(channels):
        blocks += [MaxPool2d(2)] if stage else []
        blocks += [Conv2d(count, 3, padding=1, bias=False), BatchNorm2d(), ReLU()]
    network = Sequential(*blocks, GlobalAvgPool2d(), Linear(classes))
    return network.build(shape, quiet=True, name=f"{len(channels)} convolutions with batch normalisation")


def run(settings: Settings, progress: Progress, data: Splits | None = None) -> Result:
    """Train a network, or take `settings.model`, and test it both correctly and incorrectly in the reference engine.

    Raises:
        DataError: the model has no batch normalisation, or there are too few images of a class.
        FileError: the model's file cannot be read.
        TrainingError: it was interrupted with Ctrl-C, or the training diverged.
    """
    given = None if settings.model is None else load(settings.model, engine=settings.engine)
    if given is not None:
        check_model(given)
    data = load_data(data)
    test = test_images(settings, data.test)
    tests = [(order, size) for order in ORDERS for size in settings.batch_sizes]
    training = 0 if given is not None else settings.epochs * settings.training_images
    progress.start(len(tests) + (given is None), training + 2 * len(test) * len(tests))
    model = given or _train(settings, data, progress)
    check_classes(model.graph, test.classes)
    check_dataset(model.graph, model.task, test)
    return _examine(settings, model, test, tests, progress)


def check_model(model: Model) -> None:
    """Refuse a model that would show nothing: one without batch normalisation, not for images, or not a classifier."""
    check_classifier(model)
    shape = model.graph.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(
            f"the experiment takes models for grey or colour images, but the network takes {format_sizes(shape)}"
        )
    if model.preprocessing is None:
        raise DataError(
            "the model has no preprocessing, so it is unknown how to prepare images for it; fit it, or "
            "make it with Model(graph, preprocessing=...)"
        )
    if not any(isinstance(node.layer, BatchNormalization) and not node.layer.frozen for node in model.graph.nodes):
        raise DataError(
            "the model has no batch normalisation that uses the batch, so it is tested as it was trained; give "
            "a model with BatchNorm2d, or leave the model out to train one"
        )


class ReferenceModel:
    """A model's parameters in the reference engine, run correctly or incorrectly."""

    def __init__(self, model: Model) -> None:
        self.graph = model.graph
        self._engine = ReferenceEngine()
        self._state = self._engine.new_state(model.graph, seed=model.seed)
        self._arrays = {name: model.state.read(name) for name in model.state.names()}
        self._programs: dict[tuple[int, Mode], Program] = {}
        self.reset()

    def reset(self) -> None:
        """Restore the parameters and running statistics that were given."""
        for name, array in self._arrays.items():
            self._state.load(name, array)

    def probabilities(self, inputs: FloatArray, mode: Mode) -> FloatArray:
        """One batch's probabilities (N, classes); "training" normalises by the batch and moves the running
        statistics."""
        key = len(inputs), mode
        if key not in self._programs:
            self._programs[key] = self._engine.compile(self.graph, batch_size=len(inputs), mode=mode)
        outputs = self._programs[key].forward(self._state, inputs)[self.graph.only_output]
        return softmax(logits_of(self.graph, outputs))

    def moved(self) -> float:
        """How far the running statistics are from those given, divided by the norm of the latter."""
        names = list(self.graph.statistics)
        before = np.concatenate([self._arrays[name].astype(np.float64) for name in names])
        after = np.concatenate([self._state.read(name).astype(np.float64) for name in names])
        return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def accuracy(reference: ReferenceModel, inputs: FloatArray, labels: Any, batch_size: int, mode: Mode) -> float:
    """The fraction of correct answers, computed a batch at a time."""
    found = [reference.probabilities(batch, mode).argmax(axis=1) for batch in in_batches(inputs, batch_size)]
    return float(np.mean(np.concatenate(found) == labels))


def test_images(settings: Settings, test: Dataset) -> Dataset:
    """The same number of test images from each class, grouped by class; the seed chooses which."""
    wrong = [size for size in settings.batch_sizes if settings.images_per_class % size]
    if wrong:
        raise DataError(
            f"batches of {wrong[0]} do not divide the {settings.images_per_class} images of each class; choose a "
            "multiple of every batch size"
        )
    if settings.companions >= settings.images_per_class:
        raise DataError(
            f"{settings.companions} companions of the one image's class cannot be found among "
            f"{settings.images_per_class} images of each class; choose fewer companions"
        )
    order = permutation(len(test), settings.seed, "test")
    chosen = []
    for label, name in enumerate(test.classes):
        found = order[test.labels[order] == label][: settings.images_per_class]
        if len(found) < settings.images_per_class:
            raise DataError(
                f"the experiment needs {settings.images_per_class} test images of each class, but there are "
                f"{len(found)} of {name}"
            )
        chosen.append(found)
    return test.subset(np.concatenate(chosen))


def _train(settings: Settings, data: Splits, progress: Progress) -> Model:
    graph = network(data.train.shape, len(data.classes), settings.channels)
    model = Model(
        graph, classes=data.classes, preprocessing=data.preprocessing, seed=settings.seed, engine=settings.engine
    )
    training = draw_samples(data.train, settings.training_images, settings.seed, "training")
    progress.begin("training", settings.epochs * len(training))
    done = train(
        model, training, epochs=settings.epochs, batch_size=settings.batch_size,
        schedule=OneCycle(settings.learning_rate), progress=progress,
    )  # fmt: skip
    if done.diverged:
        raise TrainingError(
            f"the training diverged after step {len(done.losses)}, so there is no model to test; try another "
            "--seed, or give a model with --model"
        )
    progress.finish(f"training: loss {np.mean(done.losses[-20:]):.3f} at the end")
    return model


def _examine(
    settings: Settings, model: Model, test: Dataset, tests: Sequence[tuple[str, int]], progress: Progress
) -> Result:
    inputs = prepare(model, test.inputs)
    reference = ReferenceModel(model)
    right = np.concatenate([reference.probabilities(batch, "inference") for batch in in_batches(inputs, TEST_BATCH)])
    rows = tuple(_test(settings, reference, inputs, test.labels, *each, progress) for each in tests)
    chosen = clear_image(right, test.labels)
    companies = _companies(settings, reference, inputs, test, chosen)
    shown = [chosen, *(index for company in companies for index in company.companions)]
    pixels = np.clip(np.rint(255 * displayed(model, inputs[shown])), 0, 255).astype(np.uint8)
    return Result(
        settings=settings,
        engine=model.engine.name,
        network=f"{model.graph.name}, {model.summary().total_parameters:,} parameters",
        classes=tuple(class_name(model, index) for index in range(len(test.classes))),
        accuracy=float(np.mean(right.argmax(axis=1) == test.labels)),
        tests=rows,
        label=int(test.labels[chosen]),
        probabilities=_rounded(right[chosen]),
        companies=companies,
        shape=model.graph.input_shape,
        thumbnails=tuple(b64encode(image.tobytes()).decode() for image in pixels),
        dropout=any(type(node.layer).__name__.startswith("Dropout") for node in model.graph.nodes),
    )


def _test(
    settings: Settings, reference: ReferenceModel, inputs: FloatArray, labels: Any, order: str, size: int,
    progress: Progress,
) -> Test:  # fmt: skip
    """Test incorrectly, then correctly with the statistics that this left behind."""
    places = permutation(len(labels), settings.seed, "order") if order == ORDERS[0] else np.arange(len(labels))
    name = f"{order}, batches of {size}"
    progress.begin(name, 2 * len(labels))
    reference.reset()
    wrong = accuracy(reference, inputs[places], labels[places], size, "training")
    moved = reference.moved()
    progress.advance(len(labels), f"accuracy {percent(wrong)}")
    after = accuracy(reference, inputs, labels, TEST_BATCH, "inference")
    progress.finish(f"{name}: accuracy {percent(wrong)}, and {percent(after)} in a correct test afterwards")
    return Test(order, size, wrong, moved, after)


def clear_image(right: FloatArray, labels: Any) -> int:
    """The correctly classified image with the median probability: neither the easiest nor a doubtful one."""
    given = right[np.arange(len(labels)), labels]
    known = np.flatnonzero(right.argmax(axis=1) == labels)
    candidates = known if len(known) else np.arange(len(labels))
    return int(candidates[np.argsort(given[candidates], kind="stable")[len(candidates) // 2]])


def _companies(
    settings: Settings, reference: ReferenceModel, inputs: FloatArray, test: Dataset, chosen: int
) -> tuple[Company, ...]:
    """The chosen image among mixed companions twice, among its own class, and among the next class."""
    count, label = settings.companions, int(test.labels[chosen])
    order = permutation(len(test), settings.seed, "companions")
    order = order[order != chosen]
    other = (label + 1) % len(test.classes)
    groups = {
        "mixed images": order[:count],
        "other mixed images": order[count : 2 * count],
        f"images of {test.classes[label]} only": order[test.labels[order] == label][:count],
        f"images of {test.classes[other]} only": order[test.labels[order] == other][:count],
    }
    found = []
    for name, companions in groups.items():
        given = reference.probabilities(inputs[[chosen, *companions]], "training")[0]
        found.append(Company(name, tuple(int(index) for index in companions), _rounded(given)))
    return tuple(found)


def _rounded(probabilities: FloatArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in probabilities)

"""With and without batch normalisation: one network, several initialisations and learning rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from foveate.data import Dataset, Splits
from foveate.engines.random import generator
from foveate.explain.experiments.progress import Progress
from foveate.explain.experiments.report import percent
from foveate.explain.experiments.running import Settings as CommonSettings
from foveate.explain.experiments.running import draw_samples, load_data, plain, train
from foveate.graph import Block, Cosine, Graph, Sequential
from foveate.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from foveate.layers.convolution import Convolution
from foveate.model import Model
from foveate.training import softmax

INITIALIZATIONS: dict[str, float | None] = {"he": None, "xavier": None, "normal 0.01": 0.01, "normal 0.3": 0.3}
"""The initialisations: by a rule, or normal with this standard deviation, whatever the layer's size."""


@dataclass(frozen=True, kw_only=True)
class Settings(CommonSettings):
    """What to train, and how. Every combination is trained once for each of `seeds` seeds from `seed` on."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "learning_rates": "peak learning rates (cosine)",
        "initializations": "initialisations",
        "channels": "channels of the stages",
        "depth": "convolutions (3x3) in each stage",
        "training_images": "training images",
        "validation_images": "validation images",
        "epochs": "epochs",
        "batch_size": "images in a step",
        "seeds": "seeds",
        "seed": "first seed",
    }

    learning_rates: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    initializations: tuple[str, ...] = tuple(INITIALIZATIONS)
    channels: tuple[int, ...] = (16, 32, 32)
    depth: int = 3
    training_images: int = 3000
    validation_images: int = 2000
    epochs: int = 3
    batch_size: int = 32
    seeds: int = 2

    @classmethod
    def quick(cls, **changes: Any) -> "Settings":
        """One seed, fewer images and channels."""
        small: dict[str, Any] = {
            "training_images": 1920, "validation_images": 1000, "epochs": 2, "seeds": 1, "channels": (8, 16, 16),
            "learning_rates": (0.01, 0.1, 1.0),
        }  # fmt: skip
        return cls(**(small | changes))


@dataclass(frozen=True)
class Run:
    """One training: `accuracy` on the validation images from 0 to 1, None if it diverged after its `losses`."""

    normalized: bool
    initialization: str
    learning_rate: float
    seed: int
    losses: tuple[float, ...]
    accuracy: float | None


@dataclass(frozen=True)
class GradientFlow:
    """At initialisation, the norm of the loss's gradient at each convolution's output, from the first to the last.

    `norms` are means over the seeds; `factors` gives for each seed the factor by which its largest norm exceeds its
    smallest, None if the gradient vanishes.
    """

    normalized: bool
    initialization: str
    norms: tuple[float, ...]
    factors: tuple[float | None, ...]

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest factor of all seeds; infinite if a gradient vanishes."""
        every = [float("inf") if factor is None else factor for factor in self.factors]
        return min(every), max(every)


def factor_of(norms: Sequence[float]) -> float | None:
    """The factor by which the largest norm exceeds the smallest; None if the gradient vanishes.

    >>> factor_of([1.0, 4.0, 2.0]), factor_of([0.0, 1.0])
    (4.0, None)
    """
    return max(norms) / min(norms) if min(norms) > 0 else None


@dataclass(frozen=True)
class Result:
    """Every run, the gradient flow (mean of the seeds' norms), and the settings they were made with."""

    settings: Settings
    engine: str
    parameters: tuple[int, int]
    """Parameters of the network without and with normalisation."""
    classes: int
    runs: tuple[Run, ...]
    flows: tuple[GradientFlow, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {"experiment": "batch-normalization", **plain(self)}

    def cell(self, normalized: bool, initialization: str, learning_rate: float) -> tuple[Run, ...]:
        """The runs that differ only in their seed."""
        wanted = (normalized, initialization, learning_rate)
        return tuple(run for run in self.runs if (run.normalized, run.initialization, run.learning_rate) == wanted)

    def accuracy(self, normalized: bool, initialization: str, learning_rate: float) -> float:
        """The mean accuracy over the seeds; a run that diverged counts as chance."""
        runs = self.cell(normalized, initialization, learning_rate)
        return sum(1 / self.classes if run.accuracy is None else run.accuracy for run in runs) / len(runs)

    def flow(self, normalized: bool, initialization: str) -> GradientFlow:
        """The gradient norms with that initialisation."""
        wanted = (normalized, initialization)
        return next(flow for flow in self.flows if (flow.normalized, flow.initialization) == wanted)


def network(settings: Settings, shape: Sequence[int], classes: int, *, normalized: bool, initialization: str) -> Graph:
    """Stages of convolutions with ReLU, each but the last followed by pooling, then a global mean and a linear
    layer."""
    rule = initialization if INITIALIZATIONS[initialization] is None else "he"
    blocks: list[Block] = []
    for stage, channels in enumerate(settings.channels):
        blocks += [MaxPool2d(2)] if stage else []
        for _ in range(settings.depth):
            blocks.append(Conv2d(channels, 3, padding=1, bias=not normalized, initializer=rule))
            blocks += [BatchNorm2d(), ReLU()] if normalized else [ReLU()]
    return Sequential(*blocks, GlobalAvgPool2d(), Linear(classes, initializer=rule)).build(shape, quiet=True)


def initialize(model: Model, initialization: str) -> None:
    """Redraw the weights from a normal distribution, if the initialisation is not a rule that the layers know."""
    deviation = INITIALIZATIONS[initialization]
    if deviation is None:
        return
    for name, parameter in model.graph.parameters.items():
        if len(parameter.shape) > 1:
            values = deviation * generator(model.seed, name).standard_normal(parameter.shape)
            model.state.load(name, values.astype(np.float32))


def gradient_norms(model: Model, dataset: Dataset, inputs: Any) -> tuple[float, ...]:
    """The norm of the mean cross-entropy's gradient at each convolution's output, on one batch as in training."""
    graph = model.graph
    names = [node.name for node in graph.nodes if isinstance(node.layer, Convolution)]
    state = model.engine.copied(model.state, seed=model.seed)
    program = model.engine.compile(
        graph, batch_size=len(inputs), mode="training", keep=tuple(names), differentiable=True
    )
    seed = softmax(program.forward(state, inputs)[graph.only_output].astype(np.float64))
    seed[np.arange(len(inputs)), dataset.labels[: len(inputs)]] -= 1
    program.backward({graph.only_output: seed / len(inputs)})
    return tuple(float(np.linalg.norm(program.gradient(name).astype(np.float64))) for name in names)


def run(settings: Settings, progress: Progress, data: Splits | None = None) -> Result:
    """Train every combination of normalisation, initialisation, learning rate and seed; measure the gradients first.

    Raises:
        DataError: there are too few images.
        TrainingError: it was interrupted with Ctrl-C.
    """
    data = load_data(data)
    ways = [(normalized, name) for normalized in (False, True) for name in settings.initializations]
    seeds = range(settings.seed, settings.seed + settings.seeds)
    cells = [(*way, rate, seed) for seed in seeds for way in ways for rate in settings.learning_rates]
    progress.start(len(cells), len(cells) * settings.epochs * settings.training_images)
    runs = tuple(_train(settings, data, progress, *cell) for cell in cells)
    flows = tuple(_measure_flow(settings, data, *way) for way in ways)
    first = settings.initializations[0]
    models = [build_model(settings, data, normalized, first, settings.seed) for normalized in (False, True)]
    return Result(
        settings=settings,
        engine=models[0].engine.name,
        parameters=(models[0].summary().total_parameters, models[1].summary().total_parameters),
        classes=len(data.classes),
        runs=runs,
        flows=flows,
    )


def build_model(settings: Settings, data: Splits, normalized: bool, initialization: str, seed: int) -> Model:
    """The network before training, with batch normalisation or without."""
    graph = network(settings, data.train.shape, len(data.classes), normalized=normalized, initialization=initialization)
    model = Model(graph, classes=data.classes, preprocessing=data.preprocessing, seed=seed, engine=settings.engine)
    initialize(model, initialization)
    return model


def _train(
    settings: Settings, data: Splits, progress: Progress, normalized: bool, initialization: str, rate: float, seed: int
) -> Run:
    model = build_model(settings, data, normalized, initialization, seed)
    training = draw_samples(data.train, settings.training_images, seed, "training")
    validation = draw_samples(data.validation, settings.validation_images, seed, "validation")
    name = f"{'with' if normalized else 'without'} BN, {initialization}, learning rate {rate:g}, seed {seed}"
    progress.begin(name, settings.epochs * len(training))
    done = train(
        model, training, epochs=settings.epochs, batch_size=settings.batch_size, schedule=Cosine(rate),
        progress=progress,
    )  # fmt: skip
    accuracy = None if done.diverged else model.evaluate(validation).accuracy
    result = f"diverged after step {len(done.losses)}" if accuracy is None else f"accuracy {percent(accuracy)}"
    progress.finish(f"{name}: {result}")
    return Run(normalized, initialization, rate, seed, done.losses, accuracy)


def _measure_flow(settings: Settings, data: Splits, normalized: bool, initialization: str) -> GradientFlow:
    every = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        batch = draw_samples(data.train, settings.batch_size, seed, "training")
        model = build_model(settings, data, normalized, initialization, seed)
        every.append(gradient_norms(model, batch, data.preprocessing.apply(batch.inputs)))
    means = tuple(float(norm) for norm in np.mean(every, axis=0))
    return GradientFlow(normalized, initialization, means, tuple(map(factor_of, every)))

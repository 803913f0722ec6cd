"""Dense against convolutional: two networks with the same number of parameters, trained on few and on many images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from foveate.data import Splits
from foveate.explain.experiments.progress import Progress
from foveate.explain.experiments.report import percent
from foveate.explain.experiments.running import Settings as CommonSettings
from foveate.explain.experiments.running import draw_samples, load_data, plain, train
from foveate.explain.probe.baselines import fully_connected_twin
from foveate.graph import Block, Graph, OneCycle, Sequential
from foveate.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from foveate.model import Model

KINDS = ("dense", "convolutional")


@dataclass(frozen=True, kw_only=True)
class Settings(CommonSettings):
    """What to train, and how. `epochs` has an entry for each of `sizes`; each size is trained for each of `seeds`
    seeds."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "sizes": "training images",
        "epochs": "epochs for each of these",
        "channels": "channels of the convolutions",
        "learning_rate": "peak learning rate (one cycle)",
        "batch_size": "images in a step",
        "seeds": "seeds",
        "seed": "first seed",
    }

    sizes: tuple[int, ...] = (500, 5_000, 50_000)
    epochs: tuple[int, ...] = (100, 20, 4)
    channels: tuple[int, ...] = (32, 64, 128)
    learning_rate: float = 0.05
    batch_size: int = 64
    seeds: int = 3

    @classmethod
    def quick(cls, **changes: Any) -> "Settings":
        """Two seeds, and at most 5,000 images."""
        small: dict[str, Any] = {"sizes": (250, 1_000, 4_000), "epochs": (20, 8, 4), "channels": (16, 32), "seeds": 2}
        return cls(**(small | changes))


@dataclass(frozen=True)
class Run:
    """One training; accuracies from 0 to 1 on the images it was trained on and on the test images.

    Both are None if it diverged.
    """

    kind: str
    images: int
    seed: int
    training_accuracy: float | None
    test_accuracy: float | None


@dataclass(frozen=True)
class Result:
    """Every run, and the settings it was made with; `parameters`, `hidden` widths and classes are the networks'."""

    settings: Settings
    engine: str
    parameters: tuple[int, int]
    """Parameters of the dense and of the convolutional network."""
    hidden: tuple[int, ...]
    classes: int
    test_images: int
    runs: tuple[Run, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {"experiment": "generalization", **plain(self)}

    def cell(self, kind: str, images: int) -> tuple[Run, ...]:
        """The runs that differ only in their seed."""
        return tuple(run for run in self.runs if (run.kind, run.images) == (kind, images))

    def test(self, kind: str, images: int) -> list[float]:
        """Test accuracy for each seed; a run that diverged counts as chance."""
        return [1 / self.classes if run.test_accuracy is None else run.test_accuracy for run in self.cell(kind, images)]

    def training(self, kind: str, images: int) -> list[float]:
        """Training accuracy for each seed; a run that diverged counts as chance."""
        chance = 1 / self.classes
        return [chance if run.training_accuracy is None else run.training_accuracy for run in self.cell(kind, images)]

    def gap(self, kind: str, images: int) -> float:
        """Mean training accuracy minus mean test accuracy."""
        return float(np.mean(self.training(kind, images)) - np.mean(self.test(kind, images)))


def convolutional_network(shape: Sequence[int], classes: int, channels: Sequence[int]) -> Graph:
    """Convolutions of 3x3 with ReLU, each followed by pooling, then a linear layer."""
    blocks: list[Block] = []
    for count in channels:
        blocks += [Conv2d(count, 3, padding=1), ReLU(), MaxPool2d(2)]
    return Sequential(*blocks, Flatten(), Linear(classes)).build(shape, quiet=True)


def run(settings: Settings, progress: Progress, data: Splits | None = None) -> Result:
    """Train both networks on each number of images with each seed; the test images are used once, at the end.

    Raises:
        DataError: there are too few images.
        TrainingError: it was interrupted with Ctrl-C.
    """
    data = load_data(data)
    convolutional = convolutional_network(data.train.shape, len(data.classes), settings.channels)
    count = convolutional.summary().total_parameters
    dense = fully_connected_twin(convolutional)
    graphs = {"dense": dense, "convolutional": convolutional}
    plans = list(zip(settings.sizes, settings.epochs, strict=True))
    cells = [
        (kind, size, epochs, settings.seed + offset)
        for offset in range(settings.seeds) for size, epochs in plans for kind in KINDS
    ]  # fmt: skip
    progress.start(len(cells), sum(size * epochs for _, size, epochs, _ in cells))
    runs = tuple(_train(settings, data, progress, graphs[cell[0]], *cell) for cell in cells)
    return Result(
        settings=settings,
        engine=Model(convolutional, engine=settings.engine).engine.name,
        parameters=(dense.summary().total_parameters, count),
        hidden=tuple(node.output_shape[0] for node in dense.nodes if isinstance(node.layer, Linear))[:-1],
        classes=len(data.classes),
        test_images=len(data.test),
        runs=runs,
    )


def _train(
    settings: Settings, data: Splits, progress: Progress, graph: Graph, kind: str, size: int, epochs: int, seed: int
) -> Run:
    training = draw_samples(data.train, size, seed, "training")
    model = Model(graph, classes=data.classes, seed=seed, engine=settings.engine)
    name = f"{kind}, {size:,} images, seed {seed}"
    progress.begin(name, epochs * size)
    done = train(
        model, training, epochs=epochs, batch_size=settings.batch_size, schedule=OneCycle(settings.learning_rate),
        progress=progress,
    )  # fmt: skip
    if done.diverged:
        progress.finish(f"{name}: diverged after step {len(done.losses)}")
        return Run(kind, size, seed, None, None)
    known, new = model.evaluate(training).accuracy, model.evaluate(data.test).accuracy
    progress.finish(f"{name}: test accuracy {percent(new)}, training accuracy {percent(known)}")
    return Run(kind, size, seed, known, new)

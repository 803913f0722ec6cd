"""How to train, chosen from the data: network, batch size, epochs, learning rate and random changes, with reasons.

`python -m benchmarks defaults` compares these rules with other settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, isqrt
from typing import Any

from foveate import zoo
from foveate.calls import Called, called
from foveate.data import Augmentation, Dataset
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import SGD, Graph, OneCycle, Optimizer
from foveate.layers.normalization import Normalization
from foveate.tasks import Classification
from foveate.training.mirroring import Mirroring, mirroring

LARGEST_BATCH = 128
SMALLEST_BATCH = 8
PEAK_RATE = 0.15
"""The learning rate of SGD for the largest batch; a smaller one has a smaller rate, in proportion."""

FEWEST_STEPS = 300
EPOCHS_OF_ONE = 470
"""The number of epochs is this by the number of training samples to the power of -0.4: 100 for 48, 6 for 55,000."""
MOST_EPOCHS, FEWEST_EPOCHS = 200, 3

WITHOUT_NORMALIZATION = 0.2
"""Factor of the learning rate for networks without normalisation, which diverge sooner."""

OF_TRAINED = 0.2
"""Factor of the learning rate for a network that has been trained before."""

MANY_SAMPLES = 20_000
"""More samples than that are not moved at random."""

SIDE_PER_SHIFT = 12
"""Samples are moved by up to their shortest side by this."""

SMALLEST_IMAGE = 8
"""The sides of the smallest images that vgg6 takes."""

LARGE_IMAGE = 32
"""From this size on, resnet20 learns more than vgg6 from few images. Many are learnt faster by vgg6."""

_NETWORKS = {1: "audio4", 2: "vgg6", 3: "volume3d"}
"""The network for samples with this many spatial axes."""

_KINDS = {1: "signals over one axis", 2: "images", 3: "volumes"}


@dataclass(frozen=True)
class Choices(metaclass=Called):
    """How to train, and why.

    Args:
        net: the name of a network of the zoo; empty if the network was given.
        batch_size: samples in a step.
        epochs: passes over the training samples.
        learning_rate: the peak of a one-cycle schedule.
        augmentation: random changes to the inputs.
        reasons: one line for each choice, in order, by what was chosen; what was given has none.
    """

    net: str
    batch_size: int
    epochs: int
    learning_rate: float
    augmentation: Augmentation = field(default_factory=Augmentation)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self.reasons.values())

    @property
    def fit_options(self) -> dict[str, Any]:
        """The options for `Model.fit`."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "schedule": OneCycle(self.learning_rate),
            "augmentation": self.augmentation,
        }


@called()
def choose(
    dataset: Dataset,
    *,
    network: str | Graph | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    flip: bool | None = None,
    shift: int | None = None,
    optimizer: Optimizer | None = None,
    images: bool | None = None,
    trained: bool = False,
) -> Choices:
    """Choose how to train on `dataset`; what is given is kept, and the rest chosen to go with it.

    The batch size is the largest power of two up to sqrt(N), from 8 to 128; the epochs are 470 N^-0.4, from 3 to 200,
    but at least 300 steps; the learning rate is 0.15 for a batch of 128, and in proportion for smaller ones.

    Args:
        dataset: the training samples.
        network: a name of the zoo, or a graph (default: chosen by the number of spatial axes).
        epochs: passes over the samples.
        batch_size: samples in a step.
        learning_rate: the peak of the one-cycle schedule.
        flip: whether to mirror half of the images (default: if they are images whose meaning it leaves).
        shift: by how many positions samples are moved at random, at most.
        optimizer: what the learning rate is for (default: SGD).
        images: whether the samples show things that may be mirrored (default: grey or RGB uint8 arrays do).
        trained: whether the network has been trained before.

    Returns:
        the choices, each with its reason.

    Raises:
        DataError: no network of the zoo takes such samples.

    >>> import numpy as np
    >>> samples = Dataset(np.zeros((60, 1, 28, 28), np.uint8), np.arange(60) % 2, ("cat", "dog"))
    >>> choices = choose(samples, epochs=50)
    >>> choices.net, choices.batch_size, choices.epochs, choices.learning_rate
    ('vgg6', 8, 50, 0.0094)
    >>> print(choices.reasons["batch size"])
    batch size 8: 60 training samples would give 1 step an epoch at 128, and give 8
    """
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"the data are a {type(dataset).__name__}; give a Dataset, such as fv.Dataset(inputs, labels, names)"
        )
    reasons: dict[str, str] = {}
    if isinstance(network, Graph):
        net, graph = "", network
    else:
        net = network or ""
        if not net:
            net, reasons["network"] = choose_network(dataset)
        graph = zoo.make(net, input_shape=dataset.shape, classes=_classes(dataset))
    pace = choose_pace(
        len(dataset),
        graph,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        trained=trained,
    )
    reasons |= pace.reasons
    if flip is None:
        found = mirroring(dataset, images)
        flip, reasons["mirroring"] = found.allowed, _mirroring_line(found)
    if shift is None:
        shift = _shift(dataset, reasons)
    changes = Augmentation(flip=flip, shift=shift)
    return Choices(net, pace.batch_size, pace.epochs, pace.learning_rate, changes, reasons)


def choose_pace(
    samples: int,
    graph: Graph,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimizer: Optimizer | None = None,
    trained: bool = False,
) -> Choices:
    """Batch size, epochs and learning rate for a number of training samples; arguments as for `choose`."""
    reasons: dict[str, str] = {}
    batch = _batch_size(samples, reasons) if batch_size is None else batch_size
    passes = _epochs(samples, batch, reasons) if epochs is None else epochs
    if learning_rate is None:
        learning_rate = _learning_rate(batch, graph, optimizer or SGD(), trained, reasons)
    return Choices("", batch, passes, learning_rate, reasons=reasons)


def choose_network(dataset: Dataset) -> tuple[str, str]:
    """The name of the network for samples of this shape, and a line with the reason.

    Raises:
        DataError: no network of the zoo takes such samples.
    """
    shape, axes = dataset.shape, len(dataset.shape) - 1
    if axes not in _NETWORKS:
        raise DataError(
            f"a sample is {format_sizes(shape)}, without an axis to move a window along, and no network of the zoo "
            "takes that; make one with fv.Sequential and fv.Linear"
        )
    net, size = _NETWORKS[axes], format_sizes(shape[1:])
    if axes == 2 and min(shape[1:]) < SMALLEST_IMAGE:
        return "resnet20", f"network resnet20: it takes {size}; {net} needs {SMALLEST_IMAGE}x{SMALLEST_IMAGE}"
    if axes == 2 and min(shape[1:]) >= LARGE_IMAGE and len(dataset) <= MANY_SAMPLES:
        return "resnet20", f"network resnet20: it learns more than {net} from few images of {size}"
    return net, f"network {net}: the zoo's small network for {_KINDS[axes]}"


def _batch_size(samples: int, reasons: dict[str, str]) -> int:
    """The largest power of two of at most the root of the number of samples, within bounds."""
    batch = min(LARGEST_BATCH, max(SMALLEST_BATCH, 1 << (isqrt(samples).bit_length() - 1)))
    few = ceil(samples / LARGEST_BATCH)
    steps = ceil(samples / batch)
    why = f"{steps:,} steps an epoch from {_samples(samples)}"
    if batch < LARGEST_BATCH:
        why = f"{_samples(samples)} would give {_counted(few, 'step')} an epoch at {LARGEST_BATCH}, and give {steps:,}"
    reasons["batch size"] = f"batch size {batch}: {why}"
    return batch


def _epochs(samples: int, batch: int, reasons: dict[str, str]) -> int:
    """Fewer for more samples, but enough for some hundred steps."""
    steps = ceil(samples / batch)
    usual: int = min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(EPOCHS_OF_ONE / pow(samples, 0.4))))
    epochs = max(usual, ceil(FEWEST_STEPS / steps))
    why = f"{epochs * steps:,} steps; the fewer samples, the more often each is seen"
    if epochs > usual:
        why = f"{epochs * steps:,} steps; fewer than {FEWEST_STEPS} seldom train well"
    reasons["epochs"] = f"{_counted(epochs, 'epoch')}: {why}"
    return epochs


def _learning_rate(batch: int, graph: Graph, optimizer: Optimizer, trained: bool, reasons: dict[str, str]) -> float:
    """In proportion to the batch for SGD, and lower where training is less stable."""
    if isinstance(optimizer, SGD):
        rate = PEAK_RATE * min(batch, LARGEST_BATCH) / LARGEST_BATCH
        why = f"{PEAK_RATE} at a batch of {LARGEST_BATCH}, in proportion to the batch"
    else:
        rate, why = optimizer.usual_learning_rate, f"usual for {type(optimizer).__name__}"
    if not any(isinstance(node.layer, Normalization) for node in graph.nodes):
        rate, why = rate * WITHOUT_NORMALIZATION, f"{why}; a fifth of that, as the network has no normalisation"
    elif trained:
        rate, why = rate * OF_TRAINED, f"{why}; a fifth of that, to keep what the network has learnt"
    rate = float(f"{rate:.2g}")
    reasons["learning rate"] = f"learning rate {rate:g}: {why}"
    return rate


def _shift(dataset: Dataset, reasons: dict[str, str]) -> int:
    """By how many positions few samples are moved."""
    sides = dataset.shape[1:]
    shift = round(min(sides, default=0) / SIDE_PER_SHIFT)
    if not shift or len(dataset) > MANY_SAMPLES or not isinstance(dataset.task, Classification):
        return 0
    reasons["shift"] = f"moved at random by up to {_counted(shift, 'position')}: a twelfth of {min(sides)}"
    return shift


def _mirroring_line(found: Mirroring) -> str:
    return f"images are {'' if found.allowed else 'not '}mirrored at random: {found.reason}"


def _classes(dataset: Dataset) -> int:
    if not isinstance(dataset.task, Classification):
        raise DataError(
            f"the data are for {type(dataset.task).__name__}, for which the zoo has no network; give your own graph"
        )
    return len(dataset.classes)


def _samples(count: int) -> str:
    return _counted(count, "training sample")


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"

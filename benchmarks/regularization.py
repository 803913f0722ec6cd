"""What helps a network to generalise from 5,000 images of Fashion-MNIST: random changes, averages, label smoothing.

Everything is judged by training images that no training uses; the test set is not read.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import typer

import foveate as fv
from benchmarks import environment
from benchmarks.errors import BenchmarkError
from benchmarks.options import Net, Threads
from benchmarks.reports import check_writable, write_report

NOTHING = "nothing"

WAYS: Mapping[str, Mapping[str, Any]] = {
    NOTHING: {},
    "mirrored": {"augmentation": fv.Augmentation(flip=True)},
    "moved by up to 2": {"augmentation": fv.Augmentation(shift=2)},
    "a square of 8 erased": {"augmentation": fv.Augmentation(erase=8)},
    "mirrored and moved": {"augmentation": fv.Augmentation(flip=True, shift=2)},
    "EMA 0.998": {"ema": 0.998},
    "label smoothing 0.1": {"loss": fv.CrossEntropy(label_smoothing=0.1)},
    "mirrored, moved, EMA, label smoothing": {
        "augmentation": fv.Augmentation(flip=True, shift=2),
        "ema": 0.998,
        "loss": fv.CrossEntropy(label_smoothing=0.1),
    },
}
"""What `fit` is given, by name."""

JUDGED_BY = 10_000


def regularization(
    net: str, count: int, epochs: int, seeds: int, tell: Callable[[str], object] = lambda _: None
) -> dict[str, list[float]]:
    """Accuracies in percent, by way, one for each seed, which draws other images and other parameters.

    Raises:
        BenchmarkError: too few images are left to judge by.
    """
    data = fv.datasets.fashion_mnist().train
    most = len(data) - JUDGED_BY
    if count > most:
        raise BenchmarkError(
            f"{count:,} of {len(data):,} images leave fewer than {JUDGED_BY:,} to judge by; take {most:,}"
        )
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(data))
        training, judged = data.subset(order[:count]), data.subset(order[count : count + JUDGED_BY])
        for name, options in WAYS.items():
            graph = fv.zoo.make(net, input_shape=data.shape, classes=len(data.classes))
            model = fv.Model(graph, classes=data.classes, seed=seed)
            schedule = fv.OneCycle(0.075)
            model.fit(training, epochs=epochs, batch_size=64, schedule=schedule, progress=False, **options)
            found[name].append(100 * model.evaluate(judged, progress=False).accuracy)
            tell(f"seed {seed}, {name}: {found[name][-1]:.2f} %")
    return found


def table(found: Mapping[str, list[float]]) -> list[str]:
    """Each seed's accuracy, the mean, and how it differs from that of nothing, as Markdown."""
    seeds = len(found[NOTHING])
    rows = [
        f"| | {' | '.join(f'seed {seed}' for seed in range(seeds))} | mean | gain |",
        "|---|" + "---:|" * (seeds + 2),
    ]
    for name, accuracies in found.items():
        gains = [own - base for own, base in zip(accuracies, found[NOTHING], strict=True)]
        cells = " | ".join(f"{each:.2f}" for each in (*accuracies, fmean(accuracies)))
        rows.append(f"| {name} | {cells} | {fmean(gains):+.2f} |")
    return rows


def command(
    net: Net = "vgg6",
    count: Annotated[int, typer.Option(min=100, help="Training images.")] = 5000,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of images and parameters.")] = 3,
    threads: Threads = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every accuracy to this file.")] = None,
) -> None:
    """Compare random changes, EMA and label smoothing on few images of Fashion-MNIST.

    Example: python -m benchmarks regularization --seeds 3
    """
    check_writable(json_file)
    if threads is not None:
        fv.set_threads(threads)
    found = regularization(net, count, epochs, seeds, lambda line: print(line, flush=True))
    described = environment.describe(threads)
    write_report(json_file, {"environment": described, "accuracies": found})
    print("\n".join([*table(found), environment.sentence(described)]))

"""Attributes of images: several labels at once, and numbers, on Fashion-MNIST.

    python examples/attributes.py             three epochs over 55,000 images for each task
    python examples/attributes.py --quick     a few steps, to see that it runs

The targets are computed from the images themselves, never from their classes, so each is true by definition and
no one had to judge it:

    touches the sides    a pixel of the first or last column is lit
    symmetric            the image and its mirror image differ by less than a quarter of its light
    bright               the lit pixels are brighter than half of the scale, on average
    lit                  the fraction of pixels that are lit
    height               how far down the centre of the light is, from 0 (top) to 1

A network of convolutions has to add up and compare over the whole image to find them. What always answering the most
common label, or the mean, would reach is printed beside what the network reaches.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

import foveate as fv
from foveate.graph import Block
from foveate.tasks import MultiLabel, Regression

LIT = 25
"""Bytes above which a pixel counts as lit."""

LABELS = MultiLabel(("touches the sides", "symmetric", "bright"))
NUMBERS = Regression(("lit", "height"))


def labels(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N, 3): which of the labels each image (N, 1, H, W) has."""
    values = images[:, 0].astype(np.float64)
    lit = values > LIT
    touches = lit[:, :, [0, -1]].any(axis=(1, 2))
    asymmetry = np.abs(values - values[:, :, ::-1]).sum(axis=(1, 2)) / values.sum(axis=(1, 2))
    brightness = (values * lit).sum(axis=(1, 2)) / np.maximum(lit.sum(axis=(1, 2)), 1)
    return np.stack([touches, asymmetry < 0.25, brightness > 127.5], axis=1)


def numbers(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, 2): the fraction of lit pixels, and how far down the centre of the light is."""
    values = images[:, 0].astype(np.float64)
    rows = values.sum(axis=2)
    height = (rows * np.linspace(0, 1, rows.shape[1])).sum(axis=1) / rows.sum(axis=1)
    return np.stack([(values > LIT).mean(axis=(1, 2)), height], axis=1)


def network(outputs: int) -> fv.Graph:
    """Three stages of convolutions; Flatten, for the position of things matters here."""
    blocks: list[Block] = []
    for channels in (16, 32, 32):
        blocks += [fv.Conv2d(channels, 3, padding="same", bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2)]
    head = [fv.Flatten(), fv.Linear(64, bias=False), fv.BatchNorm1d(), fv.ReLU(), fv.Linear(outputs)]
    return fv.Sequential(*blocks, *head).build(input_shape=(1, 28, 28), quiet=True)


def main() -> None:
    """Train a network for the labels and one for the numbers."""
    options = arguments()
    data = fv.datasets.fashion_mnist()
    train, test = (part.inputs[: 3000 if options.quick else None] for part in (data.train, data.test))
    how = {"epochs": options.epochs, "batch_size": 32 if options.quick else 128, "schedule": fv.OneCycle(0.05)}

    model = fv.Model(network(len(LABELS.labels)), preprocessing=data.preprocessing, seed=0)
    model.fit(fv.Dataset(train, labels(train), LABELS), **how)
    wanted = labels(test)
    result = model.evaluate(fv.Dataset(test, wanted, LABELS))
    for place, (name, found) in enumerate(result.measured.each["f1"].items()):
        fraction = wanted[:, place].mean()
        print(
            f"{name:18} F1 {found or 0:.2f}  "
            f"(on {fraction:.0%} of the images; always saying so: F1 {always(fraction):.2f})"
        )
    print(f"average precision: {result['average_precision']:.3f}")
    print(f"the first test image: {', '.join(name for name, _ in model.answers(test[:1])[0]) or 'none of them'}")

    model = fv.Model(network(len(NUMBERS.names)), preprocessing=data.preprocessing, seed=0)
    model.fit(fv.Dataset(train, numbers(train), NUMBERS), **how)
    exact = numbers(test)
    result = model.evaluate(fv.Dataset(test, exact, NUMBERS))
    for place, (name, error) in enumerate(result.measured.each["mae"].items()):
        print(f"{name:18} off by {error:.4f} on average  (always the mean: {spread(exact[:, place]):.4f})")
    print(f"explained variance (R2): {result['r2']:.3f}")


def always(fraction: float) -> float:
    """F1 of saying yes to every image: precision is the fraction of positives, recall 1."""
    return 2 * fraction / (1 + fraction)


def spread(values: NDArray[np.float64]) -> float:
    """How far the values are from their mean, on average."""
    return float(np.abs(values - values.mean()).mean())


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="passes over the data")
    parser.add_argument("--quick", action="store_true", help="a short form, on few images")
    return parser.parse_args()


if __name__ == "__main__":
    main()

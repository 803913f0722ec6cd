"""Volumes: tell balls, cubes, crosses and tori apart in noise, with convolutions over three axes.

    python examples/volumes.py                six epochs over 2,000 volumes
    python examples/volumes.py --quick        fewer volumes

The data are synthetic: this example draws them itself, turned, moved and scaled at random.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import foveate as fv
from foveate import zoo

SIDE = 16
NOISE = 0.5
CLASSES = ("ball", "cube", "cross", "torus")


def draw(shape: str, random: np.random.Generator) -> NDArray[np.float32]:
    """One volume (1, SIDE, SIDE, SIDE): a turned solid of brightness 1 at a random place, in noise."""
    axes = np.arange(SIDE) - (SIDE - 1) / 2
    points = np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), axis=-1)
    turn, _ = np.linalg.qr(random.standard_normal((3, 3)))
    x, y, z = np.moveaxis((points - random.uniform(-2, 2, 3)) @ turn / random.uniform(4.0, 5.5), -1, 0)
    farthest = np.maximum(np.maximum(abs(x), abs(y)), abs(z))
    if shape == "ball":
        inside = x**2 + y**2 + z**2 < 0.8
    elif shape == "cube":
        inside = farthest < 0.72
    elif shape == "cross":
        thin = [(abs(a) < 0.32) & (abs(b) < 0.32) for a, b in ((x, y), (y, z), (z, x))]
        inside = (thin[0] | thin[1] | thin[2]) & (farthest < 1.1)
    else:
        inside = (np.hypot(x, y) - 0.8) ** 2 + z**2 < 0.13
    volume: NDArray[np.float32] = np.float32(inside) + NOISE * random.standard_normal(inside.shape, np.float32)
    return volume[None]


def dataset(count: int, seed: int) -> fv.Dataset:
    """`count` synthetic volumes, as many of each class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    return fv.Dataset(np.stack([draw(CLASSES[label], random) for label in labels]), labels, CLASSES)


def main() -> None:
    """Draw, train and evaluate."""
    options = arguments()
    train = dataset(320 if options.quick else 2000, seed=1)
    test = dataset(100 if options.quick else 500, seed=2)

    graph = zoo.volume3d(input_shape=train.shape, classes=len(CLASSES))
    print(graph.summary())

    model = fv.Model(graph, seed=0)
    model.fit(train, epochs=options.epochs or 6, batch_size=32, schedule=fv.OneCycle(0.05), out=options.out)

    result = model.evaluate(test)
    print("synthetic volumes; rows: what it was, columns: what the model said")
    print(result.confusion)
    print(f"test accuracy: {result.accuracy:.2%}")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, help="passes over the data (default: 6)")
    parser.add_argument("--out", type=Path, default=Path("runs/volumes"), help="where the model is written")
    parser.add_argument("--quick", action="store_true", help="a short form, on few volumes")
    return parser.parse_args()


if __name__ == "__main__":
    main()

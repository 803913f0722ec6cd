"""A network of two heads: what is in an image, and where its light is, from one trunk.

    python examples/two_heads.py              three epochs over 55,000 images
    python examples/two_heads.py --quick      a few steps, to see that it runs

Each image of Fashion-MNIST is moved to a random place of a larger, dark one. One output tells the class, the other
where the image is: its class was given by people, its place by the random numbers that put it there. The two losses
are summed, the second with a weight.
"""

import argparse
from pathlib import Path

import numpy as np

import foveate as fv
from foveate.tasks import Classification, Regression, Several

ROOM = 12
"""By how many pixels an image can be moved."""


def network(classes: int) -> fv.Graph:
    """A trunk of convolutions that two heads share."""
    builder = fv.GraphBuilder()
    value = builder.input((1, 28 + ROOM, 28 + ROOM))
    for channels in (16, 32, 32):
        value = builder.add(fv.Conv2d(channels, 3, padding="same", bias=False), value)
        value = builder.add(fv.MaxPool2d(2), builder.add(fv.ReLU(), builder.add(fv.BatchNorm2d(), value)))
    hidden = builder.add(fv.Linear(64, bias=False), builder.add(fv.Flatten(), value))
    hidden = builder.add(fv.ReLU(), builder.add(fv.BatchNorm1d(), hidden))
    clothing = builder.add(fv.Linear(classes), hidden, name="clothing")
    place = builder.add(fv.Linear(2), hidden, name="place")
    return builder.build(clothing, place)


def moved(data: fv.Dataset, seed: int, task: Several) -> fv.Dataset:
    """Each image somewhere in a larger one; down and right count from 0 to 1."""
    offsets = np.random.default_rng(seed).integers(0, ROOM + 1, (len(data), 2))
    images = np.zeros((len(data), 1, 28 + ROOM, 28 + ROOM), np.uint8)
    for image, picture, (down, right) in zip(images, data.inputs, offsets, strict=True):
        image[:, down : down + 28, right : right + 28] = picture
    return fv.Dataset(images, {"clothing": data.labels, "place": offsets / ROOM}, task)


def main() -> None:
    """Train both heads at once, measure each, save and load."""
    options = arguments()
    data = fv.datasets.fashion_mnist()
    task = Several({"clothing": Classification(data.classes), "place": (Regression(("down", "right")), 2.0)})
    count = 3000 if options.quick else len(data.train)
    train = moved(data.train.subset(range(count)), 0, task)
    test = moved(data.test.subset(range(500 if options.quick else len(data.test))), 1, task)

    model = fv.Model(network(len(data.classes)), task=task, seed=0)
    model.fit(
        train,
        epochs=options.epochs,
        batch_size=16 if options.quick else 64,
        schedule=fv.OneCycle(0.05),
        out=options.out,
    )
    result = model.evaluate(test)
    print(f"losses: {', '.join(f'{name} {loss:.3f}' for name, loss in result.losses.items())}")
    print(f"place: off by {ROOM * (result['place mae'] or 0):.1f} pixels on average (always the middle: 3.2)")
    print(f"accuracy of the class: {result['clothing accuracy']:.2%}")

    answers = fv.load(options.out / "model.safetensors").answers(test.inputs[:1])
    (name, share), (_, down), (_, right) = answers["clothing"][0][0], *answers["place"][0]
    print(f"the first test image: {name} ({share:.0%}), {down * ROOM:.0f} down and {right * ROOM:.0f} to the right")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="passes over the data")
    parser.add_argument("--out", type=Path, default=Path("runs/two-heads"), help="where the model is written")
    parser.add_argument("--quick", action="store_true", help="a short form, on few images")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Three classes that a network never saw: a new head on a frozen body, against training from scratch.

    python examples/new_classes.py             a body trained for six epochs; 5, 20 and 100 images of each new class
    python examples/new_classes.py --quick     a few steps, to see that it runs

The body learns the first seven classes of Fashion-MNIST. Then it is frozen, and a new head learns the last three
(sneaker, bag, ankle boot) from a handful of images each. The same network learns the same images from scratch. The
number of epochs and the learning rate were chosen on validation images. Means of three draws of the images, on the test
images:

    images of each class   frozen body   from scratch
                       5        88.24%         81.88%
                      20        93.78%         93.43%
                     100        95.14%         96.52%
"""

import argparse

import numpy as np

import foveate as fv
from foveate.graph import Block

KNOWN = 7
"""How many classes the body learns; the others are new."""


def network(classes: int) -> fv.Graph:
    """Three stages of two convolutions each, and a head."""
    blocks: list[Block] = []
    for channels in (16, 32, 64):
        blocks += [fv.Conv2d(channels, 3, padding="same", bias=False), fv.BatchNorm2d(), fv.ReLU()] * 2
        blocks += [fv.MaxPool2d(2)]
    head = fv.Named("head", fv.Linear(classes))
    return fv.Sequential(*blocks, fv.GlobalAvgPool2d(), head).build(input_shape=(1, 28, 28), quiet=True)


def classes_of(data: fv.Dataset, first: int, last: int) -> fv.Dataset:
    """The samples of the classes `first` to `last` (exclusive), whose labels then begin with 0."""
    there = np.flatnonzero((data.labels >= first) & (data.labels < last))
    return fv.Dataset(data.inputs[there], data.labels[there] - first, data.classes[first:last])


def few(data: fv.Dataset, count: int, seed: int) -> fv.Dataset:
    """`count` random samples of each class."""
    random = np.random.default_rng(seed)
    return data.subset(
        np.concatenate([random.permutation(np.flatnonzero(data.labels == label))[:count] for label in (0, 1, 2)])
    )


def main() -> None:
    """Train the body, then compare both ways for a growing number of images."""
    quick = arguments().quick
    data = fv.datasets.fashion_mnist()
    known = classes_of(data.train, 0, KNOWN)
    known = known.subset(range(1400)) if quick else known
    body = fv.Model(network(KNOWN), classes=known.classes, preprocessing=data.preprocessing, seed=0)
    body.fit(known, epochs=1 if quick else 6, batch_size=64 if quick else 128, schedule=fv.OneCycle(0.1))

    new, test = classes_of(data.train, KNOWN, 10), classes_of(data.test, KNOWN, 10)
    print("images of each class   frozen body   from scratch")
    for count in (5,) if quick else (5, 20, 100):
        sums = {"frozen body": 0.0, "from scratch": 0.0}
        seeds = range(1) if quick else range(3)
        for seed in seeds:
            images = few(new, count, seed)
            tuned = body.with_head(new.classes, seed=seed).freeze("*").unfreeze("head.*")
            before = {name: tuned.read(name) for name in tuned.frozen}
            tuned.fit(images, epochs=4 if quick else 60, batch_size=16, schedule=fv.OneCycle(0.1), progress=False)
            assert all(np.array_equal(tuned.read(name), array) for name, array in before.items())
            scratch = fv.Model(network(3), classes=new.classes, preprocessing=data.preprocessing, seed=seed)
            scratch.fit(images, epochs=4 if quick else 60, batch_size=16, schedule=fv.OneCycle(0.1), progress=False)
            sums["frozen body"] += tuned.evaluate(test).accuracy
            sums["from scratch"] += scratch.evaluate(test).accuracy
        frozen, alone = (each / len(seeds) for each in sums.values())
        print(f"{count:20}   {frozen:11.2%}   {alone:12.2%}")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short form, on few images")
    return parser.parse_args()


if __name__ == "__main__":
    main()

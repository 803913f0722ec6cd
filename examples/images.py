"""Images of clothes: train a network of one's own on Fashion-MNIST, measure it, and use it.

    python examples/images.py                 six epochs over 55,000 images
    python examples/images.py --quick         a few steps, to see that it runs

foveate finds the data on this computer or fetches them once. The model is written to --out.
"""

import argparse
from pathlib import Path

import foveate as fv
from foveate.graph import Block

QUICK_TRAINING, QUICK_TEST = 1500, 500


def network() -> fv.Graph:
    """Three stages of two convolutions each, the second of them with a shortcut around it."""
    blocks: list[Block] = []
    for channels in (16, 32, 64):
        blocks += [fv.Conv2d(channels, 3, padding="same", bias=False), fv.BatchNorm2d(), fv.ReLU()]
        blocks += [fv.Residual(fv.Conv2d(channels, 3, padding="same", bias=False), fv.BatchNorm2d(), fv.ReLU())]
        blocks += [fv.MaxPool2d(2)]
    return fv.Sequential(*blocks, fv.GlobalAvgPool2d(), fv.Linear(10)).build(input_shape=(1, 28, 28), quiet=True)


def main() -> None:
    """Train, evaluate, save, load and classify."""
    options = arguments()
    data = fv.datasets.fashion_mnist()
    train, validation, test = data.train, data.validation, data.test
    if options.quick:
        train, validation = train.subset(range(QUICK_TRAINING)), validation.subset(range(QUICK_TEST))
        test = test.subset(range(QUICK_TEST))

    graph = network()
    print(graph.summary())

    model = fv.Model(graph, classes=data.classes, preprocessing=data.preprocessing, seed=0)
    model.fit(
        train,
        validation=validation,
        epochs=options.epochs or (2 if options.quick else 6),
        batch_size=64 if options.quick else 128,
        schedule=fv.OneCycle(0.1),
        augmentation=fv.Augmentation(shift=1, flip=True),
        out=options.out,
    )

    result = model.evaluate(test)
    for name, share in zip(data.classes, result.per_class, strict=True):
        print(f"{name:12} {share or 0:7.2%}")
    print(f"test accuracy: {result.accuracy:.2%}")

    again = fv.load(options.out / "model.safetensors")  # class names and preprocessing are in the file
    name, probability = again.classify(test.inputs[:1])[0]
    print(f"the first test image: {data.classes[test.labels[0]]}; the model says {name} ({probability:.1%})")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, help="passes over the data (default: 6, or 2 with --quick)")
    parser.add_argument("--out", type=Path, default=Path("runs/images"), help="where the model is written")
    parser.add_argument("--quick", action="store_true", help="a short form, on few images")
    return parser.parse_args()


if __name__ == "__main__":
    main()

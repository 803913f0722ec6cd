"""An image and a row of numbers: a network of two inputs, on Fashion-MNIST.

    python examples/image_and_table.py            three epochs over 55,000 images
    python examples/image_and_table.py --quick    a few steps, to see that it runs

The image is the upper quarter alone; the table has the mean brightness of each of the 21 rows below it. Neither says
as much as the whole image: what the network finds with both, and with the image alone, is printed.
"""

import argparse

import numpy as np

import foveate as fv
from foveate.tasks import Classification

QUARTER = 7


def network(classes: int) -> fv.Graph:
    """Convolutions for the image, whose features the table joins before the last layers."""
    builder = fv.GraphBuilder()
    value, table = builder.input((1, QUARTER, 28), "image"), builder.input((28 - QUARTER,), "table")
    for channels in (16, 32):
        value = builder.add(fv.Conv2d(channels, 3, padding="same", bias=False), value)
        value = builder.add(fv.ReLU(), builder.add(fv.BatchNorm2d(), value))
        value = builder.add(fv.MaxPool2d(2, padding=(1, 0)), value)
    joined = builder.add(fv.Concatenate(), builder.add(fv.Flatten(), value), table)
    hidden = builder.add(fv.BatchNorm1d(), builder.add(fv.Linear(64, bias=False), joined))
    return builder.build(builder.add(fv.Linear(classes), builder.add(fv.ReLU(), hidden), name="clothing"), quiet=True)


def parts(data: fv.Dataset, *, with_table: bool) -> fv.Dataset:
    """The upper quarter as an image, the rest as numbers: the model prepares images, tables come prepared."""
    table = (data.inputs[:, 0, QUARTER:].mean(axis=2) / 255 - 0.3) / 0.2
    inputs = {"image": data.inputs[:, :, :QUARTER], "table": table if with_table else np.zeros_like(table)}
    return fv.Dataset(inputs, data.labels, Classification(data.classes))


def main() -> None:
    """Train with the table and without it."""
    options = arguments()
    data = fv.datasets.fashion_mnist()
    train, test = data.train, data.test
    if options.quick:
        train, test = train.subset(range(3000)), test.subset(range(1000))
    for name, with_table in (("with the image alone", False), ("with image and table", True)):
        model = fv.Model(network(len(data.classes)), seed=0)
        model.fit(parts(train, with_table=with_table), epochs=options.epochs, batch_size=64, schedule=fv.OneCycle(0.05))
        print(f"accuracy {name}: {model.evaluate(parts(test, with_table=with_table)).accuracy:.2%}")
    first = parts(test.subset([0]), with_table=True)
    name, share = model.answers(first.by_input)[0][0]
    print(f"the first test image: {data.classes[test.labels[0]]}; the model says {name} ({share:.0%})")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="passes over the data")
    parser.add_argument("--quick", action="store_true", help="a short form, on few images")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""What is where: a small U-Net that gives every pixel of a scene a class.

    python examples/segmentation.py             6,000 scenes of up to four images, five epochs
    python examples/segmentation.py --quick     a few steps, to see that it runs

The scenes are composed of Fashion-MNIST images, laid at random places of a larger one, later ones in front. So the
class of every pixel is known: that of the image whose lit pixel lies on top, or the background. Pixels so dim that a
person could not say are ignored, in training as in measuring. Training scenes hold training images alone.

Whether a lit pixel belongs to a shoe or a bag shows only from far away: the network narrows the scene to a quarter of
its size, and puts what it found there beside the fine detail of the way down (Ronneberger et al., "U-Net", 2015).
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import foveate as fv
from foveate.graph import Value
from foveate.tasks import Segmentation

SIDE, MOST = 56, 4
"""Pixels of a scene, and how many images it holds at most."""

DIM, LIT, IGNORED = 8, 48, 255
"""Bytes up to which a pixel is background, and from which it is part of its image; between them it is ignored."""

KINDS = {
    "top": ("T-shirt/top", "Pullover", "Coat", "Shirt"),
    "trousers": ("Trouser",),
    "dress": ("Dress",),
    "shoe": ("Sandal", "Sneaker", "Ankle boot"),
    "bag": ("Bag",),
}
TASK = Segmentation(("background", *KINDS), ignore_index=IGNORED)


def scenes(data: fv.Dataset, count: int, seed: int) -> fv.Dataset:
    """`count` scenes with the class of each pixel, of images drawn from `data`."""
    random = np.random.default_rng(seed)
    kinds = [next(place for place, names in enumerate(KINDS.values(), 1) if name in names) for name in data.classes]
    images = np.zeros((count, 1, SIDE, SIDE), np.uint8)
    maps = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, classes in zip(images[:, 0], maps, strict=True):
        for chosen in random.choice(len(data), random.integers(1, MOST + 1), replace=False):
            top, left = random.integers(0, SIDE - 28 + 1, 2)
            place = np.s_[top : top + 28, left : left + 28]
            picture = data.inputs[chosen, 0]
            image[place] = np.where(picture > DIM, picture, image[place])
            classes[place] = np.where(picture > DIM, IGNORED, classes[place])
            classes[place] = np.where(picture >= LIT, kinds[data.labels[chosen]], classes[place])
    return fv.Dataset(images, maps, TASK)


def network(width: int) -> fv.Graph:
    """A U-Net of two steps down and two up; each step up sees the step down of its size too."""
    builder = fv.GraphBuilder()

    def stage(value: Value, channels: int) -> Value:
        for _ in range(2):
            value = builder.add(fv.Conv2d(channels, 3, padding="same", bias=False), value)
            value = builder.add(fv.ReLU(), builder.add(fv.BatchNorm2d(), value))
        return value

    fine = stage(builder.input((1, SIDE, SIDE)), width)
    middle = stage(builder.add(fv.MaxPool2d(2), fine), 2 * width)
    value = stage(builder.add(fv.MaxPool2d(2), middle), 4 * width)
    for skipped, channels in ((middle, 2 * width), (fine, width)):
        up = builder.add(fv.ConvTranspose2d(channels, 2, stride=2), value)
        value = stage(builder.add(fv.Concatenate(), up, skipped), channels)
    return builder.build(builder.add(fv.Conv2d(len(TASK.classes), 1), value, name="classes"))


def main() -> None:
    """Train, measure, and draw some scenes beside what the network says of them."""
    options = arguments()
    data = fv.datasets.fashion_mnist()
    train = scenes(data.train, 1200 if options.quick else 6000, seed=0)
    validation = scenes(data.validation, 100 if options.quick else 500, seed=1)
    test = scenes(data.test, 100 if options.quick else 1000, seed=2)

    model = fv.Model(network(8 if options.quick else 16), task=TASK, seed=0)
    model.fit(
        train,
        validation=validation,
        epochs=options.epochs or (1 if options.quick else 5),
        batch_size=16,
        schedule=fv.OneCycle(0.1),
        out=options.out,
    )
    result = model.evaluate(test)
    counted = test.targets[test.targets != IGNORED]
    print(f"pixel accuracy: {result['pixel_accuracy']:.2%} (always the background: {(counted == 0).mean():.2%})")
    for name, share in result.measured.each["iou"].items():
        print(f"  {name:12} {share or 0:6.1%} of what either the map or the network gives it")
    print(f"mean intersection over union: {result['mean_iou']:.3f}")
    draw(test, model.predict(test.inputs[:4]), options.out / "scenes.png")
    print(f"four scenes, their maps and the network's: {options.out / 'scenes.png'}")


def draw(data: fv.Dataset, predicted: NDArray[np.uint8], path: Path) -> None:
    """Scenes, the right maps and the network's, one below the other."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(2.2 * len(predicted), 7.4), layout="constrained")
    axes = figure.subplots(3, len(predicted), squeeze=False)
    right = np.ma.masked_equal(data.targets[: len(predicted)], IGNORED)
    for column, (image, *maps) in enumerate(zip(data.inputs[:, 0], right, predicted, strict=False)):
        axes[0, column].imshow(image, cmap="gray")
        for row, each in enumerate(maps, 1):
            shown = axes[row, column].imshow(each, cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
    for row, title in enumerate(("scene", "right (ignored pixels are white)", "the network's answer")):
        axes[row, 0].set_title(title, loc="left", fontsize=9)
        for axis in axes[row]:
            axis.set_axis_off()
    colours = [Patch(color=shown.cmap(shown.norm(place))) for place in range(len(TASK.classes))]
    figure.legend(colours, TASK.classes, loc="outside lower center", ncols=len(TASK.classes), fontsize=8)
    figure.savefig(path, dpi=110)


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, help="passes over the scenes (default: 5)")
    parser.add_argument("--out", type=Path, default=Path("runs/segmentation"), help="where the model is written")
    parser.add_argument("--quick", action="store_true", help="a short form, on few scenes")
    return parser.parse_args()


if __name__ == "__main__":
    main()

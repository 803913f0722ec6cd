"""AlexNet, and ZFNet, whose first layers look at finer detail."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Sequential
from foveate.layers import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network


@named_network
def alexnet(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """AlexNet in one column without local response normalisation, as in torchvision; 61,100,840 parameters.

    It takes torchvision's weights.

    Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014.
    Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, 2012.
    """
    features = numbered(
        Conv2d(64, 11, stride=4, padding=2), ReLU(), MaxPool2d(3, stride=2),
        Conv2d(192, 5, padding=2), ReLU(), MaxPool2d(3, stride=2),
        Conv2d(384, 3, padding=1), ReLU(),
        Conv2d(256, 3, padding=1), ReLU(),
        Conv2d(256, 3, padding=1), ReLU(), MaxPool2d(3, stride=2),
    )  # fmt: skip
    network = Sequential(
        Named("features", features), Named("avgpool", AdaptiveAvgPool2d(6)), Flatten(),
        Named("classifier", _classifier(classes)),
    )  # fmt: skip
    return network.build(input_shape, quiet=True, name="alexnet")


@named_network
def zfnet(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """ZFNet: AlexNet with a first filter of 7x7 and stride 2; 62,357,608 parameters.

    Zeiler, Fergus: Visualizing and understanding convolutional networks, 2013, figure 3.
    """
    features = numbered(
        Conv2d(96, 7, stride=2, padding=1), ReLU(), _pool(), _contrast(),
        Conv2d(256, 5, stride=2), ReLU(), _pool(), _contrast(),
        Conv2d(384, 3, padding=1), ReLU(),
        Conv2d(384, 3, padding=1), ReLU(),
        Conv2d(256, 3, padding=1), ReLU(), _pool(),
    )  # fmt: skip
    network = Sequential(Named("features", features), Flatten(), Named("classifier", _classifier(classes)))
    return network.build(input_shape, quiet=True, name="zfnet")


def _pool() -> Block:
    return MaxPool2d(3, stride=2, ceil_mode=True)


def _contrast() -> Block:
    return LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)


def _classifier(classes: int) -> Block:
    return numbered(Dropout(0.5), Linear(4096), ReLU(), Dropout(0.5), Linear(4096), ReLU(), Linear(classes))

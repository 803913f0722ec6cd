"""VGG: nothing but 3x3 convolutions and pooling."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Sequential
from foveate.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network

_CHANNELS = (64, 128, 256, 512, 512)
_IMAGENET = (3, 224, 224)


@named_network
def vgg6(*, input_shape: Sequence[int] = (1, 28, 28), classes: int = 10) -> Graph:
    """Six 3x3 convolutions with batch normalisation, pooled after each pair, and a linear layer; 298,410 parameters.

    After Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014.
    """
    blocks: list[Block] = []
    for channels in (32, 64, 128):
        for _ in range(2):
            blocks += [Conv2d(channels, 3, padding=1, bias=False), BatchNorm2d(), ReLU()]
        blocks.append(MaxPool2d(2))
    return Sequential(*blocks, Flatten(), Linear(classes)).build(input_shape, quiet=True, name="vgg6")


@named_network
def vgg11(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-11, the paper's column A; 132,863,336 parameters. It takes torchvision's weights."""
    return _vgg("vgg11", (1, 1, 2, 2, 2), input_shape, classes)


@named_network
def vgg11_bn(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-11 with batch normalisation; 132,868,840 parameters. It takes torchvision's weights."""
    return _vgg("vgg11_bn", (1, 1, 2, 2, 2), input_shape, classes, normalize=True)


@named_network
def vgg13(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-13, the paper's column B; 133,047,848 parameters. It takes torchvision's weights."""
    return _vgg("vgg13", (2, 2, 2, 2, 2), input_shape, classes)


@named_network
def vgg13_bn(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-13 with batch normalisation; 133,053,736 parameters. It takes torchvision's weights."""
    return _vgg("vgg13_bn", (2, 2, 2, 2, 2), input_shape, classes, normalize=True)


@named_network
def vgg16(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-16, the paper's column D; 138,357,544 parameters. It takes torchvision's weights."""
    return _vgg("vgg16", (2, 2, 3, 3, 3), input_shape, classes)


@named_network
def vgg16_bn(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-16 with batch normalisation; 138,365,992 parameters. It takes torchvision's weights."""
    return _vgg("vgg16_bn", (2, 2, 3, 3, 3), input_shape, classes, normalize=True)


@named_network
def vgg19(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-19, the paper's column E; 143,667,240 parameters. It takes torchvision's weights."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), input_shape, classes)


@named_network
def vgg19_bn(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """VGG-19 with batch normalisation; 143,678,248 parameters. It takes torchvision's weights."""
    return _vgg("vgg19_bn", (2, 2, 4, 4, 4), input_shape, classes, normalize=True)


def _vgg(
    name: str, depths: Sequence[int], input_shape: Sequence[int], classes: int, *, normalize: bool = False
) -> Graph:
    """Five stages with these numbers of convolutions, each ending with pooling, and three linear layers.

    Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014, table 1.
    """
    features: list[Block] = []
    for channels, depth in zip(_CHANNELS, depths, strict=True):
        for _ in range(depth):
            features += [Conv2d(channels, 3, padding=1), *([BatchNorm2d()] if normalize else []), ReLU()]
        features.append(MaxPool2d(2))
    classifier = numbered(Linear(4096), ReLU(), Dropout(0.5), Linear(4096), ReLU(), Dropout(0.5), Linear(classes))
    network = Sequential(
        Named("features", numbered(*features)), Named("avgpool", AdaptiveAvgPool2d(7)), Flatten(),
        Named("classifier", classifier),
    )  # fmt: skip
    return network.build(input_shape, quiet=True, name=name)

"""Networks in the manner of VGG: 3x3 convolutions and pooling."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Sequential
from foveate.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU


def vgg6(*, input_shape: Sequence[int] = (1, 28, 28), classes: int = 10) -> Graph:
    """Six 3x3 convolutions with batch normalisation, pooled after each pair, and one linear layer.

    After Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014.
    """
    blocks: list[Block] = []
    for channels in (32, 64, 128):
        for _ in range(2):
            blocks += [Conv2d(channels, 3, padding=1, bias=False), BatchNorm2d(), ReLU()]
        blocks.append(MaxPool2d(2))
    return Sequential(*blocks, Flatten(), Linear(classes)).build(input_shape, quiet=True, name="vgg6")

"""Network in network: 1x1 convolutions between larger ones, and global average pooling."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Sequential
from foveate.layers import AvgPool2d, Conv2d, Dropout, GlobalAvgPool2d, MaxPool2d, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network


@named_network
def nin(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """Network in network for small images, after the authors' configuration for CIFAR-10; 966,986 parameters.

    Lin, Chen, Yan: Network in network, 2013.
    """
    features = numbered(
        *_perceptron(192, 160, 96, kernel_size=5), MaxPool2d(3, stride=2, ceil_mode=True), Dropout(0.5),
        *_perceptron(192, 192, 192, kernel_size=5), AvgPool2d(3, stride=2, ceil_mode=True), Dropout(0.5),
        *_perceptron(192, 192, classes, kernel_size=3),
    )  # fmt: skip
    return Sequential(Named("features", features), GlobalAvgPool2d()).build(input_shape, quiet=True, name="nin")


def _perceptron(*channels: int, kernel_size: int) -> list[Block]:
    """A convolution and then 1x1 convolutions: a small perceptron that slides over the image."""
    first, *others = channels
    blocks: list[Block] = [Conv2d(first, kernel_size, padding=kernel_size // 2), ReLU()]
    for width in others:
        blocks += [Conv2d(width, 1), ReLU()]
    return blocks

"""Wide residual networks for small images."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Residual, Sequential
from foveate.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network


@named_network
def wide_resnet28_10(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """WideResNet-28-10: 28 layers, ten times as wide as ResNet; 36,479,194 parameters at ten classes.

    It takes pytorchcv's weights for CIFAR-10.

    Zagoruyko, Komodakis: Wide residual networks, 2016, table 1; without its optional dropout.
    """
    groups: list[Block] = []
    for number, channels in enumerate((160, 320, 640), start=1):
        first = _first_block(channels, stride=1 if number == 1 else 2)
        others = [Residual(*_normalized(channels), *_normalized(channels)) for _ in range(3)]
        groups.append(Named(f"group{number}", numbered(first, *others)))
    network = Sequential(
        Conv2d(16, 3, padding=1, bias=False), *groups, BatchNorm2d(), ReLU(), GlobalAvgPool2d(), Linear(classes)
    )
    return network.build(input_shape, quiet=True, name="wide_resnet28_10")


def _first_block(channels: int, stride: int) -> Block:
    """The block that changes the width: both paths start after the normalisation, the shortcut is a 1x1 convolution."""
    normalization, activation, convolution = _normalized(channels, stride)
    shortcut = Conv2d(channels, 1, stride=stride, bias=False)
    return Sequential(normalization, activation, Residual(convolution, *_normalized(channels), shortcut=shortcut))


def _normalized(channels: int, stride: int = 1) -> tuple[Block, Block, Block]:
    return BatchNorm2d(), ReLU(), Conv2d(channels, 3, stride=stride, padding=1, bias=False)

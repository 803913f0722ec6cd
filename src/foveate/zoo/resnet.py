"""Residual networks for ImageNet."""

from collections.abc import Callable, Sequence

from foveate.graph import Block, Graph, Named, Residual, Sequential
from foveate.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network

_IMAGENET = (3, 224, 224)


@named_network
def resnet18(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """ResNet-18; 11,689,512 parameters. It takes torchvision's weights."""
    return _resnet("resnet18", _basic, 1, (2, 2, 2, 2), input_shape, classes)


@named_network
def resnet34(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """ResNet-34; 21,797,672 parameters. It takes torchvision's weights."""
    return _resnet("resnet34", _basic, 1, (3, 4, 6, 3), input_shape, classes)


@named_network
def resnet50(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """ResNet-50, with the stride in the 3x3 convolution as in torchvision; 25,557,032 parameters.

    It takes torchvision's weights.
    """
    return _resnet("resnet50", _bottleneck, 4, (3, 4, 6, 3), input_shape, classes)


@named_network
def resnet101(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """ResNet-101, with the stride in the 3x3 convolution as in torchvision; 44,549,160 parameters.

    It takes torchvision's weights.
    """
    return _resnet("resnet101", _bottleneck, 4, (3, 4, 23, 3), input_shape, classes)


@named_network
def resnet152(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """ResNet-152, with the stride in the 3x3 convolution as in torchvision; 60,192,808 parameters.

    It takes torchvision's weights.
    """
    return _resnet("resnet152", _bottleneck, 4, (3, 8, 36, 3), input_shape, classes)


def _resnet(
    name: str,
    block: Callable[[int, int], list[Block]],
    expansion: int,
    depths: Sequence[int],
    input_shape: Sequence[int],
    classes: int,
) -> Graph:
    """Four stages of this many blocks at 64, 128, 256 and 512 channels, times `expansion`.

    He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015, table 1.
    """
    stages: list[Block] = []
    incoming = 64
    for stage, depth in enumerate(depths):
        members: list[Block] = []
        for number in range(depth):
            width, stride = 64 * 2**stage, 2 if stage > 0 and number == 0 else 1
            outgoing = width * expansion
            projection = numbered(Conv2d(outgoing, 1, stride=stride, bias=False), BatchNorm2d())
            shortcut = projection if stride != 1 or incoming != outgoing else None
            members.append(Residual(*block(width, stride), shortcut=shortcut, after=ReLU()))
            incoming = outgoing
        stages.append(Named(f"layer{stage + 1}", numbered(*members)))
    network = Sequential(
        Conv2d(64, 7, stride=2, padding=3, bias=False), BatchNorm2d(), ReLU(), MaxPool2d(3, stride=2, padding=1),
        *stages, Named("avgpool", GlobalAvgPool2d()), Named("fc", Linear(classes)),
    )  # fmt: skip
    return network.build(input_shape, quiet=True, name=name)


def _basic(width: int, stride: int) -> list[Block]:
    """Two 3x3 convolutions."""
    return [
        Conv2d(width, 3, stride=stride, padding=1, bias=False), BatchNorm2d(), ReLU(),
        Conv2d(width, 3, padding=1, bias=False), BatchNorm2d(),
    ]  # fmt: skip


def _bottleneck(width: int, stride: int) -> list[Block]:
    """A 3x3 convolution between two 1x1 convolutions, the last four times as wide."""
    return [
        Conv2d(width, 1, bias=False), BatchNorm2d(), ReLU(),
        Conv2d(width, 3, stride=stride, padding=1, bias=False), BatchNorm2d(), ReLU(),
        Conv2d(4 * width, 1, bias=False), BatchNorm2d(),
    ]  # fmt: skip

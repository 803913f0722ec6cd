"""Residual networks for small images, with the paper's parameter-free shortcuts (its option A)."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Residual, Sequential
from foveate.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, Pad, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network


@named_network
def resnet20(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """ResNet-20 for small images; 269,722 parameters at 3x32x32 and ten classes."""
    return _small_resnet(20, input_shape, classes)


@named_network
def resnet32(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """ResNet-32 for small images; 464,154 parameters at 3x32x32 and ten classes."""
    return _small_resnet(32, input_shape, classes)


@named_network
def resnet44(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """ResNet-44 for small images; 658,586 parameters at 3x32x32 and ten classes."""
    return _small_resnet(44, input_shape, classes)


@named_network
def resnet56(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """ResNet-56 for small images; 853,018 parameters at 3x32x32 and ten classes."""
    return _small_resnet(56, input_shape, classes)


@named_network
def resnet110(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """ResNet-110 for small images; 1,727,962 parameters at 3x32x32 and ten classes."""
    return _small_resnet(110, input_shape, classes)


def _small_resnet(depth: int, input_shape: Sequence[int], classes: int) -> Graph:
    """Three stages of (depth - 2)/6 blocks at 16, 32 and 64 channels.

    He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015, section 4.2.
    """
    stages: list[Block] = []
    incoming = 16
    for stage, channels in enumerate((16, 32, 64), start=1):
        members: list[Block] = []
        for _ in range((depth - 2) // 6):
            members.append(_basic_block(incoming, channels))
            incoming = channels
        stages.append(Named(f"stage{stage}", numbered(*members)))
    network = Sequential(*_convolution(16, 1), ReLU(), *stages, GlobalAvgPool2d(), Linear(classes))
    return network.build(input_shape, quiet=True, name=f"resnet{depth}")


def _basic_block(incoming: int, channels: int) -> Residual:
    """Two 3x3 convolutions; if the channels double, the shortcut subsamples and pads with zero channels."""
    stride = 1 if incoming == channels else 2
    grown = (channels - incoming) // 2
    subsampled = Sequential(MaxPool2d(1, stride=2), Pad(((grown, grown), (0, 0), (0, 0))))
    return Residual(
        *_convolution(channels, stride),
        ReLU(),
        *_convolution(channels, 1),
        shortcut=subsampled if stride == 2 else None,
        after=ReLU(),
    )


def _convolution(channels: int, stride: int) -> tuple[Block, Block]:
    return Conv2d(channels, 3, stride=stride, padding=1, bias=False), BatchNorm2d()

"""Residual networks."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Residual, Sequential
from foveate.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, Pad, ReLU


def resnet20(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """ResNet-20 for small images, with the paper's parameter-free shortcuts; 269,722 parameters at 3x32x32.

    He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015, section 4.2.
    """
    return _small_resnet(20, input_shape, classes)


def _small_resnet(depth: int, input_shape: Sequence[int], classes: int) -> Graph:
    """Three stages of (depth - 2)/6 blocks at 16, 32 and 64 channels."""
    blocks: list[Block] = [*_convolution(16, 1), ReLU()]
    incoming = 16
    for stage, channels in enumerate((16, 32, 64), start=1):
        members: list[Block] = []
        for number in range((depth - 2) // 6):
            members.append(Named(str(number), _basic_block(incoming, channels)))
            incoming = channels
        blocks.append(Named(f"stage{stage}", Sequential(*members)))
    network = Sequential(*blocks, GlobalAvgPool2d(), Linear(classes))
    return network.build(input_shape, quiet=True, name=f"resnet{depth}")


def _basic_block(incoming: int, channels: int) -> Residual:
    """Two 3x3 convolutions; where the channels double, the shortcut subsamples and pads with zero channels."""
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

"""GoogLeNet, the first Inception network."""

from collections.abc import Sequence

from foveate.graph import Block, Concat, Graph, Named, Sequential
from foveate.layers import BatchNorm2d, Conv2d, Dropout, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network


@named_network
def googlenet(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """GoogLeNet (Inception v1) without auxiliary heads, as in torchvision; 6,624,904 parameters.

    It takes torchvision's weights but for the auxiliary heads, for inputs scaled by (x - 0.5)/0.5.

    torchvision's differs from the paper: batch normalisation after each convolution, and 3x3 filters instead of 5x5.

    Szegedy et al.: Going deeper with convolutions, 2014, table 1.
    """
    network = Sequential(
        Named("conv1", _convolution(64, 7, stride=2)), Named("maxpool1", _pool(3)),
        Named("conv2", _convolution(64, 1)), Named("conv3", _convolution(192, 3)), Named("maxpool2", _pool(3)),
        Named("inception3a", _inception(64, (96, 128), (16, 32), 32)),
        Named("inception3b", _inception(128, (128, 192), (32, 96), 64)), Named("maxpool3", _pool(3)),
        Named("inception4a", _inception(192, (96, 208), (16, 48), 64)),
        Named("inception4b", _inception(160, (112, 224), (24, 64), 64)),
        Named("inception4c", _inception(128, (128, 256), (24, 64), 64)),
        Named("inception4d", _inception(112, (144, 288), (32, 64), 64)),
        Named("inception4e", _inception(256, (160, 320), (32, 128), 128)), Named("maxpool4", _pool(2)),
        Named("inception5a", _inception(256, (160, 320), (32, 128), 128)),
        Named("inception5b", _inception(384, (192, 384), (48, 128), 128)),
        Named("avgpool", GlobalAvgPool2d()), Dropout(0.2), Named("fc", Linear(classes)),
    )  # fmt: skip
    return network.build(input_shape, quiet=True, name="googlenet")


def _inception(one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> Block:
    """Four branches joined: 1x1, two with a 1x1 reduction before their filters, and pooling before a 1x1."""
    return Concat(
        Named("branch1", _convolution(one, 1)),
        Named("branch2", numbered(_convolution(three[0], 1), _convolution(three[1], 3))),
        Named("branch3", numbered(_convolution(five[0], 1), _convolution(five[1], 3))),
        Named("branch4", numbered(MaxPool2d(3, stride=1, padding=1, ceil_mode=True), _convolution(pooled, 1))),
    )


def _convolution(channels: int, kernel_size: int, *, stride: int = 1) -> Block:
    layer = Conv2d(channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
    return Sequential(Named("conv", layer), Named("bn", BatchNorm2d(eps=1e-3)), ReLU())


def _pool(size: int) -> MaxPool2d:
    return MaxPool2d(size, stride=2, ceil_mode=True)

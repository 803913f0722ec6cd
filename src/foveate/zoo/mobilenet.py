"""MobileNets: depthwise convolutions for small devices."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from foveate.graph import Block, Graph, Named, Residual, Sequential
from foveate.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    Hardsigmoid,
    Hardswish,
    Linear,
    ReLU,
    ReLU6,
)
from foveate.zoo.blocks import TENSORFLOW, TORCH, SqueezeExcitation, check_variant, convolution, divisible, numbered
from foveate.zoo.network import named_network

_IMAGENET = (3, 224, 224)


@named_network
def mobilenet_v1(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000, variant: str = TORCH) -> Graph:
    """MobileNet v1 at width 1; 4,231,976 parameters.

    It takes pytorchcv's weights. With variant="tensorflow" it is as in Keras: with ReLU6, and padded at the end first.

    Howard et al.: MobileNets: efficient convolutional neural networks for mobile vision applications, 2017, table 1.
    """
    activation = ReLU6() if check_variant(variant) == TENSORFLOW else ReLU()
    look: Any = {"activation": activation, "variant": variant}
    features: list[Block] = [convolution(32, 3, stride=2, **look)]
    incoming = 32
    for channels, stride in (
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
    ):  # fmt: skip
        depthwise = convolution(incoming, 3, stride=stride, groups=incoming, **look)
        features.append(Sequential(Named("depthwise", depthwise), Named("pointwise", convolution(channels, 1, **look))))
        incoming = channels
    network = Sequential(
        Named("features", numbered(*features)), Named("avgpool", GlobalAvgPool2d()), Named("fc", Linear(classes))
    )
    return network.build(input_shape, quiet=True, name="mobilenet_v1")


@named_network
def mobilenet_v2(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """MobileNet v2 at width 1; 3,504,872 parameters.

    It takes torchvision's weights.

    Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: inverted residuals and linear bottlenecks, 2018, table 2.
    """
    features: list[Block] = [convolution(32, 3, stride=2, activation=ReLU6())]
    incoming = 32
    for expansion, channels, repeats, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for number in range(repeats):
            step = stride if number == 0 else 1
            block = Named("conv", _inverted(incoming, expansion, channels, step))
            features.append(Residual(block) if step == 1 and incoming == channels else block)
            incoming = channels
    features.append(convolution(1280, 1, activation=ReLU6()))
    return _classify(features, numbered(Dropout(0.2), Linear(classes))).build(
        input_shape, quiet=True, name="mobilenet_v2"
    )


@named_network
def mobilenet_like(*, input_shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Graph:
    """A stem and six inverted bottlenecks without shortcuts, for small images; 272,362 parameters.

    After Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: inverted residuals and linear bottlenecks, 2018.
    """
    features: list[Block] = [convolution(32, 3, activation=ReLU6())]
    incoming = 32
    for channels, stride in ((16, 1), (24, 1), (32, 2), (64, 2), (96, 1), (160, 2)):
        features.append(Named("conv", _inverted(incoming, 6, channels, stride)))
        incoming = channels
    return _classify(features, numbered(Linear(classes))).build(input_shape, quiet=True, name="mobilenet_like")


def _inverted(incoming: int, expansion: int, channels: int, stride: int) -> Block:
    """Widened by 1x1, filtered channel by channel, narrowed by 1x1 without activation."""
    width = incoming * expansion
    widened = [convolution(width, 1, activation=ReLU6())] if expansion != 1 else []
    filtered = convolution(width, 3, stride=stride, groups=width, activation=ReLU6())
    return numbered(*widened, filtered, Conv2d(channels, 1, bias=False), BatchNorm2d())


class Bottleneck(NamedTuple):
    """A row of the tables of MobileNet v3."""

    kernel_size: int
    width: int
    channels: int
    squeezes: bool
    activation: ReLU | Hardswish
    stride: int


_RE, _HS = ReLU(), Hardswish()
_LARGE = (
    Bottleneck(3, 16, 16, False, _RE, 1),
    Bottleneck(3, 64, 24, False, _RE, 2), Bottleneck(3, 72, 24, False, _RE, 1),
    Bottleneck(5, 72, 40, True, _RE, 2), Bottleneck(5, 120, 40, True, _RE, 1), Bottleneck(5, 120, 40, True, _RE, 1),
    Bottleneck(3, 240, 80, False, _HS, 2), Bottleneck(3, 200, 80, False, _HS, 1),
    Bottleneck(3, 184, 80, False, _HS, 1), Bottleneck(3, 184, 80, False, _HS, 1),
    Bottleneck(3, 480, 112, True, _HS, 1), Bottleneck(3, 672, 112, True, _HS, 1),
    Bottleneck(5, 672, 160, True, _HS, 2), Bottleneck(5, 960, 160, True, _HS, 1), Bottleneck(5, 960, 160, True, _HS, 1),
)  # fmt: skip
_SMALL = (
    Bottleneck(3, 16, 16, True, _RE, 2),
    Bottleneck(3, 72, 24, False, _RE, 2), Bottleneck(3, 88, 24, False, _RE, 1),
    Bottleneck(5, 96, 40, True, _HS, 2), Bottleneck(5, 240, 40, True, _HS, 1), Bottleneck(5, 240, 40, True, _HS, 1),
    Bottleneck(5, 120, 48, True, _HS, 1), Bottleneck(5, 144, 48, True, _HS, 1),
    Bottleneck(5, 288, 96, True, _HS, 2), Bottleneck(5, 576, 96, True, _HS, 1), Bottleneck(5, 576, 96, True, _HS, 1),
)  # fmt: skip


@named_network
def mobilenet_v3_large(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """MobileNet v3 large; 5,483,032 parameters. It takes torchvision's weights."""
    return _mobilenet_v3("mobilenet_v3_large", _LARGE, 1280, input_shape, classes)


@named_network
def mobilenet_v3_small(*, input_shape: Sequence[int] = _IMAGENET, classes: int = 1000) -> Graph:
    """MobileNet v3 small; 2,542,856 parameters. It takes torchvision's weights."""
    return _mobilenet_v3("mobilenet_v3_small", _SMALL, 1024, input_shape, classes)


def _mobilenet_v3(
    name: str, rows: Sequence[Bottleneck], hidden: int, input_shape: Sequence[int], classes: int
) -> Graph:
    """The rows of a table between a stem of 16 channels and a 1x1 convolution to six times the last width.

    Howard et al.: Searching for MobileNetV3, 2019, tables 1 and 2.
    """
    features = [_convolution(16, 3, 2, _HS)]
    incoming = 16
    for row in rows:
        block = Named("block", _squeezed(incoming, row))
        features.append(Residual(block) if row.stride == 1 and row.channels == incoming else block)
        incoming = row.channels
    features.append(_convolution(6 * incoming, 1, 1, _HS))
    classifier = numbered(Linear(hidden), Hardswish(), Dropout(0.2), Linear(classes))
    return _classify(features, classifier).build(input_shape, quiet=True, name=name)


def _squeezed(incoming: int, row: Bottleneck) -> Block:
    """An inverted bottleneck, in some rows with squeeze and excitation between its filters and the narrowing."""
    width, activation = row.width, row.activation
    blocks: list[Block] = [_convolution(width, 1, 1, activation)] if width != incoming else []
    blocks.append(_convolution(width, row.kernel_size, row.stride, activation, groups=width))
    if row.squeezes:
        blocks.append(SqueezeExcitation(width, divisible(width // 4), activation=ReLU(), gate=Hardsigmoid()))
    return numbered(*blocks, _convolution(row.channels, 1, 1, None))


def _convolution(
    channels: int, kernel_size: int, stride: int, activation: ReLU | Hardswish | None, groups: int = 1
) -> Block:
    return convolution(
        channels,
        kernel_size,
        stride=stride,
        groups=groups,
        activation=activation,
        normalization=BatchNorm2d(eps=1e-3, momentum=0.01),
    )


def _classify(features: Sequence[Block], classifier: Block) -> Sequential:
    return Sequential(
        Named("features", numbered(*features)), Named("avgpool", GlobalAvgPool2d()), Named("classifier", classifier)
    )

"""EfficientNets: MobileNet v2's bottlenecks, with widths and depths found by a search."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Named, Residual, Sequential
from foveate.layers import Dropout, GlobalAvgPool2d, Layer, Linear, ReLU6, Sigmoid, SiLU
from foveate.zoo.blocks import TORCH, SqueezeExcitation, check_variant, convolution, numbered
from foveate.zoo.network import named_network

_STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
"""Expansion, kernel size, stride, channels and number of blocks of each stage: the paper's table 1."""


@named_network
def efficientnet_b0(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000, variant: str = TORCH) -> Graph:
    """EfficientNet-B0, without stochastic depth in training; 5,288,548 parameters.

    It takes torchvision's weights. With variant="tensorflow" it pads and normalises as TensorFlow's does, for the
    weights that timm calls tf_efficientnet_b0.

    Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks, 2019, table 1.
    """
    return _efficientnet("efficientnet_b0", SiLU(), True, input_shape, classes, variant)


@named_network
def efficientnet_lite0(
    *, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000, variant: str = TORCH
) -> Graph:
    """EfficientNet-Lite0: B0 with ReLU6 and without squeeze and excitation; 4,652,008 parameters.

    The weights published for ImageNet are TensorFlow's, even those that PyTorch packages offer: they need
    variant="tensorflow".

    Liu: Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog, 2020.
    """
    return _efficientnet("efficientnet_lite0", ReLU6(), False, input_shape, classes, variant)


def _efficientnet(
    name: str, activation: Layer, squeezes: bool, input_shape: Sequence[int], classes: int, variant: str
) -> Graph:
    check_variant(variant)
    stages: list[Block] = [convolution(32, 3, stride=2, activation=activation, variant=variant)]
    incoming = 32
    for expansion, kernel_size, stride, channels, repeats in _STAGES:
        members: list[Block] = []
        for number in range(repeats):
            step = stride if number == 0 else 1
            block = Named(
                "block", _bottleneck(incoming, expansion, kernel_size, step, channels, activation, squeezes, variant)
            )
            members.append(Residual(block) if step == 1 and incoming == channels else block)
            incoming = channels
        stages.append(numbered(*members))
    stages.append(convolution(1280, 1, activation=activation, variant=variant))
    network = Sequential(
        Named("features", numbered(*stages)), Named("avgpool", GlobalAvgPool2d()),
        Named("classifier", numbered(Dropout(0.2), Linear(classes))),
    )  # fmt: skip
    return network.build(input_shape, quiet=True, name=name)


def _bottleneck(
    incoming: int,
    expansion: int,
    kernel_size: int,
    stride: int,
    channels: int,
    activation: Layer,
    squeezes: bool,
    variant: str,
) -> Block:
    """Widened by 1x1, filtered channel by channel, gated if `squeezes`, narrowed by 1x1 without activation."""
    width = incoming * expansion
    blocks: list[Block] = [convolution(width, 1, activation=activation, variant=variant)] if expansion != 1 else []
    blocks.append(convolution(width, kernel_size, stride=stride, groups=width, activation=activation, variant=variant))
    if squeezes:
        blocks.append(SqueezeExcitation(width, incoming // 4, activation=activation, gate=Sigmoid()))
    return numbered(*blocks, convolution(channels, 1, activation=None, variant=variant))

"""ShuffleNets: cheap 1x1 convolutions over part of the channels, which are shuffled between them."""

from collections.abc import Sequence

from foveate.graph import Block, Composite, Concat, Graph, GraphBuilder, Named, Residual, Sequential, Value
from foveate.layers import (
    AvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    Concatenate,
    Conv2d,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Pad,
    ReLU,
)
from foveate.zoo.blocks import convolution, numbered
from foveate.zoo.network import named_network

_REPEATS = (4, 8, 4)
"""Units in stages 2, 3 and 4; the first of each halves the size."""


@named_network
def shufflenet_v1(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """ShuffleNet v1 at width 1 with three groups; 1,865,728 parameters.

    It takes pytorchcv's weights.

    Zhang, Zhou, Lin, Sun: ShuffleNet: an extremely efficient convolutional neural network for mobile devices, 2017.
    """
    stages: list[Block] = []
    incoming = 24
    for stage, (channels, repeats) in enumerate(zip((240, 480, 960), _REPEATS, strict=True), start=2):
        first = _joined(incoming, channels, groups=1 if stage == 2 else 3)
        others = [Residual(*_shuffled(channels, channels, 3, 1), after=ReLU()) for _ in range(repeats - 1)]
        stages.append(Named(f"stage{stage}", numbered(first, *others)))
        incoming = channels
    network = Sequential(*_stem(), *stages, GlobalAvgPool2d(), Named("fc", Linear(classes)))
    return network.build(input_shape, quiet=True, name="shufflenet_v1")


def _joined(incoming: int, channels: int, groups: int) -> Block:
    """The first unit of a stage: pooled channels are kept beside the new ones, figure 2c of the paper."""
    new = Sequential(*_shuffled(channels - incoming, channels, groups, 2))
    pooled = AvgPool2d(3, stride=2, padding=1)
    return Sequential(Named("join", Concat(Named("branch1", new), Named("branch2", pooled))), ReLU())


def _shuffled(outgoing: int, channels: int, groups: int, stride: int) -> list[Block]:
    """A grouped 1x1 convolution to a quarter, a shuffle, a depthwise 3x3, and a grouped 1x1 convolution."""
    width = channels // 4
    return [
        Conv2d(width, 1, groups=groups, bias=False), BatchNorm2d(), ReLU(), ChannelShuffle(3),
        Conv2d(width, 3, stride=stride, padding=1, groups=width, bias=False), BatchNorm2d(),
        Conv2d(outgoing, 1, groups=3, bias=False), BatchNorm2d(),
    ]  # fmt: skip


@named_network
def shufflenet_v2_x1_0(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """ShuffleNet v2 at width 1; 2,278,604 parameters.

    It takes torchvision's weights.

    Ma, Zhang, Zheng, Sun: ShuffleNet V2: practical guidelines for efficient CNN architecture design, 2018, table 5.
    """
    stages: list[Block] = []
    incoming = 24
    for stage, (channels, repeats) in enumerate(zip((116, 232, 464), _REPEATS, strict=True), start=2):
        units = [HalvingUnit(incoming, channels // 2), *(SplitUnit(channels // 2) for _ in range(repeats - 1))]
        stages.append(Named(f"stage{stage}", numbered(*units)))
        incoming = channels
    network = Sequential(
        *_stem(), *stages, Named("conv5", convolution(1024, 1)), GlobalAvgPool2d(), Named("fc", Linear(classes))
    )
    return network.build(input_shape, quiet=True, name="shufflenet_v2_x1_0")


def _stem() -> list[Block]:
    return [Named("conv1", convolution(24, 3, stride=2)), Named("maxpool", MaxPool2d(3, stride=2, padding=1))]


class ShuffleUnit(Composite):
    """Two branches of equal width, concatenated and shuffled."""

    def __init__(self, branch1: Block, branch2: Block) -> None:
        self.branches = Named("branch1", branch1), Named("branch2", branch2)

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add both branches, the concatenation and the shuffle."""
        ends = [branch.lower(builder, value) for branch in self.branches]
        return builder.add(ChannelShuffle(2), builder.add(Concatenate(), *ends, name="concat"), name="shuffle")


class SplitUnit(ShuffleUnit):
    """Half of the channels pass through, the others are convolved; figure 3c of the paper."""

    def __init__(self, width: int) -> None:
        first, second = (Pad((half, (0, 0), (0, 0))) for half in ((0, -width), (-width, 0)))
        super().__init__(first, Sequential(Named("split", second), _main_branch(width, 1)))


class HalvingUnit(ShuffleUnit):
    """All channels go through both branches at half the size; figure 3d of the paper."""

    def __init__(self, incoming: int, width: int) -> None:
        shortcut = numbered(*_depthwise(incoming, 2), Conv2d(width, 1, bias=False), BatchNorm2d(), ReLU())
        super().__init__(shortcut, _main_branch(width, 2))


def _main_branch(width: int, stride: int) -> Block:
    """A depthwise 3x3 convolution between two 1x1 convolutions."""
    return numbered(
        Conv2d(width, 1, bias=False), BatchNorm2d(), ReLU(), *_depthwise(width, stride),
        Conv2d(width, 1, bias=False), BatchNorm2d(), ReLU(),
    )  # fmt: skip


def _depthwise(channels: int, stride: int) -> tuple[Block, Block]:
    return Conv2d(channels, 3, stride=stride, padding=1, groups=channels, bias=False), BatchNorm2d()

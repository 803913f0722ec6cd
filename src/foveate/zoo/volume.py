"""Networks over three axes, for volumes and video."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Sequential
from foveate.layers import BatchNorm3d, Conv3d, GlobalAvgPool3d, Linear, MaxPool3d, ReLU
from foveate.zoo.network import named_network


@named_network
def volume3d(*, input_shape: Sequence[int] = (1, 32, 32, 32), classes: int = 10) -> Graph:
    """Four 3x3x3 convolutions, each followed by pooling; 292,506 parameters.

    After Tran, Bourdev, Fergus, Torresani, Paluri: Learning spatiotemporal features with 3D convolutional networks,
    2014.
    """
    blocks: list[Block] = []
    for channels in (16, 32, 64, 128):
        blocks += [Conv3d(channels, 3, padding=1, bias=False), BatchNorm3d(), ReLU(), MaxPool3d(2)]
    return Sequential(*blocks, GlobalAvgPool3d(), Linear(classes)).build(input_shape, quiet=True, name="volume3d")

"""Networks over one axis, for sound."""

from collections.abc import Sequence

from foveate.graph import Block, Graph, Sequential
from foveate.layers import BatchNorm1d, Conv1d, GlobalAvgPool1d, Linear, MaxPool1d, ReLU
from foveate.zoo.network import named_network


@named_network
def audio4(*, input_shape: Sequence[int] = (1, 8000), classes: int = 10) -> Graph:
    """Four strided convolutions over the raw waveform, one second at 8 kHz; 390,890 parameters.

    After Dai, Dai, Qu, Li, Das: Very deep convolutional neural networks for raw waveforms, 2016.
    """
    blocks: list[Block] = []
    for channels in (32, 64, 128, 256):
        blocks += [Conv1d(channels, 9, stride=2, padding=4, bias=False), BatchNorm1d(), ReLU(), MaxPool1d(2)]
    return Sequential(*blocks, GlobalAvgPool1d(), Linear(classes)).build(input_shape, quiet=True, name="audio4")

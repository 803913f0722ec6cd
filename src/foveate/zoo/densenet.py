"""DenseNet: every layer sees the outputs of all before it."""

from collections.abc import Sequence

from foveate.graph import Block, Composite, Graph, GraphBuilder, Named, Sequential, Value
from foveate.layers import AvgPool2d, BatchNorm2d, Concatenate, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from foveate.zoo.network import named_network

_GROWTH = 32
"""Channels that each layer adds."""


@named_network
def densenet121(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """DenseNet-121, with bottlenecks and compression; 7,978,856 parameters.

    It takes torchvision's weights.

    Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks, 2016, table 1.
    """
    features: list[Block] = [
        Named("conv0", Conv2d(64, 7, stride=2, padding=3, bias=False)), Named("norm0", BatchNorm2d()),
        Named("relu0", ReLU()), Named("pool0", MaxPool2d(3, stride=2, padding=1)),
    ]  # fmt: skip
    channels = 64
    for number, depth in enumerate((6, 12, 24, 16), start=1):
        layers = (Named(f"denselayer{layer}", DenseLayer()) for layer in range(1, depth + 1))
        features.append(Named(f"denseblock{number}", Sequential(*layers)))
        channels += depth * _GROWTH
        if number < 4:
            channels //= 2
            features.append(Named(f"transition{number}", _transition(channels)))
    network = Sequential(
        Named("features", Sequential(*features, Named("norm5", BatchNorm2d()))), ReLU(), GlobalAvgPool2d(),
        Named("classifier", Linear(classes)),
    )  # fmt: skip
    return network.build(input_shape, quiet=True, name="densenet121")


class DenseLayer(Composite):
    """A 1x1 bottleneck and a 3x3 convolution, whose output is appended to the block's input."""

    block = Sequential(
        Named("norm1", BatchNorm2d()), Named("relu1", ReLU()), Named("conv1", Conv2d(4 * _GROWTH, 1, bias=False)),
        Named("norm2", BatchNorm2d()), Named("relu2", ReLU()),
        Named("conv2", Conv2d(_GROWTH, 3, padding=1, bias=False)),
    )  # fmt: skip

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Append the new channels to the old ones."""
        return builder.add(Concatenate(), value, self.block.lower(builder, value), name="concat")


def _transition(channels: int) -> Block:
    return Sequential(
        Named("norm", BatchNorm2d()), Named("relu", ReLU()),
        Named("conv", Conv2d(channels, 1, bias=False)), Named("pool", AvgPool2d(2)),
    )  # fmt: skip

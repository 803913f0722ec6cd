"""SqueezeNet: few parameters by squeezing the channels before each 3x3 convolution."""

from collections.abc import Sequence

from foveate.graph import Block, Composite, Graph, GraphBuilder, Named, Sequential, Value
from foveate.layers import Concatenate, Conv2d, Dropout, GlobalAvgPool2d, MaxPool2d, ReLU
from foveate.zoo.blocks import numbered
from foveate.zoo.network import named_network


@named_network
def squeezenet1_0(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """SqueezeNet 1.0; 1,248,424 parameters.

    It takes torchvision's weights.

    Iandola et al.: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016, table 1.
    """
    features = numbered(
        Conv2d(96, 7, stride=2), ReLU(), _pool(),
        Fire(16, 64), Fire(16, 64), Fire(32, 128), _pool(),
        Fire(32, 128), Fire(48, 192), Fire(48, 192), Fire(64, 256), _pool(),
        Fire(64, 256),
    )  # fmt: skip
    return _classify(features, classes).build(input_shape, quiet=True, name="squeezenet1_0")


@named_network
def squeezenet1_1(*, input_shape: Sequence[int] = (3, 224, 224), classes: int = 1000) -> Graph:
    """SqueezeNet 1.1, with 2.4 times less computation than 1.0; 1,235,496 parameters.

    It takes torchvision's weights.

    Iandola et al.: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016, and the authors' code.
    """
    features = numbered(
        Conv2d(64, 3, stride=2), ReLU(), _pool(),
        Fire(16, 64), Fire(16, 64), _pool(),
        Fire(32, 128), Fire(32, 128), _pool(),
        Fire(48, 192), Fire(48, 192), Fire(64, 256), Fire(64, 256),
    )  # fmt: skip
    return _classify(features, classes).build(input_shape, quiet=True, name="squeezenet1_1")


class Fire(Composite):
    """Squeezed by a 1x1 convolution, then expanded by a 1x1 and a 3x3, each to `expanded` channels."""

    def __init__(self, squeezed: int, expanded: int) -> None:
        self.squeeze = _rectified("squeeze", Conv2d(squeezed, 1))
        self.expand1x1 = _rectified("expand1x1", Conv2d(expanded, 1))
        self.expand3x3 = _rectified("expand3x3", Conv2d(expanded, 3, padding=1))

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add the squeeze, both branches from it, and their concatenation."""
        squeezed = self.squeeze.lower(builder, value)
        ways = self.expand1x1.lower(builder, squeezed), self.expand3x3.lower(builder, squeezed)
        return builder.add(Concatenate(), *ways, name="concat")


def _rectified(name: str, convolution: Conv2d) -> Sequential:
    return Sequential(Named(name, convolution), Named(f"{name}_activation", ReLU()))


def _pool() -> Block:
    return MaxPool2d(3, stride=2, ceil_mode=True)


def _classify(features: Block, classes: int) -> Sequential:
    """The class maps are convolutions, averaged over all positions."""
    classifier = numbered(Dropout(0.5), Conv2d(classes, 1), ReLU(), GlobalAvgPool2d())
    return Sequential(Named("features", features), Named("classifier", classifier))

"""Blocks that several families share: numbered layers, and convolution with normalisation and activation."""

from typing import Any

from foveate.errors import GraphError
from foveate.graph import Block, Composite, GraphBuilder, Named, Sequential, Value
from foveate.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Layer, Multiply, ReLU

TORCH, TENSORFLOW = "torch", "tensorflow"
"""Whose published weights a network takes: TensorFlow pads the end first, and its normalisations have eps 1e-3."""


def numbered(*blocks: Block) -> Sequential:
    """Blocks in sequence, named 0, 1, 2, as in PyTorch's `Sequential`."""
    return Sequential(*(Named(str(number), block) for number, block in enumerate(blocks)))


def convolution(
    channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: Layer | None = ReLU(),  # noqa: B008 (frozen)
    normalization: Layer = BatchNorm2d(),  # noqa: B008 (frozen)
    variant: str = TORCH,
) -> Sequential:
    """Convolution without bias that keeps the size at stride 1, normalisation and activation, named 0, 1, 2."""
    padding: Any = kernel_size // 2
    if variant == TENSORFLOW:
        padding, normalization = "same", BatchNorm2d(eps=1e-3)
    layer = Conv2d(channels, kernel_size, stride=stride, padding=padding, groups=groups, bias=False)
    return numbered(layer, normalization, *([] if activation is None else [activation]))


def check_variant(variant: str) -> str:
    """`variant` if there is such a variant, else a GraphError."""
    if variant not in (TORCH, TENSORFLOW):
        raise GraphError(f'there is no variant {variant!r}; choose "{TORCH}" or "{TENSORFLOW}"')
    return variant


class SqueezeExcitation(Composite):
    """Each channel multiplied by a gate that sees the mean of every channel.

    Hu, Shen, Albanie, Sun, Wu: Squeeze-and-excitation networks, 2017.
    """

    def __init__(self, channels: int, squeezed: int, *, activation: Layer, gate: Layer) -> None:
        self.gate = Sequential(
            Named("avgpool", AdaptiveAvgPool2d(1)),
            Named("fc1", Conv2d(squeezed, 1)),
            Named("activation", activation),
            Named("fc2", Conv2d(channels, 1)),
            Named("scale_activation", gate),
        )

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add the gate, then the product."""
        return builder.add(Multiply(), value, self.gate.lower(builder, value), name="multiply")


def divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, but never less than nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded

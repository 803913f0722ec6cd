"""When and how a 3x3 convolution runs by Winograd's algorithm: fewer multiplications than the definition has.

A tile of 2x2 outputs needs 16 products where the definition has 36, and rounds as little; a tile of 4x4 needs 36 for
144, and loses about two bits.
"""

from dataclasses import dataclass

from foveate.engines.native import _native
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.products import copies_border, data_dims, weight_dims
from foveate.graph import Node
from foveate.layers.convolution import Convolution

FORWARD_TILE = 2
"""Outputs of a tile along each axis on the way forward: with 4, every layer behind amplifies the rounding, and the
gradients of ResNet-20 are twice as far from float64."""

BACKWARD_TILE = 4
"""The same for the gradients, which nothing amplifies."""

FEWEST_TILES = 128
"""Of 4x4 outputs; below this the transform of the filters is not worth its while."""

BLOCK = 16
"""Channels that lie together in memory."""

LARGEST_SUMS = 4 * 2**20
"""Bytes of one thread's sums for the gradient of the weights; above this they would not stay in its cache."""


def winograd_fits(node: Node, batch_size: int) -> bool:
    """Whether the node's convolution, forward and back to its data, can and should run by Winograd's algorithm."""
    layer = node.layer
    if not isinstance(layer, Convolution) or layer.kernel_size != (3, 3) or copies_border(node):
        return False
    if not _native.winograd_available():
        return False
    plain = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    blocked = node.input_shapes[0][0] % BLOCK == 0 and node.output_shape[0] % BLOCK == 0
    padded = all(max(window.padding) <= 2 for window in layer.windows(node.input_shapes))
    down, across = (-(-size // BACKWARD_TILE) for size in node.output_shape[1:])
    return plain and blocked and padded and batch_size * down * across >= FEWEST_TILES


def gradient_fits(node: Node, batch_size: int) -> bool:
    """Whether the weights' gradient should run by Winograd's algorithm too: its sums must stay in the cache."""
    sums = (BACKWARD_TILE + 2) ** 2 * node.input_shapes[0][0] * node.output_shape[0] * 4
    return winograd_fits(node, batch_size) and not getattr(node.layer, "bias", False) and sums <= LARGEST_SUMS


def winograd_forward(
    lowering: Lowering, node: Node, source: Array, weights: Array, bias: Array | None, *, relu: bool
) -> Array:
    """The convolution's output."""
    source_dims, target_dims = data_dims(node, lowering.batch_size)
    begins = [window.padding[0] for window in node.layer.windows(node.input_shapes) or ()]
    sizes = _Sizes(source_dims, target_dims, begins, FORWARD_TILE)
    return _convolve(lowering, sizes, source, weights, bias, relu=relu, flipped=False)


def winograd_backward_data(lowering: Lowering, node: Node, gradient: Array) -> Array:
    """The gradient of the input: a convolution of the output's gradient with the filters turned half a turn."""
    source_dims, target_dims = data_dims(node, lowering.batch_size)
    begins = [2 - window.padding[0] for window in node.layer.windows(node.input_shapes) or ()]
    weights = lowering.parameter_in(node, "weight", weight_layout(node, flipped=True))
    sizes = _Sizes(target_dims, source_dims, begins, BACKWARD_TILE)
    return _convolve(lowering, sizes, gradient, weights, None, relu=False, flipped=True)


def winograd_backward_weights(lowering: Lowering, node: Node, gradient: Array) -> None:
    """The gradient of the weights, tile by tile in the transformed domain."""
    plan, threads = lowering.plan, _native.threads()
    source_dims, target_dims = data_dims(node, lowering.batch_size)
    begins = [window.padding[0] for window in node.layer.windows(node.input_shapes) or ()]
    shape = _native.WinogradShape(source_dims, target_dims, begins, BACKWARD_TILE)
    written = lowering.parameter_gradient(node, "weight", weight_layout(node, flipped=False))
    source = lowering.values[node.inputs[0]]
    operands: dict[str, Array | None] = {
        "src": plan.in_layout(source, _native.Layout.channel_blocked(source_dims, BLOCK)),
        "diff_dst": plan.in_layout(gradient, _native.Layout.channel_blocked(target_dims, BLOCK)),
        "sums": plan.new(_native.Layout.plain([threads * shape.weight_numbers])),
        "scratch": plan.new(_native.Layout.plain([threads * shape.scratch_numbers])),
        "diff_weights": written,
    }
    plan.run(_native.winograd_weight_gradient(shape, threads), operands)
    lowering.finish_gradient(node, "weight", written)


def weight_layout(node: Node, *, flipped: bool) -> _native.Layout:
    """The layout in which the filters' transform reads the weights."""
    return _native.winograd_weight_layout(weight_dims(node), flipped)


@dataclass(frozen=True)
class _Sizes:
    """What a convolution reads and writes, its padding before each axis, and the outputs of a tile."""

    source: list[int]
    target: list[int]
    begins: list[int]
    tile: int


def _convolve(
    lowering: Lowering, sizes: _Sizes, source: Array, weights: Array, bias: Array | None, *, relu: bool, flipped: bool
) -> Array:
    plan, threads = lowering.plan, _native.threads()
    shape = _native.WinogradShape(sizes.source, sizes.target, sizes.begins, sizes.tile)
    transformed = plan.new(_native.Layout.plain([shape.weight_numbers]))
    plan.run(_native.winograd_transform(shape, flipped), {"weights": weights, "transformed": transformed})
    target = plan.new(_native.Layout.channel_blocked(sizes.target, BLOCK))
    operands: dict[str, Array | None] = {
        "src": plan.in_layout(source, _native.Layout.channel_blocked(sizes.source, BLOCK)),
        "transformed": transformed,
        "scratch": plan.new(_native.Layout.plain([threads * shape.scratch_numbers])),
        "dst": target,
        "bias": bias,
    }
    plan.run(_native.winograd_convolution(shape, relu, threads), operands)
    return target

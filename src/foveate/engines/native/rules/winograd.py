"""When and how a 3x3 convolution runs with Winograd's algorithm: with fewer multiplications than the definition.

A tile of 2x2 outputs needs 16 products instead of 36, and rounds as little; a tile of 4x4 needs 36 instead of 144,
and loses about two bits.
"""

from dataclasses import dataclass

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.products import copies_border, data_dims, weight_dims
from foveate.engines.native.rules.ways import Multiplied, ToData, ToOutput, ToWeights
from foveate.engines.native.rules.weights import bias_of, weight_derivation
from foveate.engines.request import Request
from foveate.graph import Node
from foveate.layers import ReLU
from foveate.layers.convolution import Convolution

FORWARD_TILE = 2
"""Outputs of a tile along each axis on the way forward: with 4, every later layer amplifies the rounding, and the
gradients of ResNet-20 are twice as far from float64."""

BACKWARD_TILE = 4
"""The same for the gradients, which nothing amplifies."""

FEWEST_TILES = 128
"""The fewest tiles of 4x4 outputs for which the transform of the filters is worthwhile."""

BLOCK = 16
"""Channels that are contiguous in memory."""

LARGEST_SUMS = 4 * 2**20
"""The most bytes of one thread's sums for the gradient of the weights that stay in its cache."""


def winograd_fits(node: Node, batch_size: int) -> bool:
    """Whether the node's convolution, forward and back to its data, can and should run with Winograd's algorithm."""
    layer = node.layer
    if not isinstance(layer, Convolution) or layer.kernel_size != (3, 3) or copies_border(node):
        return False
    if not _native.winograd_available():
        return False
    plain = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    blocked = min(node.input_shapes[0][0], node.output_shape[0]) >= BLOCK
    padded = all(max(window.padding) <= 2 for window in node.windows or ())
    down, across = (-(-size // BACKWARD_TILE) for size in node.output_shape[1:])
    return plain and blocked and padded and batch_size * down * across >= FEWEST_TILES


class WinogradForward(ToOutput):
    """The convolution with a bias and ReLU, no other activation and no addition."""

    def accepts(self, group: Group, request: Request) -> bool:
        """Whether the kernel can do everything that the group needs."""
        plain = group.addition is None and (group.activation is None or type(group.activation.layer) is ReLU)
        return plain and winograd_fits(group.head, request.batch_size)

    def forward(self, ledger: Ledger, group: Group) -> Multiplied:
        """Tiles of 2x2; the filters are transformed at each run if they learn, else once for each state."""
        node = group.head
        source_dims, target_dims = data_dims(node, ledger.batch_size)
        sizes = _Sizes(source_dims, target_dims, _begins(node), FORWARD_TILE)
        layout = _weight_layout(node, flipped=False)
        if ledger.can_derive:
            transform = _native.winograd_transform(sizes.shape, False)
            derivation = weight_derivation(ledger, group, layout)
            names = ("weights", "transformed")
            filters = ledger.derived(derivation.then(transform, names, sizes.filter_layout))
        else:
            filters = _transformed(ledger, sizes, ledger.parameter_in(node, "weight", layout), flipped=False)
        source, relu = ledger.values[node.inputs[0]], group.activation is not None
        bias = _in_whole_blocks(ledger, bias_of(ledger, group))
        output = _convolve(ledger, sizes, source, filters, {"bias": bias}, relu=relu)
        return Multiplied(output, source)


class WinogradToData(ToData):
    """The gradient of the input: a convolution of the output's gradient with the filters rotated by 180 degrees."""

    def accepts(self, group: Group, request: Request) -> bool:
        """Whether to use it: always possible, since nothing is fused into the way back, but not if gradients are kept.

        Rounding or NaN of one output spreads over a whole tile: measured receptive fields would be larger.
        """
        return winograd_fits(group.head, request.batch_size) and not request.differentiable

    def backward(self, ledger: Ledger, node: Node, gradient: Array) -> Array:
        """Tiles of 4x4."""
        source_dims, target_dims = data_dims(node, ledger.batch_size)
        sizes = _Sizes(target_dims, source_dims, [2 - begin for begin in _begins(node)], BACKWARD_TILE)
        weights = ledger.parameter_in(node, "weight", _weight_layout(node, flipped=True))
        filters = _transformed(ledger, sizes, weights, flipped=True)
        return _convolve(ledger, sizes, gradient, filters, {}, relu=False)


class WinogradToWeights(ToWeights):
    """The gradient of the weights, tile by tile in the transformed domain."""

    def accepts(self, group: Group, request: Request) -> bool:
        """Whether to use it: only without bias, if the sums stay in the cache, and if no gradients are kept."""
        node = group.head
        channels, filters = (_whole(shape[0]) for shape in (node.input_shapes[0], node.output_shape))
        sums = (BACKWARD_TILE + 2) ** 2 * channels * filters * 4
        biased = getattr(node.layer, "bias", False)
        fits = winograd_fits(node, request.batch_size) and not request.differentiable
        return fits and not biased and sums <= LARGEST_SUMS

    def backward(self, ledger: Ledger, node: Node, source: Array, gradient: Array) -> None:
        """Tiles of 4x4; each thread sums its own share."""
        plan, threads = ledger.plan, ledger.threads
        source_dims, target_dims = data_dims(node, ledger.batch_size)
        sizes = _Sizes(source_dims, target_dims, _begins(node), BACKWARD_TILE)
        shape = sizes.shape
        written = ledger.parameter_gradient(node, "weight", _weight_layout(node, flipped=False))
        operands: dict[str, Array | None] = {
            "src": plan.in_layout(source, _native.Layout.channel_blocked(source_dims, BLOCK)),
            "diff_dst": plan.in_layout(gradient, _native.Layout.channel_blocked(target_dims, BLOCK)),
            "sums": plan.new(_native.Layout.plain([threads * shape.weight_numbers])),
            "scratch": plan.new(_native.Layout.plain([threads * shape.scratch_numbers])),
            "diff_weights": written,
        }
        plan.run(_native.winograd_weight_gradient(shape, threads), operands)
        ledger.finish_gradient(node, "weight", written)


@dataclass(frozen=True)
class _Sizes:
    """What a convolution reads and writes, its padding before each axis, and the outputs of a tile."""

    source: list[int]
    target: list[int]
    begins: list[int]
    tile: int

    @property
    def shape(self) -> _native.WinogradShape:
        """The same for C++, which computes whole blocks: channels beyond those that there are hold zeros."""
        return _native.WinogradShape(self.source, self.target, self.begins, self.tile)

    @property
    def filter_layout(self) -> _native.Layout:
        """The layout of the transformed filters."""
        return _native.Layout.plain([self.shape.weight_numbers])


def _whole(channels: int) -> int:
    """As many channels as fill the last block."""
    return -(-channels // BLOCK) * BLOCK


def _in_whole_blocks(ledger: Ledger, bias: Array | None) -> Array | None:
    """The bias with zeros for the channels that fill the last block."""
    if bias is None or bias.layout.dims[0] % BLOCK == 0:
        return bias
    layout = _native.Layout.plain([_whole(bias.layout.dims[0])])
    longer = ledger.plan.new(layout)
    ledger.plan.run(_native.pad(bias.layout, layout, [0]), {"src": bias, "dst": longer})
    return longer


def _begins(node: Node) -> list[int]:
    return [window.padding[0] for window in node.windows or ()]


def _weight_layout(node: Node, *, flipped: bool) -> _native.Layout:
    """The layout in which the filters' transform reads the weights."""
    return _native.winograd_weight_layout(weight_dims(node), flipped)


def _transformed(ledger: Ledger, sizes: _Sizes, weights: Array, *, flipped: bool) -> Array:
    """The filters, transformed at each run."""
    filters = ledger.plan.new(sizes.filter_layout)
    operation = _native.winograd_transform(sizes.shape, flipped)
    ledger.plan.run(operation, {"weights": weights, "transformed": filters})
    return filters


def _convolve(
    ledger: Ledger, sizes: _Sizes, source: Array, filters: Array, further: dict[str, Array | None], *, relu: bool
) -> Array:
    plan, threads, shape = ledger.plan, ledger.threads, sizes.shape
    target = plan.new(_native.Layout.channel_blocked(sizes.target, BLOCK))
    operands: dict[str, Array | None] = {
        "src": plan.in_layout(source, _native.Layout.channel_blocked(sizes.source, BLOCK)),
        "transformed": filters,
        "scratch": plan.new(_native.Layout.plain([threads * shape.scratch_numbers])),
        "dst": target,
        **further,
    }
    plan.run(_native.winograd_convolution(shape, relu, threads), operands)
    return target

"""The gradient of the weights of convolutions in groups of few channels, depthwise ones among them, by our own kernel.

oneDNN multiplies general matrices for most of these, one tiny product after another.
"""

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.products import (
    backward_weights_primitive,
    canonical_weight_layout,
    copies_border,
    window_of,
)
from foveate.engines.native.rules.base import blocks_of_channels
from foveate.engines.native.rules.ways import ToWeights
from foveate.engines.request import Request
from foveate.graph import Node
from foveate.layers.convolution import Convolution

MEMBERS = (1, 2, 4, 8)
"""Channels of a group that share a vector with other groups."""

BLOCK = 16
"""Channels that are contiguous in memory, if the input has no blocks of its own."""


class GroupedToWeights(ToWeights):
    """As many outputs as inputs in each group, over two axes."""

    def accepts(self, group: Group, request: Request) -> bool:
        """Whether vectors would be full, and oneDNN has no kernel of its own."""
        node = group.head
        layer, channels = node.layer, node.input_shapes[0][0]
        if not isinstance(layer, Convolution) or layer.spatial_axes != 2 or layer.groups == 1 or copies_border(node):
            return False
        members = channels // layer.groups
        fits = members in MEMBERS and members <= _native.vector_lanes() <= BLOCK
        if not fits or node.output_shape[0] != channels or channels % BLOCK:
            return False
        other = backward_weights_primitive(node, request.batch_size).implementation
        return "gemm" in other or other.startswith("ref")

    def backward(self, ledger: Ledger, node: Node, source: Array, gradient: Array) -> None:
        """One step for weights and bias, in the input's blocks of channels."""
        plan, layer = ledger.plan, node.layer
        assert isinstance(layer, Convolution)
        block = blocks_of_channels(source.layout) or BLOCK
        source = plan.in_layout(source, _native.Layout.channel_blocked(source.layout.dims, block))
        gradient = plan.in_layout(gradient, _native.Layout.channel_blocked(gradient.layout.dims, block))
        members = node.input_shapes[0][0] // layer.groups
        weights = ledger.parameter_gradient(node, "weight", canonical_weight_layout(node))
        bias = None
        if layer.bias:
            bias = ledger.parameter_gradient(node, "bias", ledger.parameter(node, "bias").layout)
        operation = _native.filter_gradient(source.layout, gradient.layout, window_of(node), members)
        operands = {"src": source, "diff_dst": gradient, "diff_weights": weights, "diff_bias": bias}
        plan.run(operation, operands)
        ledger.finish_gradient(node, "weight", weights)
        if bias is not None:
            ledger.finish_gradient(node, "bias", bias)

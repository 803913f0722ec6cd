"""Depthwise convolutions in inference by a kernel of our own, which clips what it reads and what it writes.

oneDNN's rectifier with an upper bound makes a number of NaN; a pass of its own over the wide arrays between the
convolutions of an inverted residual would cost a tenth of a MobileNet.
"""

from math import inf

from foveate.engines.native import _native
from foveate.engines.native.elementwise import Bounds, bounds_of
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.products import Forward, copies_border, forward_primitive, weight_dims, window_of
from foveate.engines.native.rules.base import activated, blocks_of_channels, channels_last
from foveate.engines.native.rules.ways import Multiplied, ToOutput
from foveate.engines.native.rules.weights import bias_of, weights_of
from foveate.engines.request import Request
from foveate.graph import Node
from foveate.layers.convolution import Convolution

FEWEST_CHANNELS = 16
"""Below this a vector would not be full, whatever the instructions."""

_EVERYTHING: Bounds = (-inf, inf)


def depthwise_fits(node: Node) -> bool:
    """Whether the kernel can compute the node's convolution."""
    layer = node.layer
    if not isinstance(layer, Convolution) or layer.spatial_axes != 2 or copies_border(node):
        return False
    channels = node.input_shapes[0][0]
    depthwise = layer.groups == channels == node.output_shape[0]
    return depthwise and layer.dilation == (1, 1) and channels >= FEWEST_CHANNELS


class DepthwiseForward(ToOutput):
    """A depthwise convolution, with a rectifier before it or one with two bounds behind it."""

    def accepts(self, group: Group, request: Request) -> bool:
        """Whether oneDNN would need another pass."""
        if request.with_gradients or group.addition is not None or not depthwise_fits(group.head):
            return False
        after = _bounds(group.activation)
        return group.clipping is not None or (after is not None and after[1] < inf)

    def forward(self, ledger: Ledger, group: Group) -> Multiplied:
        """One step, from the layout in which the input lies to the one that oneDNN would choose for the output."""
        node, plan = group.head, ledger.plan
        source, target = ledger.values[group.source], self._target(ledger, node)
        if not _lies_well(source.layout):
            source = plan.in_layout(source, channels_last(source.layout.dims))
        assert isinstance(node.layer, Convolution)
        channels, kernel = node.output_shape[0], node.layer.kernel_size
        dims = weight_dims(node)
        weights = _native.Layout.strided(dims, [1, channels, channels, kernel[1] * channels, channels])
        before = _bounds(group.clipping)
        after = _bounds(group.activation)
        operation = _native.depthwise(
            source.layout, target, window_of(node), before or _EVERYTHING, after or _EVERYTHING
        )
        output = plan.new(target)
        operands: dict[str, Array | None] = {
            "src": source,
            "weights": weights_of(ledger, group, weights),
            "bias": bias_of(ledger, group),
            "dst": output,
        }
        plan.run(operation, operands)
        if group.activation is not None and after is None:
            output = activated(ledger, group.activation, output, in_place=True)
        return Multiplied(output, source)

    def _target(self, ledger: Ledger, node: Node) -> _native.Layout:
        chosen = forward_primitive(node, ledger.batch_size, Forward(training=False)).layout("dst")
        return chosen if _lies_well(chosen) else channels_last(chosen.dims)


def _bounds(rectifier: Node | None) -> Bounds | None:
    return None if rectifier is None else bounds_of(rectifier.layer)


def _lies_well(layout: _native.Layout) -> bool:
    """Whether enough channels lie side by side for vectors without a rest."""
    if layout == channels_last(layout.dims):
        return True
    block, lanes = blocks_of_channels(layout), _native.vector_lanes()
    return block is not None and block % lanes == 0 and layout.dims[1] % block == 0

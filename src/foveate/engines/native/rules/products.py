"""Convolutions and linear layers, with what is fused into them.

Each direction has a list of ways; the first one that accepts the group and the request is taken.
"""

from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.products import is_product
from foveate.engines.native.rules import depthwise, direct, grouped, winograd
from foveate.engines.native.rules.base import Result, Rule, activation_backward
from foveate.engines.native.rules.ways import Multiplied, ToData, ToOutput, ToWeights
from foveate.engines.request import Request
from foveate.graph import Node

FORWARD: tuple[ToOutput, ...] = (winograd.WinogradForward(), depthwise.DepthwiseForward(), direct.DirectForward())
TO_WEIGHTS: tuple[ToWeights, ...] = (winograd.WinogradToWeights(), grouped.GroupedToWeights(), direct.DirectToWeights())
TO_DATA: tuple[ToData, ...] = (winograd.WinogradToData(), direct.DirectToData())


class ProductRule(Rule[Multiplied]):
    """A product of inputs and weights."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether oneDNN has such a product."""
        return is_product(node)

    def forward(self, ledger: Ledger, group: Group) -> Result[Multiplied]:
        """One product; the normalisation folded into its weights, addition and activation applied to its result."""
        way = next(way for way in FORWARD if way.accepts(group, ledger.request))
        saved = way.forward(ledger, group)
        return Result(saved.output, saved)

    def backward(self, ledger: Ledger, group: Group, saved: Multiplied, gradient: Array) -> None:
        """Go back through the activation, to the weights, and to the input if its gradient is wanted."""
        node, request = group.head, ledger.request
        if group.activation is not None:
            gradient = activation_backward(ledger, group.activation, saved.output, gradient)
        if any(ledger.learns(node, name) for name in node.layer.parameters(node.input_shapes)):
            to_weights = next(way for way in TO_WEIGHTS if way.accepts(group, request))
            to_weights.backward(ledger, node, saved.source, gradient)
        if ledger.wants_gradient(node.inputs[0]):
            to_data = next(way for way in TO_DATA if way.accepts(group, request))
            ledger.add_gradient(node.inputs[0], to_data.backward(ledger, node, gradient))

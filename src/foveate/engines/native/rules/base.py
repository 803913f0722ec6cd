"""What a rule is, and the steps that several rules need."""

from abc import ABC, abstractmethod

from foveate.engines.native import _native
from foveate.engines.native.elementwise import elementwise
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.graph import Node


class Rule(ABC):
    """How a group whose head is of a certain layer type becomes steps."""

    @abstractmethod
    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Add the forward steps; return the group's output."""

    @abstractmethod
    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Add the steps back from the output's gradient, to inputs and parameters."""


def activation_backward(lowering: Lowering, activation: Node, known: Array, gradient: Array) -> Array:
    """The gradient before an activation, from its output, or from its input where the function needs that."""
    function = elementwise(activation.layer)
    gradient = lowering.plan.in_layout(gradient, known.layout)
    result = lowering.plan.new(known.layout)
    operation = _native.elementwise_backward(
        function.kind, gradient.layout, known.layout, function.alpha, function.beta
    )
    name = "dst" if function.from_output else "src"
    lowering.plan.run(operation, {"diff_dst": gradient, name: known, "diff_src": result})
    return result


def blocks_of_channels(layout: _native.Layout) -> int | None:
    """How many channels lie together in memory, if the layout is of oneDNN's blocked kind for data; else None."""
    blocks = list(layout.inner_blocks)
    is_data = len(layout.dims) >= 3 and blocks in ([8], [16]) and list(layout.inner_axes) == [1]
    if not is_data or layout != _native.Layout.channel_blocked(layout.dims, blocks[0]):
        return None
    return blocks[0]

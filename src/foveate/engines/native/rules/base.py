"""What a rule is, and the activation at the end of a group."""

from abc import ABC, abstractmethod

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.products import elementwise
from foveate.graph import Node


class Rule(ABC):
    """How a group whose head is of a certain layer type becomes steps."""

    @abstractmethod
    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Add the forward steps; return the group's output."""

    @abstractmethod
    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Add the steps back from the output's gradient, to inputs and parameters."""


def activation_backward(lowering: Lowering, activation: Node, output: Array, gradient: Array) -> Array:
    """The gradient before an activation, from its output."""
    kind, alpha = elementwise(activation.layer)
    gradient = lowering.plan.in_layout(gradient, output.layout)
    result = lowering.plan.new(output.layout)
    operation = _native.elementwise_backward(kind, gradient.layout, output.layout, alpha, 0.0)
    lowering.plan.run(operation, {"diff_dst": gradient, "dst": output, "diff_src": result})
    return result

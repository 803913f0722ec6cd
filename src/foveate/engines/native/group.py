"""Nodes that run as one step."""

from dataclasses import dataclass

from foveate.graph import Node


@dataclass(frozen=True)
class Group:
    """Nodes that run together: what clips the input, `head`, then the others that are present, in this order."""

    head: Node
    normalization: Node | None = None
    addition: Node | None = None
    activation: Node | None = None
    clipping: Node | None = None

    @property
    def source(self) -> str:
        """The name of the first value that the group reads."""
        return (self.clipping or self.head).inputs[0]

    @property
    def output(self) -> str:
        """The name of the last node: the group's result."""
        return self.members[-1].name

    @property
    def members(self) -> list[Node]:
        """The nodes in order."""
        nodes = (self.clipping, self.head, self.normalization, self.addition, self.activation)
        return [node for node in nodes if node is not None]

    @property
    def added(self) -> str:
        """The name of what the addition adds to the group's own result."""
        assert self.addition is not None
        before = (self.normalization or self.head).name
        first, second = self.addition.inputs
        return second if first == before else first

"""Connected nodes with every look-up that analyses need: a `Graph` without its conveniences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from foveate.errors import GraphError
from foveate.graph.node import Node
from foveate.layers import Parameter, Shape, Statistic


@dataclass(frozen=True)
class Nodes:
    """Nodes ordered so that each comes after its inputs, with every shape resolved. Immutable.

    `inputs` maps input names to shapes; `outputs` are node names.
    """

    inputs: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    name: str = field(default="network", compare=False)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Output shape of every input and node."""
        return {**self.inputs, **{node.name: node.output_shape for node in self.nodes}}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each input and node, in order."""
        readers: dict[str, list[Node]] = {name: [] for name in self.shapes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    @cached_property
    def owners(self) -> tuple[Node, ...]:
        """The first node of each parameter key: where shared parameters are counted."""
        first: dict[str, Node] = {}
        for node in self.nodes:
            first.setdefault(node.parameters, node)
        return tuple(first.values())

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """Every trainable array by its full name ("conv1.weight"), shared ones once."""
        return {
            f"{node.parameters}.{name}": parameter
            for node in self.owners
            for name, parameter in node.layer.parameters(node.input_shapes).items()
        }

    @cached_property
    def statistics(self) -> Mapping[str, Statistic]:
        """Every measured array by its full name ("bn1.running_mean")."""
        return {
            f"{node.parameters}.{name}": statistic
            for node in self.owners
            for name, statistic in node.layer.statistics(node.input_shapes).items()
        }

    @property
    def output_shape(self) -> Shape:
        """Shape of the only output; a GraphError if there are several."""
        return self.shapes[self.only_output]

    @property
    def only_output(self) -> str:
        """Name of the only output; a GraphError if there are several."""
        if len(self.outputs) != 1:
            raise GraphError(
                f"the network has {len(self.outputs)} outputs ({', '.join(self.outputs)}); name one of them"
            )
        return self.outputs[0]

    @property
    def only_input(self) -> str:
        """Name of the only input; a GraphError if there are several."""
        if len(self.inputs) != 1:
            raise GraphError(f"the network has {len(self.inputs)} inputs ({', '.join(self.inputs)}); name one of them")
        return next(iter(self.inputs))

    @property
    def input_shape(self) -> Shape:
        """Shape of the only input; a GraphError if there are several."""
        return self.inputs[self.only_input]

    def node(self, name: str) -> Node:
        """The node called `name`, or a GraphError with the nearest names."""
        if not isinstance(name, str) or name not in self.by_name:
            raise GraphError(f'there is no layer "{name}".{nearest(str(name), self.by_name)}')
        return self.by_name[name]


def nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """A sentence with the known names most like `name`, preceded by a space; empty if there are none."""
    from difflib import get_close_matches

    close = get_close_matches(str(name), list(known), n=3, cutoff=0.4) or list(known)[:5]
    return f" Nearest: {', '.join(close)}" if close else ""

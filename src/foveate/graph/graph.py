"""A network as data: connected nodes, and what they cost, see and hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from foveate.calls import called
from foveate.errors import GraphError
from foveate.graph.analysis.receptive_field import ReceptiveField, Region, receptive_fields, region
from foveate.graph.nodes import Nodes, nearest
from foveate.graph.shown import network_words

if TYPE_CHECKING:
    from foveate.graph.analysis.summary import Summary


@dataclass(frozen=True)
class Graph(Nodes):
    """A network with every shape resolved; made by `Sequential(...).build(...)` or a GraphBuilder.

    `inputs` maps input names to shapes; `outputs` are node names.
    """

    def summary(self) -> "Summary":
        """A table of the layers with shapes, parameters and costs; print it, or see `Summary`."""
        from foveate.graph.analysis.summary import summarize

        return summarize(self, {name: self.receptive_fields(name) for name in self.inputs})

    @called()
    def receptive_field(self, node: str, of: str | None = None) -> ReceptiveField:
        """What the outputs of `node` see of the input `of` (default: the only one): size, jump, first centre."""
        self.node(node)
        return self.receptive_fields(of)[node]

    def receptive_fields(self, of: str | None = None) -> Mapping[str, ReceptiveField]:
        """What every node sees of the input `of` (default: the only one), by name."""
        name = self.only_input if of is None else of
        if name not in self.inputs:
            raise GraphError(f'there is no input "{name}".{nearest(name, self.inputs)}')
        if name not in self._fields:
            self._fields[name] = receptive_fields(self, name)
        return self._fields[name]

    @called()
    def region(self, node: str, position: Sequence[int], of: str | None = None) -> Region:
        """The box of the input that the output of `node` at `position`, one number per spatial axis, depends on."""
        return region(self, self.receptive_field(node, of), position)

    @cached_property
    def _fields(self) -> dict[str, Mapping[str, ReceptiveField]]:
        return {}

    def __repr__(self) -> str:
        return f"Graph({network_words(self)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the table of `summary`."""
        return self.summary().to_html()

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `Graph.from_json` builds an equal graph."""
        from foveate.graph.serialization import graph_to_json

        return graph_to_json(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Graph":
        """The graph that `to_json` described, with every rule checked again."""
        from foveate.graph.serialization import graph_from_json

        return graph_from_json(data, Graph)

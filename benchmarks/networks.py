"""The networks that are compared: those of the zoo, without chance, and single layers between convolutions."""

from benchmarks.sandwiches import PREFIX, sandwich_graph
from benchmarks.workers import Kind
from foveate import zoo
from foveate.graph import Graph, Node
from foveate.graph.rewriting import as_it_is, rewrite
from foveate.layers import Layer
from foveate.layers.structure import Dropping


def network(name: str, kind: Kind) -> Graph:
    """The zoo's network; in training without dropout, which would drop others in every framework."""
    if name.startswith(PREFIX):
        return sandwich_graph(name)
    graph = zoo.make(name)
    return rewrite(graph, _without_dropout) if kind == "train" else graph


def _without_dropout(node: Node) -> dict[str, Layer]:
    return {} if isinstance(node.layer, Dropping) else as_it_is(node)

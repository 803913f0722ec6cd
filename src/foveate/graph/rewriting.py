"""One graph made from another: mapped node by node with the builder's checks, or cut down to what its outputs need."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from foveate.errors import GraphError
from foveate.graph.analysis.borders import Strict
from foveate.graph.builder import GraphBuilder, Value
from foveate.graph.compose import Composite
from foveate.graph.graph import Graph
from foveate.graph.node import Node
from foveate.layers import Layer

Rewriting: TypeAlias = Callable[[Node], Mapping[str, Layer]]
"""What replaces a node: layers by name, in sequence; if there are none, its first input passes through."""


def as_it_is(node: Node) -> dict[str, Layer]:
    """The rewriting that changes nothing."""
    return {node.name: node.layer}


class Rebuilt(Composite):
    """A graph with one input and one output as a block again, with every layer under its own name unless rewritten."""

    def __init__(self, graph: Graph, change: Rewriting = as_it_is) -> None:
        self.graph, self.change = graph, change

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add each node again, after its inputs."""
        return _joined_again(self.graph, self.change, builder, {self.graph.only_input: value})[self.graph.only_output]


def rewrite(graph: Graph, change: Rewriting = as_it_is, *, strict: Strict = False, name: str | None = None) -> Graph:
    """The graph with each node replaced by what `change` returns; the builder checks all of it again.

    A layer that keeps the node's name also keeps its parameter key.

    Args:
        graph: the graph, which is left unchanged.
        change: returns the layers that replace a node, by name; `{node.name: node.layer}` keeps it.
        strict: refuse dropped borders, or with "all" skipped positions too.
        name: name of the new graph (default: the old one's).

    Raises:
        ShapeError: a layer does not fit what now comes before it.

    >>> from foveate import Conv2d, ReLU, Sequential
    >>> graph = Sequential(Conv2d(8, 3), ReLU()).build((1, 9, 9))
    >>> [node.name for node in rewrite(graph, lambda node: {} if node.layer == ReLU() else as_it_is(node)).nodes]
    ['conv1']
    """
    builder = GraphBuilder(strict=strict, name=graph.name if name is None else name)
    inputs = {each: builder.input(shape, each) for each, shape in graph.inputs.items()}
    values = _joined_again(graph, change, builder, inputs)
    return builder.build(*(values[output] for output in graph.outputs), quiet=True)


def cut(graph: Graph, outputs: Sequence[str]) -> Graph:
    """The graph cut down to the nodes and inputs that `outputs`, names of nodes, need; unchanged if it needs them all.

    Raises:
        GraphError: `outputs` is empty, or no node has one of the names.

    >>> from foveate import Conv2d, ReLU, Sequential
    >>> [node.name for node in cut(Sequential(Conv2d(8, 3), ReLU()).build((1, 9, 9)), ["conv1"]).nodes]
    ['conv1']
    """
    if not outputs:
        raise GraphError("cut needs at least one output; give the names of layers")
    needed = {graph.node(name).name for name in outputs}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    inputs = {name: shape for name, shape in graph.inputs.items() if name in needed}
    nodes = tuple(node for node in graph.nodes if node.name in needed)
    part = Graph(inputs, nodes, tuple(outputs), graph.name)
    return graph if part == graph else part


def _joined_again(
    graph: Graph, change: Rewriting, builder: GraphBuilder, values: Mapping[str, Value]
) -> Mapping[str, Value]:
    """Join what replaces each node to `builder`; return the value that now stands for each node's output."""
    made = dict(values)
    for node in graph.nodes:
        inputs = [made[name] for name in node.inputs]
        for name, layer in change(node).items():
            inputs = [builder.add(layer, *inputs, name=name, parameters=node.parameters if name == node.name else None)]
        made[node.name] = inputs[0]
    return made

"""A new head for a network: its last convolution or linear layer, with other outputs and newly initialised."""

from dataclasses import replace

from foveate.errors import GraphError
from foveate.graph.graph import Graph
from foveate.graph.node import Node
from foveate.graph.rewriting import rewrite
from foveate.layers import Layer, Linear
from foveate.layers.convolution import Convolution


def with_new_head(graph: Graph, outputs: int) -> tuple[Graph, Node]:
    """The graph with this many outputs, and the node that computes them, whose parameters are new.

    Args:
        graph: a network with one output, computed by a Linear or a convolution; layers without parameters may follow.
        outputs: how many outputs the new head has.

    Raises:
        GraphError: there is no such layer, or it shares its parameters with another.

    >>> from foveate import Conv2d, Flatten, Sequential
    >>> old = Sequential(Conv2d(4, 3), Flatten(), Linear(10)).build((1, 8, 8))
    >>> with_new_head(old, 3)[0].output_shape
    (3,)
    """
    head = _head(graph)
    layer: Layer
    match head.layer:
        case Linear():
            layer = replace(head.layer, out_features=outputs)
        case Convolution():
            layer = replace(head.layer, out_channels=outputs)
    changed = rewrite(graph, lambda node: {node.name: layer if node is head else node.layer})
    return changed, changed.node(head.name)


def _head(graph: Graph) -> Node:
    """The convolution or linear layer that the output comes from, with only layers without parameters in between."""
    if len(graph.outputs) != 1:
        raise GraphError(
            f"the network has {len(graph.outputs)} outputs ({', '.join(graph.outputs)}), but a new head needs "
            "exactly one; fv.graph.cut keeps the one that you name"
        )
    node = graph.by_name.get(graph.only_output)
    while node is not None and not isinstance(node.layer, Linear | Convolution):
        if len(node.inputs) != 1 or node.layer.parameters(node.input_shapes):
            raise GraphError(
                f"the network's output comes from {node}, but a new head can only replace a Linear or a convolution; "
                "build the network with another last layer, and load its arrays with load_torch, or read and load"
            )
        node = graph.by_name.get(node.inputs[0])
    if node is None:
        raise GraphError("the network has no Linear or convolution, so there is no head to replace")
    sharing = [each.name for each in graph.nodes if each.parameters == node.parameters and each is not node]
    if sharing:
        raise GraphError(f"{node} shares its parameters with {', '.join(sharing)}, which a new head would change too")
    return node

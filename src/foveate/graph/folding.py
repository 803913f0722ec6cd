"""A graph whose batch normalisations are absorbed by the layers before them: zero overhead at test time."""

from dataclasses import dataclass

from foveate.graph.graph import Graph
from foveate.graph.node import Node
from foveate.graph.rewriting import rewrite
from foveate.layers import Layer, Linear
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.transposed import TransposedConvolution

PRODUCTS = (Convolution, TransposedConvolution, Linear)
"""Layers that multiply by weights and add a bias, and so can scale and shift their outputs for free."""


@dataclass(frozen=True)
class Folding:
    """The folded graph, the (layer, normalisation) pairs that were folded, and the reasons why others were not."""

    graph: Graph
    pairs: tuple[tuple[Node, Node], ...]
    refused: tuple[str, ...]


def fold_normalizations(graph: Graph) -> Folding:
    """Remove every batch normalisation after a convolution or linear layer that nothing else reads; it gets a bias."""
    pairs: dict[str, Node] = {}
    refused = []
    for node in graph.nodes:
        if isinstance(node.layer, BatchNormalization):
            reason = _reason_against(graph, node)
            if reason is None:
                pairs[node.inputs[0]] = node
            else:
                refused.append(f"{node} stays: {reason}")
    folded = tuple((graph.by_name[product], normalization) for product, normalization in pairs.items())
    return Folding(_without(graph, pairs), folded, tuple(refused))


def _reason_against(graph: Graph, normalization: Node) -> str | None:
    (source,) = normalization.inputs
    product = graph.by_name.get(source)
    if product is None or not isinstance(product.layer, PRODUCTS):
        return f"{source} before it is not a convolution or linear layer"
    if isinstance(product.layer, Linear) and len(product.output_shape) > 1:
        return f"{product} makes the last axis, and the normalisation is of the first"
    others = [str(node) for node in graph.consumers[source] if node is not normalization]
    if others:
        return f"the output of {product} is read by {' and '.join(others)} too, which must see it unchanged"
    if source in graph.outputs:
        return f"the output of {product} is an output of the network, which must stay unchanged"
    sharing = [node.name for node in graph.nodes if node.parameters == product.parameters and node is not product]
    if sharing:
        return f"{product} shares its weights with {' and '.join(sharing)}"
    return None


def _without(graph: Graph, pairs: dict[str, Node]) -> Graph:
    left_out = {normalization.name for normalization in pairs.values()}

    def change(node: Node) -> dict[str, Layer]:
        if node.name in left_out:
            return {}
        return {node.name: node.layer.with_options(bias=True) if node.name in pairs else node.layer}

    return rewrite(graph, change)

"""Guided backpropagation's rectifier: one of ReLU's family whose gradient passes only where it is positive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import DEFINITIONS, Arrays, ByName, Context, Definition, Gradients, definition_of
from foveate.errors import GraphError
from foveate.graph import Graph, rewrite
from foveate.layers import Layer, Shape
from foveate.layers.base import ElementwiseLayer, Parameter


@dataclass(frozen=True)
class GuidedRectifier(ElementwiseLayer):
    """y = f(x) as its `rectifier` computes it, and backwards dx = f'(x) max(0, dy) where x > 0, else 0.

    It is not itself one of the family, so no engine fuses it or uses its own gradient; it is not in the registry, so no
    file can hold one.
    """

    label: ClassVar[str] = "guided"
    rectifies: ClassVar[bool] = True

    rectifier: Layer

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """Those of the rectifier."""
        return self.rectifier.parameters(input_shapes)


def guided_graph(graph: Graph) -> Graph:
    """The same network, with the same parameters, in which ReLU and all of its family are guided.

    Raises:
        GraphError: it has no such layer.
    """
    if not any(node.layer.rectifies for node in graph.nodes):
        raise GraphError(
            "guided backpropagation is defined only for ReLU and its family, of which the network has none; "
            "use saliency or integrated_gradients"
        )
    return rewrite(graph, lambda node: {node.name: GuidedRectifier(node.layer) if node.layer.rectifies else node.layer})


def _forward(layer: GuidedRectifier, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return definition_of(layer.rectifier).forward(layer.rectifier, inputs, parameters, context)


def _backward(
    layer: GuidedRectifier,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    backward = definition_of(layer.rectifier).backward
    guided = np.maximum(gradient, 0) * (inputs[0] > 0)
    return backward(layer.rectifier, inputs, parameters, output, guided, context)


DEFINITIONS[GuidedRectifier] = Definition(_forward, _backward)

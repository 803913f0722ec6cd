"""Guided backpropagation's rectifier: a ReLU whose gradient passes only where it is positive."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import DEFINITIONS, Arrays, ByName, Context, Definition, Gradients
from foveate.errors import GraphError
from foveate.graph import Graph, rewrite
from foveate.layers import ReLU
from foveate.layers.base import ElementwiseLayer


@dataclass(frozen=True)
class GuidedReLU(ElementwiseLayer):
    """y = max(0, x), and backwards dx = max(0, dy) where x > 0, else 0.

    No `ReLU`, so no engine fuses it or takes its own gradient; not in the registry, so no file can hold one.
    """

    label: ClassVar[str] = "guided_relu"
    rectifies: ClassVar[bool] = True


def guided_graph(graph: Graph) -> Graph:
    """The same network, with the same parameters, in which every ReLU is guided.

    Raises:
        GraphError: it has no ReLU.
    """
    if not any(type(node.layer) is ReLU for node in graph.nodes):
        raise GraphError(
            "the network has no ReLU, and guided backpropagation is defined for ReLU alone; "
            "use saliency or integrated_gradients"
        )
    return rewrite(graph, lambda node: {node.name: GuidedReLU() if type(node.layer) is ReLU else node.layer})


def _forward(layer: GuidedReLU, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    return np.maximum(inputs[0], 0)


def _backward(
    layer: GuidedReLU,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    return [np.maximum(gradient, 0) * (inputs[0] > 0)], {}


DEFINITIONS[GuidedReLU] = Definition(_forward, _backward)

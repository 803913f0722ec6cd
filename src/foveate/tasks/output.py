"""An output of a network as a task sees it: its name, its shape, and what its last layer has already applied."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.graph import Graph, Node, as_it_is, rewrite
from foveate.layers import Flatten, Layer, LogSoftmax, Shape, Sigmoid, Softmax

Activation: TypeAlias = Literal["none", "softmax", "log_softmax", "sigmoid"]
"""What the network itself has applied to its logits."""

_ACTIVATIONS: dict[type[Layer], Activation] = {
    Softmax: "softmax",
    LogSoftmax: "log_softmax",
    Sigmoid: "sigmoid",
}


@dataclass(frozen=True)
class Output:
    """An output of a network.

    `shape` is that of one sample, channels first: (K,) or (K, *spatial). `activation` says whether the values are
    logits, or which activation the network's last layer has applied.
    """

    name: str
    shape: Shape
    activation: Activation = "none"

    @staticmethod
    def of(graph: Graph, name: str | None = None) -> "Output":
        """The output `name` of `graph` (default: the only one).

        >>> from foveate import Linear, Sequential, Softmax
        >>> Output.of(Sequential(Linear(3), Softmax()).build((8,)))
        Output(name='softmax1', shape=(3,), activation='softmax')
        """
        name = graph.only_output if name is None else name
        node = Output.ending(graph, name)
        return Output(name, graph.shapes[name], "none" if node is None else _ACTIVATIONS[type(node.layer)])

    @staticmethod
    def ending(graph: Graph, name: str) -> Node | None:
        """The softmax or sigmoid behind the output `name`; a Flatten that only drops axes of size 1 may follow."""
        node = graph.by_name.get(name)
        while node is not None and isinstance(node.layer, Flatten) and node.input_shapes[0][:1] == node.output_shape:
            node = graph.by_name.get(node.inputs[0])
        return node if node is not None and type(node.layer) in _ACTIVATIONS else None

    def logits(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The network's (N, ...) values as the logits that losses take: those before a last softmax or sigmoid.

        >>> output = Output("fc", (2,), "sigmoid")
        >>> output.logits(np.array([[0.5, 0.75]])).round(4).tolist()
        [[0.0, 1.0986]]
        """
        exact: NDArray[np.float64] = np.asarray(values, np.float64)
        tiny = float(np.finfo(np.float32).tiny)
        if self.activation == "softmax":
            return np.asarray(np.log(np.maximum(exact, tiny)))
        if self.activation == "sigmoid":
            # A float32 sigmoid is exactly 1 from 17 on: half a step below 1 is the most that it can mean.
            held = np.clip(exact, tiny, 1 - float(np.finfo(np.float32).epsneg) / 2)
            return np.asarray(np.log(held) - np.log1p(-held))
        return exact


def without_probabilities(graph: Graph) -> Graph:
    """The network up to its logits: the softmax or sigmoid that computes its only output is removed, if there is one.

    >>> from foveate import Linear, Sequential, Softmax
    >>> without_probabilities(Sequential(Linear(3), Softmax()).build((8,))).outputs
    ('linear1',)
    """
    ending = Output.ending(graph, graph.only_output)
    if ending is None or ending.inputs[0] in graph.inputs:
        return graph
    return rewrite(graph, lambda node: {} if node is ending else as_it_is(node))

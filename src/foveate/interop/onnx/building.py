"""The ONNX network that is written: its operators and arrays so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from foveate.engines.base import FloatArray
from foveate.graph import Graph, Node
from foveate.interop.onnx.tensors import Array
from foveate.interop.onnx.wire import Message

FLOAT, INT64 = 1, 7
"""ONNX's numbers of types."""


@dataclass
class Writing:
    """The network that is written: its operators and arrays so far."""

    graph: Graph
    arrays: dict[str, FloatArray]
    nodes: list[Message] = field(default_factory=list)
    tensors: dict[str, Message] = field(default_factory=dict)

    def add(self, kind: str, inputs: Sequence[str], output: str, *, name: str | None = None, **attributes: Any) -> str:
        """Add an operator; unless it has another name, it is called what its only output is."""
        entries = [_attribute(key, value) for key, value in attributes.items() if value is not None]
        self.nodes.append(
            {"input": list(inputs), "output": [output], "name": name or output, "op_type": kind, "attribute": entries}
        )
        return output

    def array(self, name: str, numbers: Any) -> str:
        """Add an array, of float32 or of whole numbers, unless it is there."""
        if name not in self.tensors:
            given = np.asarray(numbers)
            made: Array = np.ascontiguousarray(given, np.int64 if given.dtype.kind in "iu" else np.float32)
            self.tensors[name] = {
                "dims": list(given.shape),
                "data_type": INT64 if made.dtype.kind == "i" else FLOAT,
                "name": name,
                "raw_data": made.reshape(-1).view(np.uint8).data,
            }
        return name

    def parameter(self, node: Node, short: str, spread: Sequence[int] | None = None, *, turned: bool = False) -> str:
        """Add an array that the node holds, under its own name."""
        name = f"{node.parameters}.{short}"
        numbers = self.arrays[name].T if turned else self.arrays[name]
        return self.array(name, numbers if spread is None else numbers.reshape(spread))


def _attribute(name: str, value: Any) -> Message:
    made: Message = {"name": name}
    if isinstance(value, list | tuple):
        made |= {"ints": [int(each) for each in value], "type": 7}
    elif isinstance(value, float):
        made |= {"f": value, "type": 1}
    elif isinstance(value, str):
        made |= {"s": value, "type": 3}
    else:
        made |= {"i": int(value), "type": 2}
    return made

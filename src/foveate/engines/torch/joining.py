"""Layers with several inputs, as expressions of PyTorch: of tensors, or of the values in code that torch.fx writes."""

import operator
from collections.abc import Callable, Sequence
from functools import reduce, singledispatch
from typing import Any

import torch

from foveate.errors import EngineError
from foveate.graph import Node
from foveate.layers import Add, Concatenate, Divide, Layer, MatMul, Maximum, Minimum, Multiply, Raise, Subtract


@singledispatch
def joined(layer: Layer, node: Node, values: Sequence[Any]) -> Any:
    """The output of a layer with several inputs.

    Raises:
        EngineError: PyTorch has no such layer.
    """
    raise EngineError(f"{node} has no counterpart in PyTorch, and only layers with one input can be given one")


@joined.register
def _(layer: Concatenate, node: Node, values: Sequence[Any]) -> Any:
    return torch.cat(list(values), layer.axis % len(node.output_shape) + 1)


_OPERATORS: dict[type[Layer], Callable[[Any, Any], Any]] = {
    Add: operator.add, Multiply: operator.mul, Subtract: operator.sub, Divide: operator.truediv, MatMul: torch.matmul,
    Maximum: torch.maximum, Minimum: torch.minimum, Raise: torch.pow
}  # fmt: skip


@joined.register(Add)
@joined.register(Multiply)
@joined.register(Subtract)
@joined.register(Divide)
@joined.register(Raise)
@joined.register(Maximum)
@joined.register(Minimum)
@joined.register(MatMul)
def _(layer: Layer, node: Node, values: Sequence[Any]) -> Any:
    rank = len(node.output_shape)

    def filled(value: Any, shape: Sequence[int]) -> Any:
        missing = rank - len(shape)
        return value[(..., *(None,) * missing)] if missing else value

    return reduce(_OPERATORS[type(layer)], map(filled, values, node.input_shapes))

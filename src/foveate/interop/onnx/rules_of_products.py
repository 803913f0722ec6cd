"""Rules for products with arrays and of two tensors: Gemm and MatMul."""

from math import prod

import numpy as np

from foveate.interop.held import Held, held
from foveate.interop.onnx.arrays import as_value, matched
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import Fixed, Op
from foveate.interop.walk import NotTakenError, columns_of, placed
from foveate.layers import Add, Flatten, Linear, MatMul, Rescale, Reshape, Transpose


@rule("Gemm")
def _(op: Op) -> Held:
    """alpha A B + beta C."""
    if op.get("transA", 0):
        raise NotTakenError("the batch is the last axis of its first input")
    weight, alpha, beta = op.fixed(1), op.get("alpha", 1.0), op.get("beta", 1.0)
    if weight.tensor.ndim != 2 or (op.rank() != 2 and not op.get("of_positions")):
        raise NotTakenError(f"its inputs have {op.rank()} and {weight.tensor.ndim} axes, not 2")
    columns = weight if op.get("transB", 0) else weight.changed(weight.tensor.T, "transposed ")
    if alpha != 1:
        columns = columns.changed(columns.tensor * np.float32(alpha), f"times {alpha:g} ")
    added = op.known(2) if op.has(2) else None
    if not isinstance(added, Fixed):
        product = multiplied(op, op.held(), columns, None)
        if added is None or beta == 0:
            return product
        other = op.value(2)
        return op.then(Add(), product.value, other if beta == 1 else op.add(Rescale(beta), other))
    bias = added
    if bias.tensor.ndim == 2 and len(bias.tensor) > 1:
        bias = Fixed(bias.tensor[0]) if bool((bias.tensor == bias.tensor[:1]).all()) else bias
    if bias.tensor.ndim == 2 and len(bias.tensor) > 1:
        raise NotTakenError(f"each sample has a bias of its own in {bias.told}")
    if beta != 1 or bias.tensor.shape != columns.tensor.shape[:1]:
        numbers = np.broadcast_to(np.float32(beta) * bias.tensor.reshape(-1), columns.tensor.shape[:1])
        bias = bias.changed(numbers, f"times {beta:g} ")
    return multiplied(op, op.held(), columns, bias)


def multiplied(op: Op, source: Held, weight: Fixed, bias: Fixed | None) -> Held:
    """A Linear layer; what its axes were moved by before flattening is done to its weight."""
    columns = columns_of(source)
    if columns is None:
        value = op.taking.done(source, op.node)
    else:
        value = op.add(Flatten(), source.value)
        weight = weight.changed(placed(weight.tensor, columns), "reordered ")
    if value.shape[-1] != weight.tensor.shape[1]:
        raise NotTakenError(f"it multiplies {value.shape[-1]} numbers with rows of {weight.tensor.shape[1]}")
    layer = Linear(len(weight.tensor), bias=bias is not None, last_axis=len(value.shape) > 1)
    return op.then(layer, value, weight=weight, bias=bias)


@rule("MatMul")
def _(op: Op) -> Held:
    left, right = op.known(0), op.known(1)
    if isinstance(right, Fixed) and isinstance(left, Held):
        return _by_array(op, left, right)
    if isinstance(left, Fixed):
        return _of_array(op, left)
    return _of_tensors(op)


def _by_array(op: Op, source: Held, array: Fixed) -> Held:
    numbers = array.tensor
    if missing := max(0, numbers.ndim - len(source.shape) - 1) if prod(numbers.shape[:-2]) == 1 else 0:
        if op.taking.batch != 1:
            raise NotTakenError(f"it multiplies with {array.told} of {numbers.ndim} axes, one of them before the batch")
        source = held(op.add(Reshape((*(1,) * missing, *source.shape)), op.taking.done(source, op.node)))
    while numbers.ndim > 2 and numbers.shape[0] == 1:
        numbers = numbers[0]
    if numbers.ndim == 1:
        shape = source.shape[:-1]
        made = multiplied(op, source, array.seen_as((1, len(numbers))), None)
        return made.seen_as(shape)
    if numbers.ndim > 2:
        value = op.taking.done(source, op.node)
        return op.then(MatMul(), value, as_value(op, array.seen_as(numbers.shape), value, len(value.shape) + 1))
    weight, bias, after = array.changed(numbers.T, "transposed "), None, op.only_reader("Add")
    if after is not None:
        other = op.taking.known.get(after.inputs[1 - after.inputs.index(op.node.outputs[0])])
        if isinstance(other, Fixed) and other.tensor.shape == (numbers.shape[1],):
            bias = other
    made = multiplied(op, source, weight, bias)
    if bias is not None and after is not None:
        op.taking.ready[after.outputs[0]] = made
    return made


def _of_array(op: Op, array: Fixed) -> Held:
    """A B is the transpose of B' A'; of a stack of matrices it is a product of two tensors."""
    value = op.value(1)
    if array.tensor.ndim < 2 or len(value.shape) < 2:
        raise NotTakenError(f"it multiplies {array.told}, of {array.tensor.ndim} axes, with a tensor")
    if array.tensor.ndim > 2:
        return op.then(MatMul(), as_value(op, array, value, len(value.shape) + 1), value)
    swapped = (*range(len(value.shape) - 2), len(value.shape) - 1, len(value.shape) - 2)
    made = multiplied(op, held(op.add(Transpose(swapped), value)), array, None)
    return op.then(Transpose(swapped), made.value)


def _of_tensors(op: Op) -> Held:
    left, right = matched(op, [op.value(0), op.value(1)])
    if len(left.shape) < 2:
        raise NotTakenError("it is a product of two tensors that are not matrices of each sample")
    return op.then(MatMul(), left, right)

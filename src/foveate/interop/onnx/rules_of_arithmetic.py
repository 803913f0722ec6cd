"""Rules for arithmetic of tensors with arrays and with each other."""

from dataclasses import replace
from math import isfinite, log

import numpy as np

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.arrays import as_value, matched
from foveate.interop.onnx.rules import clipped, lined
from foveate.interop.onnx.rules_of_movement import repeated
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import Fixed, Op
from foveate.interop.walk import NotTakenError
from foveate.layers import (
    Add,
    Divide,
    Exp,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    Power,
    Raise,
    Rescale,
    Reshape,
    Shape,
    Subtract,
)

_KINDS: dict[str, type[Layer]] = {"Add": Add, "Sub": Subtract, "Mul": Multiply, "Div": Divide}


@rule(*_KINDS)
def _(op: Op) -> Held:
    if len(op.node.inputs) != 2:
        raise NotTakenError(f"it has {len(op.node.inputs)} inputs, not 2")
    kind, left, right = _KINDS[op.node.kind], op.known(0), op.known(1)
    if isinstance(right, Fixed):
        return _with_array(op, 0, kind, right)
    if isinstance(left, Fixed):
        return _of_array(op, kind, left)
    return op.then(kind(), *matched(op, [op.value(0), op.value(1)]))


def _with_array(op: Op, number: int, kind: type[Layer], array: Fixed) -> Held:
    """A tensor with an array: x - p is x + (-p), and x / p is x times (1 / p)."""
    scale = kind in (Multiply, Divide)
    array = _placed_by_axis(op, array, op.rank(number))
    if kind is Subtract:
        array = array.changed(-array.tensor, "negative ")
    elif kind is Divide:
        with np.errstate(divide="ignore"):
            array = array.changed(np.float32(1) / array.tensor.astype(np.float32), "inverted ")
    if array.only == float(scale) and array.tensor.size == 1 and array.tensor.ndim <= op.rank(number):
        return op.held(number)  # times 1, or plus 0
    if array.tensor.size == 1 and array.tensor.ndim <= op.rank(number) and isfinite(float(array.only or 0)):
        factor = float(array.only or 0)
        return _line(op, number, factor) if scale else op.mapped(Rescale(shift=factor), number)
    value = fitted(op, op.value(number), array.tensor.shape)
    return held(lined(op, value, array, scale=scale))


def _line(op: Op, number: int, factor: float) -> Held:
    """A number times a tensor, and what is added to nothing but that: one layer."""
    after = op.only_reader("Add")
    other = None if after is None else after.inputs[1 - after.inputs.index(op.node.outputs[0])]
    added = op.taking.known.get(other or "")
    if after is None or not isinstance(added, Fixed) or added.tensor.size != 1 or added.tensor.ndim > op.rank(number):
        return op.mapped(Rescale(factor), number)
    made = Op(op.taking, replace(op.node, name=after.name)).mapped(Rescale(factor, float(added.only or 0)), number)
    op.taking.ready[after.outputs[0]] = made
    return made


def _placed_by_axis(op: Op, array: Fixed, rank: int) -> Fixed:
    """Before version 7 an attribute says at which axis of the tensor the array's axes begin."""
    if op.opset >= 7 or not op.get("broadcast", 0):
        return array
    sizes = array.tensor.shape
    return array.seen_as((*sizes, *(1,) * (rank - op.get("axis", rank - len(sizes)) - len(sizes))))


def fitted(op: Op, value: Value, shape: Shape) -> Value:
    """A tensor repeated along the axes on which it meets an array with more numbers than its own one."""
    full = (op.taking.batch, *value.shape)
    try:
        wanted = np.broadcast_shapes(full, shape)
    except ValueError:
        return value  # what it meets says why
    if len(wanted) > len(full):
        if op.taking.batch != 1:
            raise NotTakenError(f"it computes with an array of {len(shape)} axes, one of them before the batch")
        value = op.add(Reshape((*(1,) * (len(wanted) - len(full)), *value.shape)), value)
    for axis, size in enumerate(wanted[1:]):
        if value.shape[axis] != size:
            value = repeated(op, value, axis, size)
    return value


def _of_array(op: Op, kind: type[Layer], array: Fixed) -> Held:
    """An array first: p - x is -x + p, and p / x is the reciprocal of x times p."""
    if kind in (Add, Multiply):
        return _with_array(op, 1, kind, array)
    single = array.tensor.size == 1 and array.tensor.ndim <= op.rank(1)
    if single and kind is Subtract:
        return op.mapped(Rescale(-1.0, float(array.only or 0)), 1)
    first = op.add(Rescale(-1.0) if kind is Subtract else Power(-1.0), op.value(1))
    value = fitted(op, first, array.tensor.shape)
    return held(lined(op, value, array, scale=kind is Divide))


@rule("Sum", "Mean")
def _(op: Op) -> Held:
    count = len(op.node.inputs)
    total = _combined(op, Add())
    return total if op.node.kind == "Sum" or count == 1 else op.then(Rescale(1 / count), total.value)


def _combined(op: Op, layer: Layer) -> Held:
    """All tensors together, then the arrays one by one."""
    numbers = range(len(op.node.inputs))
    arrays = [found for number in numbers if isinstance(found := op.known(number), Fixed)]
    tensors = [number for number in numbers if not isinstance(op.known(number), Fixed)]
    value = op.value(tensors[0])
    for number in tensors[1:]:
        other = op.value(number)
        if len(other.shape) != len(value.shape):
            raise NotTakenError("its tensors have different numbers of axes")
        value = op.add(layer, value, other)
    for array in arrays:
        value = lined(op, fitted(op, value, array.tensor.shape), array, scale=False)
    return held(value)


@rule("Max", "Min")
def _(op: Op) -> Held:
    """Of a tensor and numbers a clip."""
    numbers = range(len(op.node.inputs))
    tensors = [number for number in numbers if not isinstance(op.known(number), Fixed)]
    if len(op.node.inputs) == 1:
        return op.held()
    only = [op.fixed(number).only for number in numbers if number not in tensors]
    fits = all(op.rank(number) <= op.rank(tensors[0]) for number in numbers)
    if len(tensors) == 1 and fits and all(number is not None for number in only):
        bounds = [float(number or 0) for number in only]
        wanted = Op(op.taking, replace(op.node, inputs=(op.node.inputs[tensors[0]],)))
        return clipped(wanted, max(bounds), None) if op.node.kind == "Max" else clipped(wanted, None, min(bounds))
    return op.then(Maximum() if op.node.kind == "Max" else Minimum(), *_as_values(op))


def _as_values(op: Op) -> list[Value]:
    """All inputs as tensors with the same number of axes."""
    numbers = range(len(op.node.inputs))
    tensors = {number: op.value(number) for number in numbers if not isinstance(op.known(number), Fixed)}
    made = dict(zip(tensors, matched(op, list(tensors.values())), strict=True))
    first = next(iter(made.values()))
    rank = len(first.shape) + 1
    return [made[number] if number in made else as_value(op, op.fixed(number), first, rank) for number in numbers]


@rule("Pow")
def _(op: Op) -> Held:
    base, exponent = op.known(0), op.known(1)
    if isinstance(exponent, Fixed) and exponent.only is not None and exponent.tensor.ndim <= op.rank():
        power = exponent.only
        return op.held() if power == 1 else op.mapped(Power(power))
    if isinstance(base, Fixed) and base.only is not None and base.only > 0 and base.tensor.ndim <= op.rank(1):
        return op.then(Exp(), op.add(Rescale(log(base.only)), op.value(1)))
    return op.then(Raise(), *_as_values(op))

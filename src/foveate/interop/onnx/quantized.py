"""Rules for quantised operators, which are imported as the float32 operators that they approximate."""

from dataclasses import replace
from typing import Any

import numpy as np

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.rules import lined
from foveate.interop.onnx.rules_of_products import multiplied
from foveate.interop.onnx.table import find, rule
from foveate.interop.onnx.taking import Fixed, Op
from foveate.interop.onnx.tensors import Array
from foveate.interop.walk import NotTakenError
from foveate.layers import Add, Clip

SAYS = "it is quantised, and was imported as float32: answers differ by what rounding to a few bits does"


def dequantized(array: Array, scale: Array, zero: Array | None, axis: int) -> Array:
    """(array - zero point) times scale, one of each for all or along an axis."""

    def along(numbers: Array) -> Array:
        if numbers.size == 1:
            return numbers.reshape(())
        if numbers.ndim != 1 or numbers.size != array.shape[axis % array.ndim]:
            raise NotTakenError("it is quantised in blocks")
        return numbers.reshape([-1 if each == axis % array.ndim else 1 for each in range(array.ndim)])

    shifted = array.astype(np.float32) - (0.0 if zero is None else along(zero).astype(np.float32))
    return (shifted * along(scale).astype(np.float32)).astype(np.float32)


def _clip(op: Op, value: Held, scale: Fixed, zero: Fixed | None) -> Held:
    """What rounding to a few bits does besides rounding: numbers outside the range are clipped."""
    op.taking.note(SAYS)
    op.taking.scales[op.node.outputs[0]] = scale, zero
    if scale.only is None or (zero is not None and zero.only is None):
        return value
    kind = np.dtype(np.uint8) if zero is None else zero.tensor.dtype
    if kind.kind not in "iu" or kind.itemsize > 1:
        return value
    limits, shift = np.iinfo(kind), 0.0 if zero is None else float(zero.only or 0)
    low, high = (float(np.float32(scale.only) * (limit - shift)) for limit in (limits.min, limits.max))
    return op.then(Clip(low, high), op.taking.done(value, op.node))


def real(op: Op, number: int, scale: Fixed, zero: Fixed | None) -> Held:
    """What a quantised input stands for; an input of the network is still as it is in the file."""
    op.taking.note(SAYS)
    if op.node.inputs[number] in op.taking.scales:
        return op.held(number)
    value, rank = op.value(number), op.rank(number)
    axis = op.get("axis", 1)
    for array, is_scale in ((zero, False), (scale, True)):
        if array is not None:
            value = lined(op, value, _along(array, axis, rank, negative=not is_scale), scale=is_scale)
    return held(value)


def _along(array: Fixed, axis: int, rank: int, *, negative: bool = False, inverted: bool = False) -> Fixed:
    numbers: Array = array.tensor.astype(np.float32)
    numbers = -numbers if negative else 1 / numbers if inverted else numbers
    if numbers.ndim > 1:
        raise NotTakenError("it is quantised in blocks")
    return Fixed(numbers.reshape(()) if numbers.size == 1 else numbers.reshape(
        [-1 if each == axis % rank else 1 for each in range(rank)]
    ))  # fmt: skip


def as_in_file(op: Op, value: Value, scale: Fixed, zero: Fixed | None) -> Value:
    """A quantised output as the numbers of the file, not rounded."""
    rank = len(value.shape) + 1
    value = lined(op, value, _along(scale, 1, rank, inverted=True), scale=True)
    return value if zero is None else lined(op, value, _along(zero, 1, rank), scale=False)


@rule("QuantizeLinear")
def _(op: Op) -> Held:
    return _clip(op, op.held(), op.fixed(1), op.optional(2))


@rule("DequantizeLinear")
def _(op: Op) -> Held:
    return real(op, 0, op.fixed(1), op.optional(2))


@rule("DynamicQuantizeLinear")
def _(op: Op) -> list[Any]:
    """Its scale is taken as 1, so that products with it are those of the numbers themselves."""
    op.taking.note(SAYS)
    one, nothing = Fixed(np.ones((), np.float32)), Fixed(np.zeros((), np.float32))
    op.taking.scales[op.node.outputs[0]] = one, nothing
    return [op.held(), one, nothing]


@rule("ConvInteger")
def _(op: Op) -> Held:
    op.taking.note(SAYS)
    zero = op.optional(3)
    weight = op.fixed(1).tensor.astype(np.float32)
    weight = weight - (0 if zero is None else _rows(zero.tensor, weight.ndim))
    source = real(op, 0, _ONE, op.optional(2))
    return _float(op, "Conv", [source, Fixed(weight)])


@rule("MatMulInteger")
def _(op: Op) -> Held:
    op.taking.note(SAYS)
    zero = op.optional(3)
    numbers = op.fixed(1).tensor.astype(np.float32) - (0 if zero is None else zero.tensor.astype(np.float32))
    return multiplied(op, real(op, 0, _ONE, op.optional(2)), Fixed(numbers.T), None)


@rule("QLinearConv")
def _(op: Op) -> Held:
    weight = op.fixed(3).tensor
    scales, zeros = op.fixed(4).tensor, op.fixed(5).tensor
    floats = dequantized(weight, scales.reshape(-1), zeros.reshape(-1), 0)
    inputs: list[Any] = [real(op, 0, op.fixed(1), op.fixed(2)), Fixed(floats)]
    if op.has(8):
        inputs.append(Fixed((op.fixed(8).tensor * (op.fixed(1).tensor * scales.reshape(-1))).astype(np.float32)))
    return _clip(op, _float(op, "Conv", inputs), op.fixed(6), op.fixed(7))


@rule("QLinearMatMul")
def _(op: Op) -> Held:
    floats = dequantized(op.fixed(3).tensor, op.fixed(4).tensor.reshape(-1), op.fixed(5).tensor.reshape(-1), -1)
    source = real(op, 0, op.fixed(1), op.fixed(2))
    return _clip(op, multiplied(op, source, Fixed(floats.T), None), op.fixed(6), op.fixed(7))


@rule("com.microsoft.QLinearAdd")
def _(op: Op) -> Held:
    if isinstance(op.known(3), Fixed):
        raise NotTakenError("it adds an array")
    first, second = real(op, 0, op.fixed(1), op.fixed(2)), real(op, 3, op.fixed(4), op.fixed(5))
    terms = (op.taking.done(each, op.node) for each in (first, second))
    return _clip(op, op.then(Add(), *terms), op.fixed(6), op.fixed(7))


@rule("com.microsoft.QLinearGlobalAveragePool")
def _(op: Op) -> Held:
    return _clip(op, _float(op, "GlobalAveragePool", [real(op, 0, op.fixed(1), op.fixed(2))]), op.fixed(3), op.fixed(4))


def _rows(zeros: Array, rank: int) -> Array:
    return zeros.astype(np.float32).reshape(-1, *(1,) * (rank - 1))


def _float(op: Op, kind: str, inputs: list[Held | Fixed]) -> Held:
    """The float32 operator of another name, with these inputs."""
    names = [f"{op.node.outputs[0]} input {number}" for number in range(len(inputs))]
    op.taking.known.update(zip(names, inputs, strict=True))
    node = replace(op.node, kind=kind, domain="", inputs=tuple(names))
    made = find(node, op.opset)
    assert made is not None, f"there is a rule for {kind}"
    result: Any = made(Op(op.taking, node))
    return held(op.taking.done(result, op.node))


_ONE = Fixed(np.ones((), np.float32))

"""The rest of the table: layers that move or combine values, and functions of single numbers."""

from typing import Any

import numpy as np

from foveate.graph import Node
from foveate.interop.onnx.building import Writing
from foveate.interop.onnx.operators import shaped, write
from foveate.layers import (
    Add,
    Affine,
    ChannelShuffle,
    Clip,
    Concatenate,
    Divide,
    Dropout,
    Hardtanh,
    Layer,
    Linear,
    LogSoftmax,
    Maximum,
    Maxout,
    Minimum,
    Multiply,
    PixelUnshuffle,
    Power,
    PReLU,
    Raise,
    Reduce,
    ReLU6,
    Rescale,
    Reshape,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    SpatialDropout,
    Subtract,
)


@write.register
def _(layer: ChannelShuffle, node: Node, to: Writing) -> None:
    channels, *rest = node.input_shapes[0]
    split = shaped(to, node.inputs[0], f"{node.name}.groups", (layer.groups, channels // layer.groups, *rest))
    order = [0, 2, 1, *range(3, len(rest) + 3)]
    shaped(to, to.add("Transpose", [split], f"{node.name}.turned", perm=order), node.name, node.output_shape)


@write.register
def _(layer: PixelUnshuffle, node: Node, to: Writing) -> None:
    axes, order = layer.movement(node.input_shapes[0])
    split = shaped(to, node.inputs[0], f"{node.name}.split", axes)
    turned = to.add("Transpose", [split], f"{node.name}.turned", perm=[0, *(axis + 1 for axis in order)])
    shaped(to, turned, node.name, node.output_shape)


@write.register
def _(layer: Reshape, node: Node, to: Writing) -> None:
    shaped(to, node.inputs[0], node.name, node.output_shape)


@write.register
def _(layer: Slice, node: Node, to: Writing) -> None:
    axis, taken = layer.positions(node.input_shapes[0])
    end = taken[-1] + (1 if taken.step > 0 else -1)
    numbers = ([taken[0]], [end if end >= 0 else -(2**31)], [axis + 1], [taken.step])
    names = ("begin", "end", "axis", "step")
    arrays = [to.array(f"{node.name}.{name}", each) for name, each in zip(names, numbers, strict=True)]
    to.add("Slice", [*node.inputs, *arrays], node.name)


@write.register(Dropout)
@write.register(SpatialDropout)
def _(layer: Any, node: Node, to: Writing) -> None:
    to.add("Dropout", [*node.inputs, to.array(f"{node.name}.ratio", np.float32(layer.rate))], node.name)


@write.register
def _(layer: Linear, node: Node, to: Writing) -> None:
    if not layer.last_axis:
        biases = [to.parameter(node, "bias")] if layer.bias else []
        to.add("Gemm", [*node.inputs, to.parameter(node, "weight"), *biases], node.name, transB=1)
        return
    name = f"{node.name}.product" if layer.bias else node.name
    made = to.add("MatMul", [*node.inputs, to.parameter(node, "weight", turned=True)], name)
    if layer.bias:
        to.add("Add", [made, to.parameter(node, "bias")], node.name)


@write.register
def _(layer: PReLU, node: Node, to: Writing) -> None:
    to.add("PRelu", [*node.inputs, to.parameter(node, "weight", layer.spread_shape(node.input_shapes[0]))], node.name)


@write.register
def _(layer: SiLU, node: Node, to: Writing) -> None:
    gate = to.add("Sigmoid", node.inputs, f"{node.name}.gate")
    to.add("Mul", [node.inputs[0], gate], node.name)


@write.register
def _(layer: Softplus, node: Node, to: Writing) -> None:
    if layer.beta == 1:
        to.add("Softplus", node.inputs, node.name)
        return
    beta = to.array(f"{node.name}.beta", np.float32(layer.beta))
    inner = to.add("Softplus", [to.add("Mul", [node.inputs[0], beta], f"{node.name}.scaled")], f"{node.name}.softplus")
    to.add("Div", [inner, beta], node.name)


@write.register(ReLU6)
@write.register(Hardtanh)
@write.register(Clip)
def _(layer: Any, node: Node, to: Writing) -> None:
    low, high = (0.0, 6.0) if isinstance(layer, ReLU6) else (layer.low, layer.high)
    bounds = [
        "" if bound is None else to.array(f"{node.name}.{name}", np.float32(bound))
        for name, bound in (("low", low), ("high", high))
    ]
    to.add("Clip", [*node.inputs, *(bounds if bounds[1] else bounds[:1])], node.name)


@write.register(Softmax)
@write.register(LogSoftmax)
def _(layer: Any, node: Node, to: Writing) -> None:
    axis = layer.axis % len(node.input_shapes[0]) + 1
    to.add(type(layer).__name__, node.inputs, node.name, axis=axis)


@write.register
def _(layer: Maxout, node: Node, to: Writing) -> None:
    split = shaped(
        to, node.inputs[0], f"{node.name}.pieces", (node.output_shape[0], layer.pieces, *node.output_shape[1:])
    )
    to.add("ReduceMax", [split, to.array(f"{node.name}.axes", [2])], node.name, keepdims=0)


@write.register
def _(layer: Power, node: Node, to: Writing) -> None:
    kind = {0.5: "Sqrt", -1.0: "Reciprocal"}.get(layer.exponent)
    if kind is not None:
        to.add(kind, node.inputs, node.name)
    else:
        to.add("Pow", [*node.inputs, to.array(f"{node.name}.exponent", np.float32(layer.exponent))], node.name)


@write.register
def _(layer: Rescale, node: Node, to: Writing) -> None:
    source, shifts = node.inputs[0], layer.shift != 0
    if layer.factor != 1 or not shifts:
        factor = to.array(f"{node.name}.factor", np.float32(layer.factor))
        source = to.add("Mul", [source, factor], f"{node.name}.scaled" if shifts else node.name)
    if shifts:
        to.add("Add", [source, to.array(f"{node.name}.shift", np.float32(layer.shift))], node.name)


@write.register
def _(layer: Affine, node: Node, to: Writing) -> None:
    source, spread = node.inputs[0], layer.spread_shape(node.input_shapes[0])
    if layer.scale:
        name = f"{node.name}.scaled" if layer.shift else node.name
        source = to.add("Mul", [source, to.parameter(node, "weight", spread)], name)
    if layer.shift:
        to.add("Add", [source, to.parameter(node, "bias", spread)], node.name)


_COMBINED: dict[type[Layer], str] = {
    Add: "Add", Multiply: "Mul", Subtract: "Sub", Divide: "Div", Raise: "Pow", Maximum: "Max", Minimum: "Min"
}  # fmt: skip


@write.register(Add)
@write.register(Multiply)
@write.register(Subtract)
@write.register(Divide)
@write.register(Raise)
@write.register(Maximum)
@write.register(Minimum)
def _(layer: Layer, node: Node, to: Writing) -> None:
    rank, terms = len(node.output_shape), []
    for number, (source, shape) in enumerate(zip(node.inputs, node.input_shapes, strict=True)):
        missing = rank - len(shape)
        name = f"{node.name}.input{number + 1}"
        terms.append(shaped(to, source, name, (*shape, *(1,) * missing)) if missing else source)
    made, kind = terms[0], _COMBINED[type(layer)]
    for number, term in enumerate(terms[1:], start=2):
        made = to.add(kind, [made, term], node.name if number == len(terms) else f"{node.name}.{number}")


@write.register
def _(layer: Concatenate, node: Node, to: Writing) -> None:
    to.add("Concat", node.inputs, node.name, axis=layer.axis % len(node.output_shape) + 1)


@write.register
def _(layer: Reduce, node: Node, to: Writing) -> None:
    axes = to.array(f"{node.name}.axes", [axis + 1 for axis in layer.axes_of(node.input_shapes[0])])
    to.add(f"Reduce{layer.kind.title()}", [*node.inputs, axes], node.name, keepdims=int(layer.keepdims))

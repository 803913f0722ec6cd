"""Rules for functions of single numbers, normalisations and products with arrays."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import Fixed, Op
from foveate.interop.onnx.tensors import FLOATS, TYPES
from foveate.interop.walk import NotTakenError, differing_axes
from foveate.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Affine,
    Clip,
    Divide,
    Dropout,
    Erf,
    Exp,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Layer,
    LayerNorm,
    LeakyReLU,
    LocalResponseNorm,
    Log,
    LogSoftmax,
    Mish,
    Multiply,
    Power,
    PReLU,
    Reduce,
    ReLU,
    ReLU6,
    Rescale,
    Reshape,
    RMSNorm,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    Subtract,
    Tanh,
    ThresholdedReLU,
)
from foveate.layers.normalization import BatchNormalization
from foveate.layers.sample_normalization import InstanceNormalization

SMALLEST_NORM = 1e-30
"""What nothing but zeros is divided by, so that they stay zeros."""

SELU_ALPHA, SELU_GAMMA = 1.6732632, 1.050701


@rule("Identity")
def _(op: Op) -> Held:
    return op.held()


@rule("Cast", "CastLike")
def _(op: Op) -> Held:
    """Between types of floating point nothing; they are all float32 here."""
    kind = TYPES.get(op.get("to", 1), "unknown")
    if op.node.kind == "Cast" and kind not in FLOATS:
        raise NotTakenError(f"it turns numbers into {kind}")
    return op.held()


@rule("Dropout")
def _(op: Op) -> list[Held | None]:
    if op.has(2) and bool(op.fixed(2).tensor):
        raise NotTakenError("it drops values in inference too")
    ratio = float(op.option("ratio", 1, 0.5))
    return [op.then(Dropout(ratio), op.value()) if 0 <= ratio < 1 else op.held(), None]


def _function(name: str, make: Callable[[Op], Layer]) -> None:
    rule(name)(lambda op: op.mapped(make(op)))


for _name, _layer in (
    ("Relu", ReLU()), ("Sigmoid", Sigmoid()), ("Tanh", Tanh()), ("HardSwish", Hardswish()), ("Mish", Mish()),
    ("Softplus", Softplus()), ("Exp", Exp()), ("Abs", Abs()), ("Sqrt", Power(0.5)), ("Reciprocal", Power(-1.0)),
    ("Neg", Rescale(-1.0)), ("Log", Log()), ("Erf", Erf()),
):  # fmt: skip
    _function(_name, lambda op, layer=_layer: layer)  # type: ignore[misc]

_function("Elu", lambda op: ELU(op.get("alpha", 1.0)))
_function("Celu", lambda op: CELU(op.get("alpha", 1.0)))
_function("Gelu", lambda op: GELU(op.get("approximate", "none")))
_function("ThresholdedRelu", lambda op: ThresholdedReLU(op.get("alpha", 1.0)))
_function("com.microsoft.Gelu", lambda op: GELU())


@rule("LeakyRelu")
def _(op: Op) -> Held:
    slope = op.get("alpha", 0.01)
    if 0 <= slope < 1:
        return op.mapped(LeakyReLU(slope))
    return op.then(PReLU(), op.value(), weight=Fixed(np.array([slope], np.float32)))


@rule("Selu")
def _(op: Op) -> Held:
    alpha, gamma = op.get("alpha", SELU_ALPHA), op.get("gamma", SELU_GAMMA)
    if abs(alpha - SELU_ALPHA) < 1e-6 and abs(gamma - SELU_GAMMA) < 1e-6:
        return op.mapped(SELU())
    return op.then(Rescale(gamma), op.add(ELU(alpha), op.value()))


@rule("HardSigmoid")
def _(op: Op) -> Held:
    alpha, beta = op.get("alpha", 0.2), op.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return op.mapped(Hardsigmoid())
    return op.then(Hardtanh(0.0, 1.0), op.add(Rescale(alpha, beta), op.value()))


@rule("Swish", "com.microsoft.QuickGelu")
def _(op: Op) -> Held:
    alpha = op.get("alpha", 1.0 if op.node.kind == "Swish" else 1.702)
    if alpha == 1:
        return op.mapped(SiLU())
    value = op.value()
    return op.then(Multiply(), value, op.add(Sigmoid(), op.add(Rescale(alpha), value)))


@rule("Softsign")
def _(op: Op) -> Held:
    value = op.value()
    return op.then(Divide(), value, op.add(Rescale(shift=1.0), op.add(Abs(), value)))


@rule("Shrink")
def _(op: Op) -> Held:
    """What is beyond the bound is brought nearer by the bias; by as much as the bound, it is what clipping leaves."""
    bound, bias, value = op.get("lambd", 0.5), op.get("bias", 0.0), op.value()
    if bound < 0:
        raise NotTakenError(f"its bound is {bound:g}, below 0")
    if bound == bias > 0:
        return op.then(Subtract(), value, op.add(Clip(-bound, bound), value))
    above, below = op.add(Rescale(1.0, -bias), value) if bias else value, op.add(Rescale(-1.0, -bias), value)
    kept = [op.add(ThresholdedReLU(bound - bias), each) for each in (above, below)]
    return op.then(Subtract(), *kept)


@rule("Clip")
def _(op: Op) -> Held:
    return clipped(op, op.get("min"), op.get("max"))


@rule("Clip", since=11)
def _(op: Op) -> Held:
    bounds = (op.optional(number) for number in (1, 2))
    return clipped(op, *(None if bound is None else bound.only for bound in bounds))


def clipped(op: Op, low: float | None, high: float | None) -> Held:
    """The first input between two bounds; those beyond float32's range are none."""
    low, high = (None if bound is None or abs(bound) > 3.4e38 else float(bound) for bound in (low, high))
    if low is None and high is None:
        return op.held()
    if low is not None and high is not None and low > high:
        return op.mapped(Rescale(0.0, high))
    layers: dict[Any, Layer] = {(0, 6): ReLU6(), (0, None): ReLU()}
    return op.mapped(layers.get((low, high)) or Clip(low, high))


@rule("PRelu")
def _(op: Op) -> Held:
    value, given = op.value(), op.known(1)
    if isinstance(given, Held):  # max(x, 0) minus the slope times max(-x, 0)
        below = op.add(ReLU(), op.add(Rescale(-1.0), value))
        return op.then(Subtract(), op.add(ReLU(), value), op.add(Multiply(), below, op.value(1)))
    slope = shared(op.fixed(1), op.taking.batch, op.rank())
    if op.opset < 7 and slope.tensor.ndim == 1:  # one for each channel
        slope = slope.seen_as((-1, *(1,) * (len(value.shape) - 1)))
    axes = differing_axes(slope.tensor.shape, value.shape, slope.told)
    flat = slope.seen_as([value.shape[axis] for axis in axes] or [1])
    options: dict[str, Any] = {"per_channel": True} if axes == (0,) else {"axes": axes} if axes else {}
    return op.then(PReLU(**options), value, weight=flat)


@rule("Softmax", "LogSoftmax")
def _(op: Op) -> Held:
    """Before version 13 it is over all axes from one on."""
    value, rank = op.value(), op.rank()
    axis = op.axis(op.get("axis", 1), rank)
    make = Softmax if op.node.kind == "Softmax" else LogSoftmax
    if prod(value.shape[axis + 1 :]) == 1:
        return op.then(make(axis=axis), value)
    joined = op.add(Reshape((*value.shape[:axis], prod(value.shape[axis:]))), value)
    return op.then(make(axis=axis), joined).seen_as(value.shape)


@rule("Softmax", "LogSoftmax", since=13)
def _(op: Op) -> Held:
    axis = op.axis(op.get("axis", -1), op.rank())
    return op.then((Softmax if op.node.kind == "Softmax" else LogSoftmax)(axis=axis), op.value())


@rule("BatchNormalization")
def _(op: Op) -> list[Held | None]:
    if op.get("training_mode", 0):
        raise NotTakenError("it normalises by the batch's statistics")
    value = op.value()
    if not op.get("spatial", 1) and len(value.shape) > 1:
        raise NotTakenError("it has statistics for each position")
    momentum = min(max(1 - op.get("momentum", 0.9), 0.0), 1.0)
    layer = BatchNormalization.over(len(value.shape) - 1)(eps=op.get("epsilon", 1e-5), momentum=round(momentum, 6))
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: op.fixed(number) for number, name in enumerate(names, start=1)}
    return [op.then(layer, value, **arrays)] + [None] * 4


@rule("InstanceNormalization")
def _(op: Op) -> Held:
    value = op.value()
    layer = InstanceNormalization.over(len(value.shape) - 1)(eps=op.get("epsilon", 1e-5), affine=True)
    return op.then(layer, value, weight=op.fixed(1), bias=op.fixed(2))


@rule("GroupNormalization")
def _(op: Op) -> Held:
    """Before version 21 scale and bias are the groups'."""
    value, groups = op.value(), op.get("num_groups", 1)
    each = value.shape[0] // max(groups, 1)
    arrays = (op.fixed(1), op.fixed(2))
    spread = [array.changed(np.repeat(array.tensor, each), "repeated ") for array in arrays]
    return op.then(GroupNorm(groups, eps=op.get("epsilon", 1e-5)), value, weight=spread[0], bias=spread[1])


@rule("GroupNormalization", since=21)
def _(op: Op) -> Held:
    layer = GroupNorm(op.get("num_groups", 1), eps=op.get("epsilon", 1e-5))
    return op.then(layer, op.value(), weight=op.fixed(1), bias=op.fixed(2))


@rule("LayerNormalization")
def _(op: Op) -> list[Held | None]:
    value, eps = op.value(), op.get("epsilon", 1e-5)
    axis = op.axis(op.get("axis", -1), op.rank())
    results: list[Held | None] = [normalized(op, value, axis, eps, op.optional(1), op.optional(2)), None, None]
    if any(op.taking.readers[name] for name in op.node.outputs[1:]):
        over = tuple(range(axis, len(value.shape)))
        mean = op.add(Reduce("mean", over, keepdims=True), value)
        squares = op.add(Power(2.0), op.add(Subtract(), value, mean))
        variance = op.add(Reduce("mean", over, keepdims=True), squares)
        results[1:] = held(mean), op.then(Power(-0.5), op.add(Rescale(shift=eps), variance))
    return results


def normalized(op: Op, value: Value, axis: int, eps: float, weight: Fixed | None, bias: Fixed | None) -> Held:
    """A layer normalisation from an axis on."""
    trailing = None if axis == 0 else len(value.shape) - axis
    whole = all(array is not None and array.tensor.shape == value.shape[axis:] for array in (weight, bias))
    made = op.add(LayerNorm(trailing_axes=trailing, eps=eps, affine=whole), value, **(
        {"weight": weight, "bias": bias} if whole else {}
    ))  # fmt: skip
    for array, scale in () if whole else ((weight, True), (bias, False)):
        made = made if array is None else lined(op, made, array, scale=scale)
    return held(made)


@rule("RMSNormalization", "SimplifiedLayerNormalization")
def _(op: Op) -> list[Held | None]:
    value, weight = op.value(), op.optional(1)
    axis = op.axis(op.get("axis", -1), op.rank())
    whole = weight is not None and weight.tensor.shape == value.shape[axis:]
    layer = RMSNorm(
        trailing_axes=None if axis == 0 else len(value.shape) - axis, eps=op.get("epsilon", 1e-5), affine=whole
    )
    made = op.add(layer, value, weight=weight if whole else None)
    return [held(made if whole or weight is None else lined(op, made, weight, scale=True)), None]


@rule("LpNormalization")
def _(op: Op) -> Held:
    value, order = op.value(), op.get("p", 2)
    axis = op.axis(op.get("axis", -1), op.rank())
    powers = op.add(Power(2.0) if order == 2 else Abs(), value)
    total = op.add(Reduce("sum", (axis,), keepdims=True), powers)
    norm = op.add(Power(0.5), total) if order == 2 else total
    return op.then(Divide(), value, op.add(Clip(low=SMALLEST_NORM), norm))


@rule("MeanVarianceNormalization")
def _(op: Op) -> Held:
    value, axes = op.value(), op.get("axes", [0, 2, 3])
    wanted = sorted(op.axis(axis, op.rank()) for axis in axes)
    if wanted != list(range(1, len(value.shape))):
        raise NotTakenError(f"it is over the axes {axes}, not over all positions")
    return op.then(InstanceNormalization.over(len(wanted))(eps=1e-9, affine=False), value)


@rule("LRN")
def _(op: Op) -> Held:
    """Of an even size ONNX counts one channel more behind, foveate one more before."""
    size, value = op.get("size", 1), op.value()
    options = {"alpha": op.get("alpha", 1e-4), "beta": op.get("beta", 0.75), "k": op.get("bias", 1.0)}
    layer = LocalResponseNorm(size, **options)
    if size % 2:
        return op.then(layer, value)
    turned = Slice(0, None, None, -1)
    return op.then(turned, op.add(layer, op.add(turned, value)))


def lined(op: Op, value: Value, array: Fixed, *, scale: bool) -> Value:
    """A value times an array, or plus one: a layer over the axes on which the array has several numbers."""
    array = shared(array, op.taking.batch, len(value.shape) + 1)
    only = array.only
    if only is not None and np.isfinite(only) and (array.name is None or array.tensor.size == 1):
        if only == float(scale):  # times 1, or plus 0
            return value
        return op.add(Rescale(only) if scale else Rescale(shift=only), value)
    axes = differing_axes(array.tensor.shape, value.shape, array.told)
    given = {"weight" if scale else "bias": array.seen_as([value.shape[axis] for axis in axes] or [1])}
    return op.add(Affine(axes, scale=scale, shift=not scale), value, **given)


def shared(array: Fixed, batch: int, rank: int) -> Fixed:
    """An array with a row for every sample of the batch, if the rows are equal, as one row."""
    tensor = array.tensor
    if tensor.ndim < rank or len(tensor) != batch or batch == 1:
        return array
    if not bool((tensor == tensor[:1]).all()):
        raise NotTakenError(f"it computes with {array.told}, which differ from sample to sample")
    return Fixed(tensor[:1])

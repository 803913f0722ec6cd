"""Rules for arithmetic: of tensors with numbers and with each other."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from torch import fx

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.pytorch.rules import Arguments, activated, operation, rule
from foveate.interop.pytorch.taking import Constant, Taking
from foveate.interop.walk import NotTakenError, differing_axes
from foveate.layers import (
    Abs,
    Add,
    Affine,
    Clip,
    Divide,
    Erf,
    Exp,
    Hardtanh,
    Layer,
    LeakyReLU,
    Log,
    Multiply,
    Power,
    ReLU,
    ReLU6,
    Rescale,
    Softplus,
    Subtract,
    Tanh,
    ThresholdedReLU,
)

LINES = ("add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide", "neg", "negative")
"""Operations that make a line of one number: factor times x plus shift."""


def line_of(node: fx.Node) -> tuple[fx.Node, float, float] | None:
    """The only tensor that an operation reads, and the factor and shift that it gives it; None if it does not."""
    name = operation(node)[0] if node.op == "call_function" else ""
    if name not in LINES or len(node.all_input_nodes) != 1 or node.kwargs.get("rounding_mode") is not None:
        return None
    source, number, times = (*node.args, *(0.0, 1)[len(node.args) - 1 :])[:3]
    times = node.kwargs.get("alpha", times)
    if not isinstance(source, fx.Node) or not _is_number(number) or not _is_number(times):
        return None
    return source, *_line(name, float(number), float(times))  # type: ignore[arg-type]


def _line(name: str, number: float, times: float) -> tuple[float, float]:
    match name:
        case "add":
            return 1.0, times * number
        case "sub" | "subtract":
            return 1.0, -times * number
        case "rsub":
            return -times, number
        case "mul" | "multiply":
            return number, 0.0
        case "neg" | "negative":
            return -1.0, 0.0
    return (1 / number if number else float("inf")), 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _rescaled(taking: Taking, node: fx.Node) -> Held | None:
    """Arithmetic with a number; None if both terms are tensors."""
    line = line_of(node)
    if line is None:
        return None
    source, factor, shift = line
    if (factor, shift) == (1, 0):
        return taking.held(source)
    return activated(taking, node, source, Rescale(factor, shift))


@rule("neg", "negative", "rsub", "add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    scaled = _rescaled(taking, node)
    if scaled is not None:
        return scaled
    if given.get("alpha", 1) != 1:
        raise NotTakenError(f"its second term has the factor {given['alpha']}")
    if given.get("rounding_mode") is not None:
        raise NotTakenError("it rounds its quotients")
    name = _KINDS[operation(node)[0]]
    left, right = given["self"], given["other"]
    if operation(node)[0] == "rsub":
        left, right = right, left
    first, second = taking.constant(left), taking.constant(right)
    if second is not None:
        return _with_array(taking, node, left, name, second)
    if first is not None:
        return _of_array(taking, node, right, name, first)
    if name in (Add, Multiply):
        return held(taking.add(name(), *_factors(taking, (left, right)), node=node))
    return held(taking.add(name(), *taking.many([left, right]), node=node))


_KINDS: dict[str, type[Layer]] = {
    **dict.fromkeys(("mul", "multiply"), Multiply),
    **dict.fromkeys(("sub", "subtract", "rsub"), Subtract),
    **dict.fromkeys(("div", "divide", "true_divide"), Divide),
    "add": Add,
}


def _factors(taking: Taking, sources: Sequence[Any]) -> list[Value]:
    """The terms as they are; of one number for each channel, ones behind it need not be there."""
    values = []
    for source in sources:
        factor = taking.held(source)
        missing = len(factor.shape) - len(factor.value.shape)
        plain = not factor.waits and missing > 0 and factor.shape == (*factor.value.shape, *(1,) * missing)
        values.append(factor.value if plain else taking.value(source))
    return values


def _of_array(taking: Taking, node: fx.Node, source: Any, kind: type[Layer], array: Constant) -> Held:
    """An array first: p - x is -x + p, and p / x is the reciprocal of x times p."""
    if kind is Subtract:
        value = taking.add(Rescale(-1.0), taking.value(source), node=node)
        return affine(taking, node, value, array, scale=False)
    if kind is Divide:
        value = taking.add(Power(-1.0), taking.value(source), node=node)
        return affine(taking, node, value, array, scale=True)
    return _with_array(taking, node, source, kind, array)


def _with_array(taking: Taking, node: fx.Node, source: Any, kind: type[Layer], array: Constant) -> Held:
    """A tensor with an array: x - p is x + (-p), and x / p is x times (1 / p)."""
    if kind is Subtract:
        array = Constant(-array.tensor, computed_learns=array.learns)
    elif kind is Divide:
        array = Constant(1 / array.tensor, computed_learns=array.learns)
    return affine(taking, node, taking.value(source), array, scale=kind in (Multiply, Divide))


def affine(taking: Taking, node: fx.Node, value: Value, array: Constant, *, scale: bool) -> Held:
    """An Affine layer over the axes on which the array has several numbers."""
    first = array.tensor.reshape(-1)[0]
    if not array.learns and bool((array.tensor == first).all()):
        number = float(first)
        if number == float(scale):  # times 1, or plus 0
            return held(value)
        return held(taking.add(Rescale(number) if scale else Rescale(shift=number), value, node=node))
    axes = _axes_of(array, value)
    placed = {"weight" if scale else "bias": _placed(array, value, axes)}
    return held(taking.add_made(Affine(axes, scale=scale, shift=not scale), value, node=node, arrays=placed))


def _axes_of(array: Constant, value: Value) -> tuple[int, ...]:
    """The axes of a sample on which an array has several numbers."""
    return differing_axes(array.tensor.shape, value.shape, array.told)


def _placed(array: Constant, value: Value, axes: Sequence[int]) -> Constant:
    """The array without axes of length 1."""
    tensor = array.tensor.detach().reshape([value.shape[axis] for axis in axes] or [1])
    return replace(array, tensor=tensor, computed_learns=array.learns)


@rule("addcmul")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """A product with one array and the sum with another, as Affine writes it."""
    weight, bias = taking.constant(given["tensor2"]), taking.constant(given["self"])
    if weight is None or bias is None or given["value"] != 1:
        raise NotTakenError("it adds a product of tensors")
    value = taking.value(given["tensor1"])
    axes = _axes_of(weight, value)
    if axes != _axes_of(bias, value):
        raise NotTakenError("the two arrays differ along different axes")
    placed = {name: _placed(array, value, axes) for name, array in (("weight", weight), ("bias", bias))}
    return held(taking.add_made(Affine(axes), value, node=node, arrays=placed))


@rule("hardtanh", "clamp", "clip", "clamp_min", "clamp_max")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    low, high = (given.get(long, given.get(short)) for long, short in (("min_val", "min"), ("max_val", "max")))
    low, high = (_as_number(taking, bound) for bound in (low, high))
    if any(isinstance(bound, fx.Node) for bound in (low, high)):
        raise NotTakenError("its bounds are tensors")
    low, high = (None if bound is None or abs(bound) == float("inf") else float(bound) for bound in (low, high))
    layers: dict[Any, Layer] = {(0, 6): ReLU6(), (0, None): ReLU()}
    make: Any = Hardtanh if operation(node)[0] == "hardtanh" and None not in (low, high) else Clip
    return activated(taking, node, given["self"], layers.get((low, high)) or make(low, high))


@rule("threshold")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    threshold, value = float(given["threshold"]), float(given["value"])
    if threshold == value:
        return activated(taking, node, given["self"], Clip(low=value))
    if value != 0:
        raise NotTakenError(f"it puts {value} where there is less than {threshold}")
    return activated(taking, node, given["self"], ThresholdedReLU(threshold))


@rule("rrelu")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    return activated(taking, node, given["self"], LeakyReLU(float(given["lower"] + given["upper"]) / 2))


@rule("softsign", "tanhshrink", "softshrink", "log_sigmoid")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """Functions of one number that are made of several layers."""
    value, name = taking.value(node.args[0]), operation(node)[0]

    def then(layer: Layer, *inputs: Value) -> Value:
        return taking.add(layer, *inputs, node=node)

    match name:
        case "softsign":  # x / (1 + |x|)
            return held(then(Divide(), value, then(Rescale(shift=1.0), then(Abs(), value))))
        case "tanhshrink":
            return held(then(Subtract(), value, then(Tanh(), value)))
        case "softshrink":  # what a clipped x leaves of it
            bound = float(given["lambd"])
            return held(then(Subtract(), value, then(Clip(-bound, bound), value)))
    return held(then(Rescale(-1.0), then(Softplus(), then(Rescale(-1.0), value))))


@rule("pow")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    exponent = _as_number(taking, given["exponent"])
    if not _is_number(exponent) or not isinstance(given["self"], fx.Node):
        raise NotTakenError("its exponent is a tensor; give it a number")
    return activated(taking, node, given["self"], Power(float(exponent)))


def _as_number(taking: Taking, value: Any) -> Any:
    """A number that is written as an array of one, as such; anything else as it is."""
    array = taking.constant(value)
    return float(array.tensor) if array is not None and array.tensor.numel() == 1 else value


for _name, _layer in (
    ("square", Power(2.0)), ("sqrt", Power(0.5)), ("rsqrt", Power(-0.5)), ("reciprocal", Power(-1.0)), ("exp", Exp()),
    ("abs", Abs()), ("absolute", Abs()), ("log", Log()), ("erf", Erf()),
):  # fmt: skip

    @rule(_name)
    def _(taking: Taking, node: fx.Node, given: Arguments, layer: Layer = _layer) -> Held:
        return activated(taking, node, node.args[0], layer)

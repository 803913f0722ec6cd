"""Rules for arithmetic: of tensors with numbers and with each other."""

from math import isfinite
from typing import Any

from torch import fx

from foveate.interop.pytorch.held import Held, held
from foveate.interop.pytorch.rules import Arguments, activated, operation, rule
from foveate.interop.pytorch.taking import NotTakenError, Taking
from foveate.layers import Abs, Add, Clip, Exp, Hardtanh, Layer, Multiply, Power, ReLU, ReLU6, Rescale

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


@rule("neg", "negative", "rsub")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    found = _rescaled(taking, node)
    if found is None:
        raise NotTakenError("it subtracts from a tensor that is no number")
    return found


@rule("add")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    scaled = _rescaled(taking, node)
    if scaled is not None:
        return scaled
    if given.get("alpha", 1) != 1:
        raise NotTakenError(f"its second term has the factor {given['alpha']}")
    terms = taking.many([given["self"], given["other"]])
    if terms[0].shape != terms[1].shape:
        raise NotTakenError("its terms have different shapes")
    return held(taking.add(Add(), *terms, node=node))


@rule("sub", "subtract", "div", "divide", "true_divide")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    scaled = _rescaled(taking, node)
    if scaled is not None:
        return scaled
    raise NotTakenError("both its terms are tensors")


@rule("mul", "multiply")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    scaled = _rescaled(taking, node)
    if scaled is not None:
        return scaled
    factors = [taking.held(given[name]) for name in ("self", "other")]
    values = []
    for factor, source in zip(factors, (given["self"], given["other"]), strict=True):
        missing = len(factor.shape) - len(factor.value.shape)
        # One number for each channel is multiplied as it is; ones behind it need not be there.
        plain = not factor.waits and missing > 0 and factor.shape == (*factor.value.shape, *(1,) * missing)
        values.append(factor.value if plain else taking.value(source))
    return held(taking.add(Multiply(), *values, node=node))


@rule("hardtanh", "clamp", "clip", "clamp_min", "clamp_max")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    low, high = (given.get(long, given.get(short)) for long, short in (("min_val", "min"), ("max_val", "max")))
    if any(isinstance(bound, fx.Node) for bound in (low, high)):
        raise NotTakenError("its bounds are tensors")
    low, high = (None if bound is None or abs(bound) == float("inf") else float(bound) for bound in (low, high))
    layers: dict[Any, Layer] = {(0, 6): ReLU6(), (0, None): ReLU()}
    make: Any = Hardtanh if operation(node)[0] == "hardtanh" and None not in (low, high) else Clip
    return activated(taking, node, given["self"], layers.get((low, high)) or make(low, high))


@rule("pow")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    if not _is_number(given["exponent"]) or not isinstance(given["self"], fx.Node):
        raise NotTakenError("its exponent is a tensor; give it a number")
    return activated(taking, node, given["self"], Power(float(given["exponent"])))


for _name, _layer in (
    ("square", Power(2.0)), ("sqrt", Power(0.5)), ("rsqrt", Power(-0.5)), ("reciprocal", Power(-1.0)), ("exp", Exp()),
    ("abs", Abs()), ("absolute", Abs()),
):  # fmt: skip

    @rule(_name)
    def _(taking: Taking, node: fx.Node, given: Arguments, layer: Layer = _layer) -> Held:
        return activated(taking, node, node.args[0], layer)

"""Finds operators that spell out one layer: GELU, SiLU, hard swish, Mish, layer normalisation."""

from dataclasses import dataclass, field, replace
from math import isclose, pi, sqrt
from typing import Any

import numpy as np

from foveate.interop.onnx.reading import OWN, Operation
from foveate.interop.onnx.taking import Fixed, Taking
from foveate.log import logger

DEEPEST_PRODUCT = 6
"""How many products within each other are taken apart."""


_INPUTS = {"Add": (2,), "Sub": (2,), "Mul": (2,), "Pow": (2,), "ReduceMean": (1, 2), "Clip": (1, 2, 3)}
"""How many inputs an operation of a pattern may have, if not one."""


@dataclass
class Spelt:
    """For the last operation of each pattern the one that does the same; `parts` are the results left out."""

    replaced: dict[str, Operation] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)

    def enter(self, whole: Operation, parts: set[str], taking: Taking) -> bool:
        """Record one operator for several, if nothing else reads the results on the way."""
        name = whole.outputs[0]
        inside = parts - {name}
        readers = [user for part in inside for user in taking.users.get(part, ())]
        counted = sum(taking.readers[part] for part in inside)
        reads = sum(user.inputs.count(part) for part in inside for user in taking.users.get(part, ()))
        if counted != reads or not all(set(user.outputs) & (inside | {name}) for user in readers):
            return False
        self.replaced[name] = whole
        self.parts |= inside
        return True


@dataclass(frozen=True)
class Factors:
    """A product taken apart: its number, its other factors, and the results on the way."""

    number: float
    others: tuple[str, ...]
    parts: frozenset[str] = frozenset()


@dataclass
class _Search:
    taking: Taking
    makers: dict[str, Operation] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """The only number of an array, if it has one."""
        found = self.taking.known.get(name)
        maker = self.makers.get(name)
        array: Any = found.tensor if isinstance(found, Fixed) else None
        if maker is not None and maker.kind == "Constant":
            array = maker.attributes.get("value")
        known = isinstance(array, np.ndarray) and array.size == 1 and array.dtype.kind in "fi"
        return float(array.reshape(())) if known else None

    def maker(self, name: str, kind: str) -> Operation | None:
        """The operation that makes a value, if it is of a kind."""
        found = self.makers.get(name)
        fits = found is not None and found.kind == kind and len(found.inputs) in _INPUTS.get(kind, (1,))
        return found if fits and found is not None and found.domain in OWN else None

    def factors(self, name: str, depth: int = 0) -> Factors:
        """The factors of a value; products that something else reads as well are factors themselves."""
        number = self.number(name)
        if number is not None:
            return Factors(number, ())
        maker = self.makers.get(name)
        inside = maker is not None and maker.kind in ("Mul", "Div") and (depth == 0 or self.taking.readers[name] == 1)
        if maker is None or not inside or depth > DEEPEST_PRODUCT or len(maker.inputs) != 2:
            return Factors(1.0, (name,))
        left, right = maker.inputs
        if maker.kind == "Div":
            divisor = self.number(right)
            if not divisor:
                return Factors(1.0, (name,))
            part = self.factors(left, depth + 1)
            return Factors(part.number / divisor, part.others, part.parts | {name})
        one, other = self.factors(left, depth + 1), self.factors(right, depth + 1)
        return Factors(one.number * other.number, one.others + other.others, one.parts | other.parts | {name})

    def sum(self, name: str, number: float) -> str | None:
        """What is added to a number."""
        maker = self.maker(name, "Add")
        for one, other in () if maker is None else (maker.inputs, maker.inputs[::-1]):
            told = self.number(one)
            if told is not None and isclose(told, number, rel_tol=1e-6):
                return other
        return None

    def is_scaled(self, name: str, source: str, number: float) -> frozenset[str] | None:
        """The results between a value and a number times another, if it is that."""
        found = self.factors(name)
        return found.parts if found.others == (source,) and isclose(found.number, number, rel_tol=1e-4) else None

    def activation(self, product: Factors, source: str, gate: str) -> tuple[str, dict[str, str], set[str]] | None:
        """The kind of an activation, its attributes, and the results on the way, if source times gate is one."""
        maker = self.makers.get(gate)
        if maker is None or not maker.inputs:
            return None
        if product.number != 1:
            return self._divided_or_halved(product, source, gate, maker)
        inner = maker.inputs[0]
        softplus = self.maker(inner, "Softplus")
        kind, parts = None, {gate}
        if maker.kind == "Sigmoid" and inner == source:
            kind = "Swish"
        elif maker.kind == "HardSigmoid" and inner == source and self._is_sixth(maker):
            kind = "HardSwish"
        elif maker.kind == "Tanh" and softplus is not None and softplus.inputs[0] == source:
            kind, parts = "Mish", {gate, inner}
        return None if kind is None else (kind, {}, parts)

    def _divided_or_halved(
        self, product: Factors, source: str, gate: str, maker: Operation
    ) -> tuple[str, dict[str, str], set[str]] | None:
        if maker.kind == "Clip" and isclose(product.number, 1 / 6, rel_tol=1e-5) and self._bounds(maker) == (0, 6):
            inner = maker.inputs[0]
            return ("HardSwish", {}, {gate, inner}) if self.sum(inner, 3) == source else None
        return self._gelu(source, gate) if maker.kind == "Add" and isclose(product.number, 0.5, rel_tol=1e-6) else None

    def _is_sixth(self, gate: Operation) -> bool:
        alpha = gate.attributes.get("alpha", 0.2)
        sixth = isinstance(alpha, float) and isclose(alpha, 1 / 6, rel_tol=1e-5)
        return sixth and gate.attributes.get("beta", 0.5) == 0.5

    def layer_norm(self, quotient: Operation) -> tuple[Operation, set[str]] | None:
        """(x - mean) / sqrt(mean of its square + eps), and scale and shift after it if they are arrays: the operator
        that does the same, and the results on the way."""
        centred, root = quotient.inputs if len(quotient.inputs) == 2 else ("", "")
        less, square_root = self.maker(centred, "Sub"), self.maker(root, "Sqrt")
        shifted = None if square_root is None else self.maker(square_root.inputs[0], "Add")
        if less is None or square_root is None or shifted is None:
            return None
        mean = self.maker(less.inputs[1], "ReduceMean")
        terms = [name for name in shifted.inputs if self.number(name) is None]
        eps = next((number for name in shifted.inputs if (number := self.number(name)) is not None), None)
        variance = self.maker(terms[0], "ReduceMean") if len(terms) == 1 else None
        if mean is None or variance is None or eps is None or mean.inputs[0] != less.inputs[0]:
            return None
        axes = self._trailing(mean)
        if axes is None or axes != self._trailing(variance) or not self._is_square(variance.inputs[0], centred):
            return None
        on_the_way = (centred, root, square_root.inputs[0], terms[0], variance.inputs[0], less.inputs[1])
        inputs, last, parts = [less.inputs[0]], quotient, set(on_the_way)
        for kind in ("Mul", "Add"):
            after = self._only_user(last, kind)
            array = None if after is None else next((n for n in after.inputs if n != last.outputs[0]), None)
            if after is None or not isinstance(self.taking.known.get(array or ""), Fixed):
                break
            parts.add(last.outputs[0])
            inputs, last = [*inputs, str(array)], after
        attributes = {"axis": axes, "epsilon": eps}
        whole = replace(last, kind="LayerNormalization", domain="", inputs=tuple(inputs), attributes=attributes)
        return whole, parts

    def _only_user(self, operation: Operation, kind: str) -> Operation | None:
        name = operation.outputs[0]
        users = self.taking.users.get(name, [])
        alone = len(users) == 1 and self.taking.readers[name] == 1 and users[0].kind == kind
        return users[0] if alone and len(users[0].inputs) == 2 else None

    def _is_square(self, name: str, source: str) -> bool:
        power, product = self.maker(name, "Pow"), self.maker(name, "Mul")
        if power is not None:
            return power.inputs[0] == source and self.number(power.inputs[1]) == 2
        return product is not None and product.inputs == (source, source)

    def _trailing(self, mean: Operation) -> int | None:
        """The first of the last axes that a mean is over, counted from the end; None if it is over others."""
        axes = mean.attributes.get("axes")
        found = self.taking.known.get(mean.inputs[1]) if len(mean.inputs) > 1 else None
        axes = found.tensor.tolist() if isinstance(found, Fixed) else axes
        last = isinstance(axes, list) and axes and sorted(axes) == list(range(-len(axes), 0))
        return -len(axes) if last and axes and mean.attributes.get("keepdims", 1) else None

    def _bounds(self, clip: Operation) -> tuple[float | None, ...]:
        low, high = clip.attributes.get("min"), clip.attributes.get("max")
        if len(clip.inputs) > 2:
            low, high = self.number(clip.inputs[1]), self.number(clip.inputs[2])
        return tuple(each if isinstance(each, float) else None for each in (low, high))

    def _gelu(self, source: str, gate: str) -> tuple[str, dict[str, str], set[str]] | None:
        """1 + erf(x / sqrt(2)), or 1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))."""
        curve = self.sum(gate, 1)
        maker = None if curve is None else self.maker(curve, "Erf") or self.maker(curve, "Tanh")
        if maker is None or curve is None:
            return None
        if maker.kind == "Erf":
            scaled = self.is_scaled(maker.inputs[0], source, 1 / sqrt(2))
            return None if scaled is None else ("Gelu", {}, {gate, curve, *scaled})
        inside = self.factors(maker.inputs[0]) if maker.kind == "Tanh" else Factors(0.0, ())
        total = self.maker(inside.others[0], "Add") if len(inside.others) == 1 else None
        if total is None or not isclose(inside.number, sqrt(2 / pi), rel_tol=1e-4) or source not in total.inputs:
            return None
        cube = total.inputs[1 - total.inputs.index(source)]
        cubic = self.factors(cube)
        power = self.maker(cubic.others[0], "Pow") if len(cubic.others) == 1 else None
        raised = power is not None and power.inputs[0] == source and self.number(power.inputs[1]) == 3
        if not isclose(cubic.number, 0.044715, rel_tol=1e-4) or not (raised or cubic.others == (source,) * 3):
            return None
        ways = {gate, curve, *inside.parts, inside.others[0], *cubic.parts, *(cubic.others if raised else ())}
        return "Gelu", {"approximate": "tanh"}, ways


def spelt_out(taking: Taking) -> Spelt:
    """Find the patterns whose results on the way nothing else reads."""
    operations = taking.network.operations
    search = _Search(taking, {name: op for op in operations for name in op.outputs if name})
    found = Spelt()
    for operation in reversed(operations):
        try:
            _look(search, found, operation)
        except Exception:  # the rules of its operations say what is wrong with them
            logger.debug("%s", operation.told, exc_info=True)
    return found


def _look(search: _Search, found: Spelt, operation: Operation) -> None:
    """Enter the pattern that ends in an operation, if one does."""
    name = operation.outputs[0] if operation.outputs else ""
    if operation.kind not in ("Mul", "Div") or operation.domain not in OWN or name in found.parts:
        return
    normalized = search.layer_norm(operation) if operation.kind == "Div" else None
    if normalized is not None:
        found.enter(*normalized, search.taking)
        return
    product = search.factors(name)
    if len(product.others) != 2:
        return
    for source, gate in (product.others, product.others[::-1]):
        known = search.activation(product, source, gate)
        if known is None:
            continue
        kind, attributes, ways = known
        made = replace(operation, kind=kind, domain="", inputs=(source,), attributes=attributes)
        if found.enter(made, ways | product.parts, search.taking):
            return

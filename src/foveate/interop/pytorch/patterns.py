"""Activations that a module spells out in several operations, for which there is one layer."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose

from torch import fx

from foveate.interop.pytorch.rules import operation
from foveate.layers import Hardsigmoid, Hardswish, Layer, SiLU


@dataclass(frozen=True)
class Spelt:
    """A layer and its input, for the last operation of each; `parts` are the others, which are left out."""

    activations: dict[fx.Node, tuple[Layer, fx.Node]] = field(default_factory=dict)
    parts: set[fx.Node] = field(default_factory=set)

    def enter(self, last: fx.Node, layer: Layer, source: fx.Node, parts: tuple[fx.Node, ...]) -> None:
        """One activation, if nobody else reads what it makes on the way."""
        inside = {last, *parts}
        if all(set(part.users) <= inside for part in parts):
            self.activations[last] = (layer, source)
            self.parts.update(parts)


def spelt_out(graph: fx.Graph) -> Spelt:
    """x sigmoid(x), x min(max(x + 3, 0), 6) / 6 and the latter without x, however the division is placed."""
    found = Spelt()
    for node in graph.nodes:
        for factor, other in _factors(node):
            if _is(factor, "sigmoid") and factor.args[0] is other:
                found.enter(node, SiLU(), other, (factor,))
            gate = _gate(factor)
            if gate is not None and gate[0] is other and _divided(factor) is not None:
                found.enter(node, Hardswish(), other, (factor, *gate[1]))
        divided = _divided(node)
        if divided is None:
            continue
        gate = _gate(node)
        if gate is not None and not _multiplied_with(node, gate[0]):
            found.enter(node, Hardsigmoid(), gate[0], gate[1])
        for factor, other in _factors(divided):
            open_gate = _open_gate(factor)
            if open_gate is not None and open_gate[0] is other:
                found.enter(node, Hardswish(), other, (divided, factor, *open_gate[1]))
    return found


def _is(node: object, *names: str) -> bool:
    return isinstance(node, fx.Node) and node.op == "call_function" and operation(node)[0] in names


def _factors(node: fx.Node) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Both ways to read a product of two tensors."""
    if _is(node, "mul") and all(isinstance(each, fx.Node) for each in node.args[:2]):
        left, right = node.args[:2]
        yield left, right  # type: ignore[misc]
        yield right, left  # type: ignore[misc]


def _divided(node: fx.Node) -> fx.Node | None:
    """What is divided by six, if that is what happens here."""
    number = node.args[1] if _is(node, "div", "mul") and len(node.args) > 1 else None
    if not isinstance(number, int | float) or not isinstance(node.args[0], fx.Node):
        return None
    wanted = 6 if _is(node, "div") else 1 / 6
    return node.args[0] if isclose(number, wanted, rel_tol=1e-6) else None


def _open_gate(node: fx.Node) -> tuple[fx.Node, tuple[fx.Node, ...]] | None:
    """x and the operations of min(max(x + 3, 0), 6)."""
    clipped = _is(node, "relu6") or (_is(node, "hardtanh", "clamp") and tuple(node.args[1:3]) == (0, 6))
    plus = node.args[0] if clipped else None
    if not isinstance(plus, fx.Node) or not _is(plus, "add") or plus.args[1] != 3 or plus.kwargs:
        return None
    return (plus.args[0], (plus,)) if isinstance(plus.args[0], fx.Node) else None


def _gate(node: fx.Node) -> tuple[fx.Node, tuple[fx.Node, ...]] | None:
    """x and the operations of min(max(x + 3, 0), 6) / 6, but for the last."""
    inside = _divided(node)
    found = None if inside is None else _open_gate(inside)
    return None if found is None or inside is None else (found[0], (inside, *found[1]))


def _multiplied_with(node: fx.Node, source: fx.Node) -> bool:
    """Whether the only thing that is made of a gate is a hard swish."""
    return len(node.users) == 1 and any(other is source for user in node.users for _, other in _factors(user))

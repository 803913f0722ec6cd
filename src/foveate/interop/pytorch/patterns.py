"""Finds several operations, spelt out by a module or by PyTorch itself, that are one layer in foveate."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from torch import fx

from foveate.interop.pytorch.rules import operation
from foveate.interop.pytorch.rules_of_arithmetic import line_of
from foveate.layers import Hardsigmoid, Hardswish, Layer, LocalResponseNorm, Rescale, SiLU


@dataclass(frozen=True)
class Spelt:
    """A layer and its input for the last operation of each pattern; `parts` are the others, which are left out."""

    layers: dict[fx.Node, tuple[Layer, fx.Node]] = field(default_factory=dict)
    parts: set[fx.Node] = field(default_factory=set)

    def enter(self, last: fx.Node, layer: Layer, source: fx.Node, parts: tuple[fx.Node, ...]) -> None:
        """Record one layer, if nothing else reads its intermediate results."""
        inside = {last, *parts}
        if all(set(part.users) <= inside for part in parts):
            self.layers[last] = (layer, source)
            self.parts.update(parts)


def spelt_out(graph: fx.Graph) -> Spelt:
    """Find x sigmoid(x), x min(max(x + 3, 0), 6) / 6 and the latter without x, wherever the division is placed.

    And a local response normalisation, which PyTorch expands into ten operations.
    """
    found = Spelt()
    for node in graph.nodes:
        normalization = _local_response_norm(node)
        if normalization is not None:
            found.enter(node, *normalization)
        for factor, other in _factors(node):
            if _keeps(factor, "sigmoid") and factor.args[0] is other:
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
    _join_lines(graph, found)
    return found


def _join_lines(graph: fx.Graph, found: Spelt) -> None:
    """Several operations with numbers, one after another, are one line: (x * 2 - 1) / 3."""
    for node in reversed(graph.nodes):
        line = None if node in found.parts or node in found.layers else line_of(node)
        if line is None or any(line_of(user) and user not in found.parts for user in node.users):
            continue
        source, factor, shift = line
        parts: list[fx.Node] = []
        while len(source.users) == 1 and source not in found.parts and source not in found.layers:
            before = None if operation(source)[1] else line_of(source)
            if before is None:
                break
            parts.append(source)
            source, factor, shift = before[0], factor * before[1], factor * before[2] + shift
        if parts and not operation(node)[1]:
            found.enter(node, Rescale(factor, shift), source, tuple(parts))


def _is(node: object, *names: str) -> bool:
    return isinstance(node, fx.Node) and node.op == "call_function" and operation(node)[0] in names


def _keeps(node: fx.Node, name: str) -> bool:
    """Whether this is the operation, and not in place."""
    return _is(node, name) and not operation(node)[1]


def _factors(node: fx.Node) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Both ways to read a product of two tensors."""
    if _is(node, "mul") and all(isinstance(each, fx.Node) for each in node.args[:2]):
        left, right = node.args[:2]
        yield left, right  # type: ignore[misc]
        yield right, left  # type: ignore[misc]


def _divided(node: fx.Node) -> fx.Node | None:
    """What is divided by six, if this is such a division."""
    number = node.args[1] if _is(node, "div", "mul") and len(node.args) > 1 else None
    if not isinstance(number, int | float) or not isinstance(node.args[0], fx.Node):
        return None
    wanted = 6 if _is(node, "div") else 1 / 6
    return node.args[0] if isclose(number, wanted, rel_tol=1e-6) else None


def _open_gate(node: fx.Node) -> tuple[fx.Node, tuple[fx.Node, ...]] | None:
    """x and the operations of min(max(x + 3, 0), 6)."""
    clipped = _is(node, "relu6") or (_is(node, "hardtanh", "clamp") and tuple(node.args[1:3]) == (0, 6))
    plus = node.args[0] if clipped else None
    if not isinstance(plus, fx.Node) or not _keeps(plus, "add") or plus.args[1] != 3 or plus.kwargs:
        return None
    return (plus.args[0], (plus,)) if isinstance(plus.args[0], fx.Node) else None


def _gate(node: fx.Node) -> tuple[fx.Node, tuple[fx.Node, ...]] | None:
    """x and the operations of min(max(x + 3, 0), 6) / 6, except the last."""
    inside = _divided(node)
    found = None if inside is None else _open_gate(inside)
    return None if found is None or inside is None else (found[0], (inside, *found[1]))


def _multiplied_with(node: fx.Node, source: fx.Node) -> bool:
    """Whether a gate is only used for a hard swish."""
    return len(node.users) == 1 and any(other is source for user in node.users for _, other in _factors(user))


def _local_response_norm(node: fx.Node) -> tuple[LocalResponseNorm, fx.Node, tuple[fx.Node, ...]] | None:
    """x / (k + alpha mean of x^2 over channels)^beta: the layer, x, and the operations except the last."""
    if not _is(node, "div") or not all(isinstance(each, fx.Node) for each in node.args[:2]):
        return None
    source, power = node.args[:2]
    base, beta = _with_number(power, "pow")
    scaled, k = _with_number(base, "add")
    mean, alpha = _with_number(scaled, "mul")
    pool, seen = _behind_views(mean)
    if k <= 0 or not _is(pool, "avg_pool2d", "avg_pool3d"):
        return None
    squares, seen_before = _behind_views(pool.args[0].args[0])
    size = _neighbours(pool)
    if size is None or not _keeps(squares, "mul") or not squares.args[0] is squares.args[1] is source:
        return None
    if mean.meta["val"].shape != squares.meta["val"].shape:
        return None
    parts: Any = (power, base, scaled, *seen, pool, pool.args[0], *seen_before, squares)
    return LocalResponseNorm(size, alpha=alpha, beta=beta, k=k), source, parts


def _with_number(node: Any, name: str) -> tuple[Any, float]:
    """What an operation combines with a number, and the number; None if it does something else."""
    if _is(node, name) and not node.kwargs and isinstance(node.args[1], int | float):
        return node.args[0], float(node.args[1])
    return None, 0.0


def _behind_views(node: Any) -> tuple[Any, tuple[fx.Node, ...]]:
    """The operation whose result is viewed in another shape, and the operations that do so."""
    seen = []
    while _is(node, "view", "reshape", "squeeze", "unsqueeze"):
        seen.append(node)
        node = node.args[0]
    return node, tuple(seen)


def _neighbours(pool: Any) -> int | None:
    """How many channels the averages of padded squares span, if nothing else; an axis of one precedes them."""
    padding = pool.args[0]
    if not _is(padding, "pad") or len(pool.args) != 3 or len(padding.args) != 2 or pool.kwargs or padding.kwargs:
        return None
    (size, *others), steps = pool.args[1:]
    around = [*(0,) * (2 * len(others)), size // 2, (size - 1) // 2]
    alone = {padding.args[0].meta["val"].shape[1], *others, *steps} == {1}
    return int(size) if alone and list(padding.args[1]) == around else None

"""Rules for operations that make one number of many along axes."""

from collections.abc import Sequence
from typing import Any

from torch import fx

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.pytorch.rules import Arguments, operation, refuse_places, rule
from foveate.interop.pytorch.rules_of_windows import pooled
from foveate.interop.pytorch.taking import Taking
from foveate.interop.walk import NotTakenError
from foveate.layers import Abs, Maxout, Power, Reduce, Rescale, Shape, Subtract


@rule("mean", "amax", "amin", "sum")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    dims, keepdim = _dims(node, given.get("dim")), bool(given.get("keepdim"))
    kind = operation(node)[0].removeprefix("a")
    found = pooled(taking, node, kind, dims, keepdim=keepdim)
    if found is not None:
        return found
    return _reduced(taking, node, kind, taking.value(given["self"]), dims, keepdim=keepdim)


@rule("max", "min")
def _(taking: Taking, node: fx.Node, given: Arguments) -> list[Held | None]:
    """Maxima and their places; over neighbouring channels, each group of which was made an axis, it is a Maxout."""
    if "dim" not in given:
        raise NotTakenError("it is over the batch")
    refuse_places(node)
    source, kind = taking.held(given["self"]), operation(node)[0]
    groups, *rest = source.shape
    grouped = len(rest) > 0 and source.value.shape == (groups * rest[0], *rest[1:]) and not source.waits
    dims = _dims(node, given["dim"])
    if kind == "max" and grouped and dims == [2] and not given["keepdim"]:
        return [held(taking.add(Maxout(rest[0]), source.value, node=node)), None]
    value = taking.value(given["self"])
    return [_reduced(taking, node, kind, value, dims, keepdim=given["keepdim"]), None]


@rule("var", "std")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """The mean square of what differs from the mean, and for a deviation its root."""
    dims, value = _dims(node, given.get("dim")), taking.value(given["self"])
    count = _count(value.shape, dims)
    less = given["correction"] if given.get("correction") is not None else 1 if given.get("unbiased", True) else 0
    if count <= less:
        raise NotTakenError(f"it is over {count} numbers, of which there is no deviation")
    mean = _reduced(taking, node, "mean", value, dims, keepdim=True).value
    squares = taking.add(Power(2.0), taking.add(Subtract(), value, mean, node=node), node=node)
    variance = _reduced(taking, node, "mean", squares, dims, keepdim=bool(given.get("keepdim")))
    if less:
        variance = variance.then(taking.add(Rescale(count / (count - less)), variance.value, node=node))
    if operation(node)[0] == "var":
        return variance
    return variance.then(taking.add(Power(0.5), variance.value, node=node))


@rule("norm", "linalg_vector_norm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    order = float(given.get("ord", given.get("p")) or 2)
    if order not in (1.0, 2.0):
        raise NotTakenError(f"it is a norm of order {order:g}, not 1 or 2")
    powers = taking.add(Power(2.0) if order == 2 else Abs(), taking.value(given["self"]), node=node)
    total = _reduced(taking, node, "sum", powers, _dims(node, given["dim"]), keepdim=given["keepdim"])
    return total if order == 1 else total.then(taking.add(Power(0.5), total.value, node=node))


def _dims(node: fx.Node, dim: Any) -> list[int]:
    """The axes of an operation, the batch being 0; all if none are named."""
    rank = node.args[0].meta["val"].dim()  # type: ignore[union-attr]
    named = [dim] if isinstance(dim, int) else list(dim or range(rank))
    dims = sorted({axis % rank for axis in named})
    if 0 in dims:
        raise NotTakenError("it is over the batch")
    return dims


def _count(shape: Shape, dims: Sequence[int]) -> int:
    count = 1
    for axis in dims:
        count *= shape[axis - 1]
    return count


def _reduced(taking: Taking, node: fx.Node, kind: str, value: Value, dims: Sequence[int], *, keepdim: bool) -> Held:
    layer = Reduce(kind, tuple(axis - 1 for axis in dims), keepdim)
    if len(dims) == len(value.shape) and not keepdim:
        raise NotTakenError("it reduces each sample to a scalar; use keepdim=True")
    return held(taking.add(layer, value, node=node))

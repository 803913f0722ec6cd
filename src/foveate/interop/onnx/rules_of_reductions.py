"""Rules for operators that make one number of many along axes."""

from math import prod

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.rules_of_windows import pooled
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import Op
from foveate.interop.walk import NotTakenError
from foveate.layers import Abs, Add, Exp, Layer, Log, Power, Reduce, Reshape, Subtract

_PLAIN = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceProd": "prod", "ReduceMax": "max", "ReduceMin": "min"}

_BEFORE: dict[str, Layer] = {"ReduceL1": Abs(), "ReduceL2": Power(2.0), "ReduceSumSquare": Power(2.0)}
_AFTER: dict[str, Layer] = {"ReduceL2": Power(0.5), "ReduceLogSum": Log()}
"""What a sum is of, and what is done to it."""


@rule(*_PLAIN, "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def _(op: Op) -> Held:
    rank, keepdims, kind = op.rank(), bool(op.get("keepdims", 1)), op.node.kind
    axes = op.option("axes", 1)
    if not axes and op.get("noop_with_empty_axes", 0):
        return _of_each(op, kind)
    wanted = sorted({int(axis) % rank for axis in axes or range(rank)})
    if wanted[0] == 0 and op.taking.batch == 1 and keepdims:
        wanted = wanted[1:]
    if not wanted or wanted[0] == 0:
        raise NotTakenError("it is over the batch")
    dims = tuple(axis - 1 for axis in wanted)
    value = op.value()
    if kind in ("ReduceMean", "ReduceMax") and 2 <= len(value.shape) <= 4 and dims == tuple(range(1, rank - 1)):
        return pooled(op, value, _PLAIN[kind], keepdims=keepdims)
    if kind == "ReduceLogSumExp":
        return _log_sum_exp(op, value, dims, keepdims=keepdims)
    if kind in _BEFORE:
        value = op.add(_BEFORE[kind], value)
    made = reduced(op, _PLAIN.get(kind, "sum"), value, dims, keepdims=keepdims)
    return made.then(op.add(_AFTER[kind], made.value)) if kind in _AFTER else made


def _of_each(op: Op, kind: str) -> Held:
    """Without axes, where that means none, a function of single numbers."""
    if kind in ("ReduceL1", "ReduceL2"):
        return op.mapped(Abs())
    alone: dict[str, Layer] = {"ReduceSumSquare": Power(2.0), "ReduceLogSum": Log()}
    return op.mapped(alone[kind]) if kind in alone else op.held()


def reduced(op: Op, kind: str, value: Value, dims: tuple[int, ...], *, keepdims: bool) -> Held:
    """One number of many; of all axes of a sample, one stays."""
    if len(dims) == len(value.shape) and not keepdims:
        flat = value if len(value.shape) == 1 else op.add(Reshape((prod(value.shape),)), value)
        return Held(op.add(Reduce(kind, (0,), keepdims=True), flat), ())
    return held(op.add(Reduce(kind, dims, keepdims=keepdims), value))


def _log_sum_exp(op: Op, value: Value, dims: tuple[int, ...], *, keepdims: bool) -> Held:
    """The maximum is taken out, so that no number is too large for the exponential."""
    most = op.add(Reduce("max", dims, keepdims=True), value)
    sums = op.add(Reduce("sum", dims, keepdims=True), op.add(Exp(), op.add(Subtract(), value, most)))
    total = held(op.add(Add(), op.add(Log(), sums), most))
    rest = tuple(size for axis, size in enumerate(value.shape) if axis not in dims)
    return total if keepdims else op.taking.reshaped(total, rest, op.node)

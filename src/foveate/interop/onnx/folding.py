"""Operators on nothing but arrays and shapes, which are computed during import: shape arithmetic, mostly."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from foveate.interop.onnx.rules_of_movement import shape_after
from foveate.interop.onnx.taking import LARGEST_ARRAY, LARGEST_MADE, Fixed, Op, check_size
from foveate.interop.onnx.tensors import FLOATS, TYPES, Array
from foveate.interop.walk import NotTakenError

FOLDED: dict[str, Callable[[Op, list[Any]], Any]] = {}
"""Functions from the operation and its arrays, None for those left out, to an array or several."""


def folded(*names: str) -> Callable[[Callable[[Op, list[Any]], Any]], Callable[[Op, list[Any]], Any]]:
    """Register a function under the names of operators."""

    def enter(function: Callable[[Op, list[Any]], Any]) -> Callable[[Op, list[Any]], Any]:
        FOLDED.update(dict.fromkeys(names, function))
        return function

    return enter


def fold(op: Op, inputs: Sequence[Fixed | None]) -> list[Fixed]:
    """The results of an operation on arrays."""
    arrays = [None if each is None else each.tensor for each in inputs]
    if op.taking.computed > LARGEST_ARRAY:
        raise NotTakenError(f"more than {LARGEST_ARRAY:,} numbers were computed from arrays before it")
    with np.errstate(all="ignore"):
        made = FOLDED[op.node.kind](op, arrays)
    results = [_plain(each) for each in (made if isinstance(made, list) else [made])]
    op.taking.computed += sum(each.size for each in results if each.flags.owndata)
    first = inputs[0] if inputs else None
    if op.node.kind in _VIEWS and first is not None and first.name is not None:
        return [first.changed(each, f"{op.node.kind} ") for each in results]
    return [Fixed(each) for each in results]


_VIEWS = ("Identity", "Cast", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "DequantizeLinear")
"""Operators after which an array is still the one of the file."""


def _plain(array: Any) -> Array:
    made = np.asarray(array)
    return made.astype(np.float32) if made.dtype in (np.float64, np.float16) else made


_ONE: dict[str, Callable[[Array], Any]] = {
    "Identity": lambda a: a, "Neg": np.negative, "Abs": np.abs, "Floor": np.floor, "Ceil": np.ceil, "Sqrt": np.sqrt,
    "Exp": np.exp, "Log": np.log, "Reciprocal": lambda a: 1 / a, "Not": np.logical_not, "Sign": np.sign,
    "Round": np.rint, "Relu": lambda a: np.maximum(a, 0), "Sigmoid": lambda a: 1 / (1 + np.exp(-a)), "Tanh": np.tanh,
    "Sin": np.sin, "Cos": np.cos, "IsNaN": np.isnan, "Softplus": lambda a: np.logaddexp(0, a),
}  # fmt: skip

_TWO: dict[str, Callable[[Array, Array], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Equal": np.equal, "Less": np.less,
    "Greater": np.greater, "LessOrEqual": np.less_equal, "GreaterOrEqual": np.greater_equal, "And": np.logical_and,
    "Or": np.logical_or, "Xor": np.logical_xor, "MatMul": np.matmul,
}  # fmt: skip

for _name, _one in _ONE.items():
    folded(_name)(lambda op, arrays, one=_one: one(arrays[0]))  # type: ignore[misc]

for _name, _two in _TWO.items():

    @folded(_name)
    def _(op: Op, arrays: list[Any], two: Callable[[Array, Array], Any] = _two) -> Any:
        if op.node.kind == "MatMul":
            stacks = np.broadcast_shapes(arrays[0].shape[:-2], arrays[1].shape[:-2])
            check_size((*stacks, *arrays[0].shape[-2:-1], *arrays[1].shape[-1:] * (arrays[1].ndim > 1)))
        else:
            check_size(np.broadcast_shapes(arrays[0].shape, arrays[1].shape))
        return two(arrays[0], arrays[1])


@folded("Max", "Min", "Sum")
def _(op: Op, arrays: list[Any]) -> Any:
    check_size(np.broadcast_shapes(*(array.shape for array in arrays)))
    return reduce({"Max": np.maximum, "Min": np.minimum, "Sum": np.add}[op.node.kind], arrays)


@folded("Div")
def _(op: Op, arrays: list[Any]) -> Any:
    check_size(np.broadcast_shapes(arrays[0].shape, arrays[1].shape))
    left, right = arrays[:2]
    if left.dtype.kind == "f":
        return left / right
    if not right.all():
        raise NotTakenError("it divides by 0")
    return (np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right))).astype(left.dtype)


@folded("Pow")
def _(op: Op, arrays: list[Any]) -> Any:
    """Of the type of the base; whole numbers are rounded towards 0."""
    check_size(np.broadcast_shapes(arrays[0].shape, arrays[1].shape))
    base, exponent = arrays[:2]
    if base.dtype.kind == "f" or (exponent.dtype.kind in "iu" and bool((exponent >= 0).all())):
        return np.power(base, exponent).astype(base.dtype)
    return np.trunc(np.power(base.astype(np.float64), exponent)).astype(base.dtype)


@folded("Mod")
def _(op: Op, arrays: list[Any]) -> Any:
    if not arrays[1].all():
        raise NotTakenError("it divides by 0")
    return (np.fmod if op.get("fmod", 0) else np.mod)(arrays[0], arrays[1])


@folded("Clip")
def _(op: Op, arrays: list[Any]) -> Any:
    bounds = [*arrays[1:], None, None] if op.opset >= 11 else [op.get("min"), op.get("max")]
    return np.clip(arrays[0], bounds[0], bounds[1]) if any(each is not None for each in bounds[:2]) else arrays[0]


@folded("Where")
def _(op: Op, arrays: list[Any]) -> Any:
    check_size(np.broadcast_shapes(*(array.shape for array in arrays)))
    return np.where(*arrays)


@folded("Cast", "CastLike")
def _(op: Op, arrays: list[Any]) -> Any:
    kind = TYPES.get(op.get("to", 1), "unknown") if op.node.kind == "Cast" else str(arrays[1].dtype)
    if kind in FLOATS:
        return arrays[0].astype(np.float32)
    if not kind.startswith(("int", "uint", "bool")) or kind in ("int4", "uint4", "int2", "uint2"):
        raise NotTakenError(f"it makes numbers of the type {kind}")
    return arrays[0].astype(kind)


@folded("Constant")
def _(op: Op, arrays: list[Any]) -> Any:
    given = op.node.attributes
    for name, kind in _CONSTANTS.items():
        if name in given:
            return np.asarray(given[name], None if kind is None else kind)
    raise NotTakenError(f"its value is of a kind that is not read: {', '.join(given) or 'none'}")


_CONSTANTS = {
    "value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64
}  # fmt: skip


@folded("ConstantOfShape")
def _(op: Op, arrays: list[Any]) -> Any:
    value = op.get("value", np.zeros(1, np.float32))
    return np.full(check_size(arrays[0], LARGEST_MADE), value.reshape(-1)[0])


@folded("Range")
def _(op: Op, arrays: list[Any]) -> Any:
    start, limit, delta = (array.reshape(()) for array in arrays)
    if delta == 0:
        raise NotTakenError("its step is 0")
    check_size([max(0, int(np.ceil((limit - start) / delta)))], LARGEST_MADE)
    return np.arange(start, limit, delta, dtype=start.dtype)


@folded("Shape")
def _(op: Op, arrays: list[Any]) -> Any:
    return shape_part(op, arrays[0].shape)


def shape_part(op: Op, full: Sequence[int]) -> Array:
    """The sizes that Shape returns."""
    return np.array(full[op.get("start", 0) : op.get("end", len(full))], np.int64)


@folded("Size")
def _(op: Op, arrays: list[Any]) -> Any:
    return np.int64(arrays[0].size)


@folded("Gather")
def _(op: Op, arrays: list[Any]) -> Any:
    data, indices, axis = arrays[0], arrays[1], op.get("axis", 0)
    check_size((data.size // max(1, data.shape[axis]), indices.size))
    return np.take(data, indices.astype(np.int64), axis=axis)


@folded("Concat")
def _(op: Op, arrays: list[Any]) -> Any:
    check_size(
        [sum(array.size for array in arrays)], LARGEST_MADE if len({*map(id, arrays)}) < len(arrays) else LARGEST_ARRAY
    )
    return np.concatenate(arrays, axis=op.get("axis", 0))


@folded("Reshape")
def _(op: Op, arrays: list[Any]) -> Any:
    wanted = [int(size) for size in arrays[1]] if len(arrays) > 1 else op.get("shape", [])
    if not arrays[0].size:
        return arrays[0].reshape(wanted)
    return arrays[0].reshape(shape_after(arrays[0].shape, wanted, copies=not op.get("allowzero", 0)))


@folded("Flatten")
def _(op: Op, arrays: list[Any]) -> Any:
    axis = op.get("axis", 1)
    return arrays[0].reshape(int(np.prod(arrays[0].shape[:axis])), -1)


@folded("Transpose")
def _(op: Op, arrays: list[Any]) -> Any:
    return arrays[0].transpose(op.get("perm"))


@folded("Squeeze")
def _(op: Op, arrays: list[Any]) -> Any:
    axes = op.option("axes", 1)
    return np.squeeze(arrays[0], None if axes is None else tuple(axes))


@folded("Unsqueeze")
def _(op: Op, arrays: list[Any]) -> Any:
    return np.expand_dims(arrays[0], tuple(op.option("axes", 1)))


@folded("Slice")
def _(op: Op, arrays: list[Any]) -> Any:
    starts, ends = op.option("starts", 1), op.option("ends", 2)
    axes = op.option("axes", 3) or range(len(starts))
    steps = op.option("steps", 4) or [1] * len(starts)
    index: list[Any] = [slice(None)] * arrays[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = arrays[0].shape[axis]
        taken = range(*slice(start, end, step).indices(size))
        index[axis] = list(taken) if step < 0 else slice(taken.start, taken.stop, taken.step)
        if step < 0 and sum(isinstance(each, list) for each in index) > 1:
            raise NotTakenError("it turns several axes of an array round")
    return arrays[0][tuple(index)]


@folded("Split")
def _(op: Op, arrays: list[Any]) -> Any:
    axis, sizes = op.get("axis", 0), op.option("split", 1)
    if sizes is None and (op.get("num_outputs") or 0) > arrays[0].shape[axis]:
        raise NotTakenError(f"it splits {arrays[0].shape[axis]} positions into {op.get('num_outputs')} parts")
    if sizes is None:
        count, size = op.get("num_outputs") or len(op.node.outputs), arrays[0].shape[axis]
        sizes = [-(-size // count)] * (count - 1)  # the last one is what is left
        return np.split(arrays[0], np.cumsum(sizes).tolist(), axis)
    return np.split(arrays[0], np.cumsum(sizes)[:-1].tolist(), axis)


@folded("Expand")
def _(op: Op, arrays: list[Any]) -> Any:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(arrays[1].tolist()))
    return np.broadcast_to(arrays[0], check_size(shape, max(LARGEST_MADE, arrays[0].size)))


@folded("Tile")
def _(op: Op, arrays: list[Any]) -> Any:
    sizes = [size * times for size, times in zip(arrays[0].shape, arrays[1].tolist(), strict=True)]
    check_size(sizes, max(LARGEST_MADE, arrays[0].size))
    return np.tile(arrays[0], arrays[1].tolist())


@folded("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean")
def _(op: Op, arrays: list[Any]) -> Any:
    axes = op.option("axes", 1)
    if not axes and op.get("noop_with_empty_axes", 0):
        return arrays[0]
    functions: dict[str, Callable[..., Any]] = {
        "Prod": np.prod, "Sum": np.sum, "Max": np.max, "Min": np.min, "Mean": np.mean
    }  # fmt: skip
    function = functions[op.node.kind.removeprefix("Reduce")]
    over = None if not axes else tuple(axes)
    return function(arrays[0], axis=over, keepdims=bool(op.get("keepdims", 1))).astype(arrays[0].dtype)


@folded("Pad")
def _(op: Op, arrays: list[Any]) -> Any:
    pads = arrays[1].tolist() if len(arrays) > 1 else op.get("pads", [])
    half = len(pads) // 2
    pairs = list(zip(pads[:half], pads[half:], strict=True))
    check_size([size + sum(pair) for size, pair in zip(arrays[0].shape, pairs, strict=True)])
    if op.get("mode", "constant") != "constant" or len(arrays) > 3:
        raise NotTakenError("it pads an array by copies, or some axes")
    filler = arrays[2].reshape(-1)[0] if len(arrays) > 2 and arrays[2] is not None else 0
    return np.pad(arrays[0], pairs, constant_values=filler)


@folded("Trilu")
def _(op: Op, arrays: list[Any]) -> Any:
    number = int(arrays[1]) if len(arrays) > 1 and arrays[1] is not None else 0
    return (np.triu if op.get("upper", 1) else np.tril)(arrays[0], number)


@folded("NonZero")
def _(op: Op, arrays: list[Any]) -> Any:
    return np.array(np.nonzero(arrays[0]), np.int64)


@folded("DequantizeLinear")
def _(op: Op, arrays: list[Any]) -> Any:
    from foveate.interop.onnx.quantized import dequantized

    return dequantized(arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None, op.get("axis", 1))

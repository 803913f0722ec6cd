"""Values in which the batch is not alone in the first axis for a while, such as the queries of all samples and heads.

Here every value has its batch first. `taking.leads` says where it is in the file; operators that are met in between are
translated to the axes here: those of the file in order, what shares an axis with the batch as axes of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from foveate.interop.held import Held
from foveate.interop.onnx.rules_of_movement import shape_after, squeezed, unsqueezed
from foveate.interop.onnx.table import find
from foveate.interop.onnx.taking import Fixed, Lead, Op
from foveate.interop.walk import NotTakenError

ALIKE = (
    *("Abs", "Cast", "Celu", "Clip", "Dropout", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity"),
    *("LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt"),
    *("Swish", "Tanh", "ThresholdedRelu"),
)
"""Functions of single numbers."""

PAIRED = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min")
NORMALIZING = ("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
REDUCING = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")

ELSEWHERE = "the batch is not the first axis of its input"


def translated(op: Op) -> list[Any] | None:
    """The results of an operator if the batch is elsewhere in what it reads, or becomes so; None if it is not."""
    node, leads = op.node, op.taking.leads
    first = leads.get(node.inputs[0]) if node.inputs else None
    if node.domain == "" and node.kind == "Transpose":
        return _transposed(op, first)
    if node.domain == "" and node.kind in _SIZES:
        return _relaid(op, first)
    lead = next((leads[name] for name in node.inputs if name in leads), None)
    if lead is None:
        return None
    if node.domain == "" and node.kind in (*ALIKE, *PAIRED, "MatMul", "Gemm"):
        return _as_here(op, lead)
    if node.domain == "" and node.kind in (*NORMALIZING, *REDUCING, "Gather", "Slice", "Split", "Concat"):
        return _along_axes(op, lead)
    raise NotTakenError(ELSEWHERE)


def file_shape(op: Op, number: int = 0) -> tuple[int, ...]:
    """The shape of an input in the file, wherever its batch is."""
    lead = op.taking.leads.get(op.node.inputs[number])
    if lead is None:
        return op.shape(number)
    here, batch = op.shape(number)[1:], op.taking.batch * lead.before * lead.after
    return (*here[: lead.axis], batch, *here[lead.axis + lead.extra :])


def _recorded(op: Op, results: Any, lead: Lead | None) -> list[Any]:
    """The results, with the place of the batch in each."""
    if lead is not None and lead != Lead(0):
        op.taking.leads.update({name: lead for name in op.node.outputs if name})
    return results if isinstance(results, list) else [results]


def _run(op: Op, inputs: Sequence[str], attributes: dict[str, Any]) -> Any:
    """What the operator's rule makes of values in the order of axes here."""
    made = find(op.node, op.opset)
    assert made is not None, "there is a rule for each of them"
    return made(Op(op.taking, replace(op.node, inputs=tuple(inputs), attributes=attributes)))


def _transposed(op: Op, lead: Lead | None) -> list[Any] | None:
    rank = len(file_shape(op))
    order: Sequence[int] = [axis % rank for axis in op.get("perm", range(rank - 1, -1, -1))]
    if sorted(order) != list(range(rank)):
        raise NotTakenError(f"it orders {rank} axes as {list(order)}")
    before = lead or Lead(0)
    after = order.index(before.axis)
    if lead is None and (not after or (op.taking.batch == 1 and op.shape()[order[0]] == 1)):
        return None  # nothing changes for the batch, or two axes of length 1 are exchanged
    source = op.known()
    assert isinstance(source, Held), "of arrays transposes are computed"
    shared = range(before.axis + 1, before.axis + 1 + before.extra)
    here = [0]
    for axis in order:
        here += shared if axis == before.axis else [before.here(axis)]
    return _recorded(op, op.taking.moved(source, here, op.node), replace(before, axis=after))


def _reshape(op: Op, full: Sequence[int]) -> Sequence[int]:
    wanted = [int(size) for size in op.option("shape", 1)]
    return shape_after(tuple(full), wanted, copies=not op.get("allowzero", 0))


def _flatten(op: Op, full: Sequence[int]) -> Sequence[int]:
    axis = op.get("axis", 1) % (len(full) + 1) if op.get("axis", 1) >= 0 else op.get("axis", 1) + len(full)
    return prod(full[:axis]), prod(full[axis:])


_SIZES: dict[str, Callable[[Op, Sequence[int]], Sequence[int]]] = {
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": squeezed, "Unsqueeze": unsqueezed
}  # fmt: skip


def _relaid(op: Op, lead: Lead | None) -> list[Any] | None:
    """The same numbers in other axes; the batch is where as many numbers come before it as in the file."""
    full, batch = file_shape(op), op.taking.batch
    target = _SIZES[op.node.kind](op, full)
    if lead is None and (not target or target[0] == batch):
        return None
    before = lead or Lead(0)
    place = _place(target, prod(full[: before.axis]) * before.before, batch)
    if place is None:
        if lead is None:
            return None  # its rule says why
        raise NotTakenError("it takes an axis apart in which positions of several samples are")
    own = [size for size in (place.before, place.after) if size > 1]
    here = (*target[: place.axis], *own, *target[place.axis + 1 :])
    return _recorded(op, op.taking.reshaped(op.held(), here, op.node), place)


def _place(sizes: Sequence[int], numbers: int, batch: int) -> Lead | None:
    """The axis that the batch is in, if so many numbers come before it; alone if that is possible."""
    found = []
    for axis, size in enumerate(sizes):
        begin = prod(sizes[:axis])
        if begin <= numbers and numbers % begin == 0 and size % (numbers // begin * batch) == 0:
            before = numbers // begin
            found.append(Lead(axis, before, size // (before * batch)))
    return min(found, key=lambda lead: (lead.before > 1) + (lead.before * lead.after > 1), default=None)


def _as_here(op: Op, lead: Lead) -> list[Any]:
    """Number by number, or a product along the last axes: as it is, with arrays in the order of axes here."""
    taking, kind, names = op.taking, op.node.kind, list(op.node.inputs)
    places = {
        (taking.leads.get(name), len(file_shape(op, number)))
        for number, name in enumerate(names)
        if isinstance(taking.known.get(name), Held)
    }
    if len(places) > 1:
        raise NotTakenError(f"{ELSEWHERE}, or is elsewhere in another")
    ((_, rank),) = places
    if kind in ("MatMul", "Gemm"):
        right = op.known(1)
        summed = 2 if isinstance(right, Fixed) and right.tensor.ndim <= 2 else 3  # axes that the batch may not be in
        if lead.axis > rank - summed:
            raise NotTakenError(f"{ELSEWHERE}, but one of those of its matrices")
    for number, name in enumerate(names):
        known = taking.known.get(name)
        if isinstance(known, Fixed) and (kind in PAIRED or (kind == "MatMul" and known.tensor.ndim > 2)):
            names[number] = f"{name}, in the order of axes here"
            taking.known[names[number]] = _in_axes_here(op, known, lead, rank)
    before = set(taking.ready)
    results = _run(op, names, {**op.node.attributes, "of_positions": 1})
    taking.leads.update(dict.fromkeys(set(taking.ready) - before, lead))  # done together with this one
    return _recorded(op, results, lead)


def _in_axes_here(op: Op, array: Fixed, lead: Lead, rank: int) -> Fixed:
    """An array with an axis for the batch first, and one for everything that shares an axis with it in the file."""
    sizes = (1,) * (rank - array.tensor.ndim) + array.tensor.shape
    shared = sizes[lead.axis] if array.tensor.ndim <= rank else 0
    own = [size for size in (lead.before, lead.after) if size > 1]
    if shared == 1 or (op.taking.batch == 1 and shared == prod(own)):
        inside = [1] * len(own) if shared == 1 else own
        return array.seen_as((1, *sizes[: lead.axis], *inside, *sizes[lead.axis + 1 :]))
    raise NotTakenError(f"{array.told} has numbers of its own for each sample")


def _along_axes(op: Op, lead: Lead) -> list[Any]:
    """Along axes, which are others here; a scalar index or a reduction may remove some before the batch."""
    kind, attributes, rank = op.node.kind, dict(op.node.attributes), len(file_shape(op))
    if any(op.taking.leads.get(n) != lead for n in op.node.inputs if isinstance(op.taking.known.get(n), Held)):
        raise NotTakenError(f"{ELSEWHERE}, or is elsewhere in another")
    gone = 0
    if kind in ("Slice", *REDUCING):
        number = 3 if kind == "Slice" else 1
        axes = op.option("axes", number)
        if axes is None and kind != "Slice":
            raise NotTakenError("it is over the batch, too")
        axes = [axis % rank for axis in (axes if axes is not None else range(len(op.option("starts", 1))))]
        attributes["axes"] = [_own(axis, lead) for axis in axes]
        gone = sum(axis < lead.axis for axis in axes) if kind != "Slice" and not op.get("keepdims", 1) else 0
    else:
        default = {"Gather": 0, "Split": 0, "Softmax": 1, "LogSoftmax": 1}.get(kind, -1)
        axis = op.get("axis", -1 if "oftmax" in kind and op.opset >= 13 else default) % rank
        attributes["axis"] = _own(axis, lead)
        gone = 1 - op.fixed(1).tensor.ndim if kind == "Gather" and axis < lead.axis else 0
    waiting = {name: op.taking.leads.pop(name) for name in op.node.inputs if name in op.taking.leads}
    try:
        results = _run(op, op.node.inputs, attributes)
    finally:
        op.taking.leads.update(waiting)
    return _recorded(op, results, replace(lead, axis=lead.axis - gone))


def _own(axis: int, lead: Lead) -> int:
    """An axis of the file where the batch is first; not the one that the batch is in."""
    if axis == lead.axis:
        raise NotTakenError("it is over the batch")
    return lead.here(axis)

"""Values in which the batch is not alone in the first axis for a while, such as the queries of all samples and heads.

Here every value has its batch first. `taking.leads` says where it is in the file, and operators that read such values
are translated to the axes here: those of the file in order, with what shares an axis with the batch as axes of its own.

Nothing is guessed from sizes: a reshape leaves as many numbers before the batch as there were. A batch of one that has
left the first axis is an axis like any other, so an operator may go along it.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from foveate.interop.held import Held
from foveate.interop.onnx.reading import OWN
from foveate.interop.onnx.rules_of_movement import SIZES, order_of
from foveate.interop.onnx.table import find
from foveate.interop.onnx.taking import Fixed, Lead, Op
from foveate.interop.walk import NotTakenError

ALIKE = (
    *("Abs", "Cast", "Celu", "Clip", "Dropout", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity"),
    *("LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt"),
    *("Swish", "Tanh", "ThresholdedRelu"),
)
"""Functions of single numbers."""

PAIRED = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean")
PRODUCTS = ("MatMul", "Gemm")
ALIGNED = (*PAIRED, *PRODUCTS, "PRelu")
"""Operators of several inputs, whose axes are matched from the last one on."""

REDUCING = (
    *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("ReduceLogSum", "ReduceLogSumExp"),
)
FROM_ONE_ON = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
"""Along all axes from one on; Softmax and LogSoftmax before version 13 too."""

ALONG_ONE = {
    "Softmax": -1, "LogSoftmax": -1, "LpNormalization": -1, "Gather": 0, "Split": 0, "Concat": 1,
    **dict.fromkeys(FROM_ONE_ON, -1)
}  # fmt: skip
"""Operators along one axis, and which that is if none is named."""

ELSEWHERE = "the batch is not the first axis of its input"


def translated(op: Op) -> list[Any] | None:
    """The results of an operator if the batch is elsewhere in what it reads, or becomes so; None if it is not."""
    kind, leads = op.node.kind if op.node.domain in OWN else "", op.taking.leads
    lead = next((leads[name] for name in op.node.inputs if name in leads), None)
    if kind == "Transpose":
        return _transposed(op, lead)
    if kind in SIZES:
        return _relaid(op, lead)
    if lead is None and kind in ALIGNED:
        _check_only_axis(op)
        if not any(op.held(number).shape for number in _tensors(op)):
            return [_run(op, {}).seen_as(())]  # one number of each sample, though a layer makes an axis of it
    if lead is None:
        return None
    if kind in (*ALIKE, *PAIRED, *PRODUCTS):
        return _as_here(op)
    if kind in ALONG_ONE or kind in (*REDUCING, "Slice"):
        return _along_axes(op)
    raise NotTakenError(ELSEWHERE)


def _check_only_axis(op: Op) -> None:
    """A value with no axis but the batch would meet the last axis of others with it."""
    known = [op.taking.known.get(name) for name in op.node.inputs]
    tensors = [each for each in known if isinstance(each, Held)]
    if all(tensor.shape for tensor in tensors):
        return
    several = any(tensor.shape for tensor in tensors) and op.taking.batch > 1
    if several or any(isinstance(each, Fixed) and each.tensor.size > 1 for each in known):
        raise NotTakenError("the batch is the only axis of its input, and meets the last one of another")


def file_shape(op: Op, number: int = 0) -> tuple[int, ...]:
    """The shape of an input in the file, wherever its batch is."""
    lead = op.taking.leads.get(op.node.inputs[number])
    if lead is None:
        return op.shape(number)
    here, batch = op.shape(number)[1:], op.taking.batch * lead.before * lead.after
    return (*here[: lead.axis], batch, *here[lead.axis + lead.extra :])


def _recorded(op: Op, results: Any, lead: Lead) -> list[Any]:
    """The results, with the place of the batch in each."""
    made = list(results) if isinstance(results, list) else [results]
    for number, (name, each) in enumerate(zip(op.node.outputs, made, strict=False)):
        own = lead
        if isinstance(each, Held) and op.taking.batch == 1 and lead.extra:
            own, made[number] = _settled(op, each)
        if name and own != Lead(0):
            op.taking.leads[name] = own
    return made


def _settled(op: Op, result: Held) -> tuple[Lead, Held]:
    """A sample that has all axes of the file: its first one, if of length 1, is the batch."""
    if not result.shape:
        raise NotTakenError("it leaves no axis for the batch")
    if result.shape[0] == 1:
        return Lead(0), op.taking.reshaped(result, result.shape[1:], op.node)
    return Lead(0, after=result.shape[0]), result


def _run(op: Op, attributes: dict[str, Any]) -> Any:
    """What the operator's rule makes of values in the order of axes here."""
    made = find(op.node, op.opset)
    assert made is not None, "there is a rule for each of them"
    return made(Op(op.taking, replace(op.node, attributes={**op.node.attributes, **attributes})))


def _transposed(op: Op, lead: Lead | None) -> list[Any] | None:
    order = order_of(op, len(file_shape(op)))
    before = lead or Lead(0)
    after = order.index(before.axis)
    if lead is None and (not after or (op.taking.batch == 1 and op.shape()[order[0]] == 1)):
        return None  # nothing changes for the batch, or two axes of length 1 are exchanged
    shared = range(before.axis + 1, before.axis + 1 + before.extra)
    here = [0]
    for axis in order:
        here += shared if axis == before.axis else [before.here(axis)]
    return _recorded(op, op.taking.moved(op.held(), here, op.node), replace(before, axis=after))


def _relaid(op: Op, lead: Lead | None) -> list[Any] | None:
    """The same numbers in other axes."""
    full = file_shape(op)
    target = SIZES[op.node.kind](op, full)
    if lead is None and (not target or target[0] == op.taking.batch):
        return None
    before = lead or Lead(0)
    place = _place(target, prod(full[: before.axis]) * before.before, op.taking.batch)
    if place is None and lead is None:
        return None  # its rule says why
    if place is None:
        raise NotTakenError("it takes apart an axis that holds positions of several samples")
    here = (*target[: place.axis], *place.own, *target[place.axis + 1 :])
    return _recorded(op, op.taking.reshaped(op.held(), here, op.node), place)


def _place(sizes: Sequence[int], numbers: int, batch: int) -> Lead | None:
    """The axis that holds the batch if so many numbers come before it; None if samples would be taken apart."""
    begins = [prod(sizes[:axis]) for axis in range(len(sizes))]
    for axis, (begin, size) in enumerate(zip(begins, sizes, strict=True)):
        if (begin, size) == (numbers, batch):
            return Lead(axis)
    if batch == 1:
        return Lead(0, after=sizes[0]) if sizes else None
    for axis, (begin, size) in enumerate(zip(begins, sizes, strict=True)):
        if numbers % begin == 0 and size % (numbers // begin * batch) == 0:
            return Lead(axis, numbers // begin, size // (numbers // begin * batch))
    return None


def _tensors(op: Op) -> list[int]:
    return [number for number, name in enumerate(op.node.inputs) if isinstance(op.taking.known.get(name), Held)]


def _together(op: Op) -> tuple[Lead, int] | None:
    """Where the batch is in all its tensors, and how many axes they have; None if that differs."""
    places = {
        (op.taking.leads.get(op.node.inputs[number], Lead(0)), len(file_shape(op, number))) for number in _tensors(op)
    }
    return next(iter(places)) if len(places) == 1 else None


def _freed(op: Op) -> tuple[Op, Lead]:
    """For a batch of one: the operator of samples with all axes of the file, so that none of them is the batch's."""
    numbers = _tensors(op)
    shapes = [file_shape(op, number) for number in numbers]
    if op.taking.batch != 1 or len({len(shape) for shape in shapes}) > 1:
        raise NotTakenError(f"{ELSEWHERE}, or is elsewhere in another")
    lead = Lead(0, after=max(shape[0] for shape in shapes))
    for number, shape in zip(numbers, shapes, strict=True):
        sample = shape if lead.extra else shape[1:]
        op = _with_input(op, number, op.taking.reshaped(op.held(number), sample, op.node))
    return op, lead


def _with_input(op: Op, number: int, known: Any) -> Op:
    """The operator with an input in the axes here."""
    names = list(op.node.inputs)
    names[number] += ", in the order of axes here"
    op.taking.known[names[number]] = known
    op.taking.readers[names[number]] = 1
    return Op(op.taking, replace(op.node, inputs=tuple(names)))


def _as_here(op: Op) -> list[Any]:
    """Number by number, or a product along the last axes: as it is, with arrays in the order of axes here."""
    taking, kind, place = op.taking, op.node.kind, _together(op)
    if place is None or (taking.batch == 1 and kind not in ALIKE and _meets(op, *place)):
        op, lead = _freed(op)
        rank = len(op.shape(_tensors(op)[0])) - lead.extra
    else:
        lead, rank = place
        if kind in PRODUCTS and lead.axis > rank - _summed(op):
            raise NotTakenError(f"{ELSEWHERE}, but one of those of its matrices")
    for number, name in enumerate(op.node.inputs):
        known = taking.known.get(name)
        if isinstance(known, Fixed) and (kind in PAIRED or (kind == "MatMul" and known.tensor.ndim > 2)):
            op = _with_input(op, number, _in_axes_here(op, known, lead, rank))
    before = set(taking.ready)
    results = _run(op, {"of_positions": 1})
    taking.leads.update(dict.fromkeys(set(taking.ready) - before, lead))  # done together with this one
    return _recorded(op, results, lead)


def _summed(op: Op) -> int:
    """How many of the last axes may not hold the batch."""
    right = op.known(1)
    return 2 if isinstance(right, Fixed) and right.tensor.ndim <= 2 else 3


def _meets(op: Op, lead: Lead, rank: int) -> bool:
    """Whether a batch of one meets more than one number."""
    if op.node.kind in PRODUCTS:
        return lead.axis > rank - _summed(op)
    known = [op.taking.known.get(name) for name in op.node.inputs]
    sizes = [each.tensor.shape[lead.axis - rank :] for each in known if isinstance(each, Fixed)]
    return not lead.extra and any(len(size) == rank - lead.axis and size[0] > 1 for size in sizes)


def _in_axes_here(op: Op, array: Fixed, lead: Lead, rank: int) -> Fixed:
    """An array with an axis for the batch first, and one for everything that shares an axis with it in the file."""
    if array.tensor.ndim < rank - lead.axis:
        return array
    if array.tensor.ndim > rank:
        raise NotTakenError(f"it computes with {array.told} of {array.tensor.ndim} axes, one of them before the batch")
    sizes = (1,) * (rank - array.tensor.ndim) + array.tensor.shape
    if op.taking.batch == 1 and lead.extra:  # the sample has all axes of the file
        return array.seen_as((1, *sizes))
    front, back, size = sizes[: lead.axis], sizes[lead.axis + 1 :], lead.before * op.taking.batch * lead.after
    if sizes[lead.axis] == 1:
        return array.seen_as((1, *front, *(1,) * lead.extra, *back))
    if sizes[lead.axis] == size:
        split = array.tensor.reshape((*front, lead.before, op.taking.batch, lead.after, *back))
        first = split.take(0, axis=lead.axis + 1)
        if bool((split == np.expand_dims(first, lead.axis + 1)).all()):
            return Fixed(first.reshape((1, *front, *lead.own, *back)))
    raise NotTakenError(f"{array.told} has numbers of its own for each sample")


def _along_axes(op: Op) -> list[Any]:
    """Along axes, which are others here; a scalar index or a reduction may remove some before the batch."""
    place, kind = _together(op), op.node.kind
    rank = len(file_shape(op))
    axes = _axes(op, rank)
    if place is None or (op.taking.batch == 1 and place[0].axis in axes and not place[0].extra):
        op, lead = _freed(op)
    else:
        lead = place[0]
    along = [_own(op, axis, lead) for axis in axes]
    for number, name in enumerate(op.node.inputs):
        known = op.taking.known.get(name)
        if isinstance(known, Fixed) and kind in ("Concat", *FROM_ONE_ON):
            op = _with_input(op, number, _in_axes_here(op, known, lead, rank))
    named = {"axes": along} if kind in (*REDUCING, "Slice") else {"axis": along[0]}
    removed = 0
    if kind in REDUCING and not op.get("keepdims", 1):
        removed = sum(axis < lead.axis for axis in axes)
    elif kind == "Gather" and axes[0] < lead.axis:
        removed = 1 - op.fixed(1).tensor.ndim
    return _recorded(op, _run(op, named), replace(lead, axis=lead.axis - removed))


def _axes(op: Op, rank: int) -> list[int]:
    """All axes of the file that an operator works along."""
    kind = op.node.kind
    if kind in ALONG_ONE:
        old = "oftmax" in kind and op.opset < 13
        axis = _counted(op.get("axis", 1 if old else ALONG_ONE[kind]), rank)
        return list(range(axis, rank)) if old or kind in FROM_ONE_ON else [axis]
    axes = op.option("axes", 3 if kind == "Slice" else 1)
    if kind == "Slice":
        axes = axes or range(len(op.option("starts", 1)))
    elif not axes:
        axes = () if op.get("noop_with_empty_axes", 0) else range(rank)
    return [_counted(axis, rank) for axis in axes]


def _counted(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise NotTakenError(f"it is over axis {axis} of {rank}")
    return axis % rank


def _own(op: Op, axis: int, lead: Lead) -> int:
    """Where an axis of the file is here; several samples may not be in it."""
    if axis != lead.axis:
        return lead.here(axis)
    if op.taking.batch > 1:
        raise NotTakenError("it is over the batch")
    return axis + lead.extra

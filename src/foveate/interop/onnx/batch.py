"""Values in which the batch is not the first axis for a while, such as queries, keys and values that are split.

Here every value has its batch first. `taking.leads` says how many axes come before the batch in the file; the few
operators that are met in between are translated to the order of axes here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from foveate.interop.held import Held
from foveate.interop.onnx.table import find
from foveate.interop.onnx.taking import Op
from foveate.interop.walk import NotTakenError

MOVING = ("Gather", "Slice", "Split", "Squeeze", "Transpose", "Identity", "Dropout")
"""Operators that are translated."""


def translated(op: Op) -> list[Any] | None:
    """The results of an operator if the batch is elsewhere in what it reads, or becomes so; None if it is not."""
    name, node = op.node.inputs[0] if op.node.inputs else "", op.node
    lead = op.taking.leads.get(name, 0)
    if node.kind == "Transpose" and node.domain == "":
        return _transposed(op, lead)
    if not any(each in op.taking.leads for each in node.inputs):
        return None
    if node.kind not in MOVING or not lead:
        raise NotTakenError("the batch is not the first axis of its input")
    rank = op.rank()
    attributes, gone = dict(node.attributes), 0
    if node.kind in ("Gather", "Split"):
        axis = op.get("axis", 0) % rank
        attributes["axis"] = _here(axis, lead)
        gone = 1 - op.fixed(1).tensor.ndim if node.kind == "Gather" and axis < lead else 0
    elif node.kind in ("Slice", "Squeeze"):
        slices = node.kind == "Slice"
        axes = op.option("axes", 3 if slices else 1, list(range(len(op.option("starts", 1)))) if slices else None)
        if axes is None:
            raise NotTakenError("the batch is not the first axis of its input, and its axes are not named")
        attributes["axes"] = [_here(axis % rank, lead) for axis in axes]
        gone = sum(axis % rank < lead for axis in axes) if node.kind == "Squeeze" else 0
    del op.taking.leads[name]
    try:
        made = find(node, op.opset)
        assert made is not None, "there is a rule for each of them"
        results = made(Op(op.taking, replace(node, attributes=attributes)))
    finally:
        op.taking.leads[name] = lead
    op.taking.leads.update({each: lead - gone for each in node.outputs if lead > gone})
    return results if isinstance(results, list) else [results]


def _here(axis: int, lead: int) -> int:
    """An axis of the file where the batch is first."""
    return 0 if axis == lead else axis + 1 if axis < lead else axis


def _transposed(op: Op, lead: int) -> list[Any] | None:
    rank = op.rank()
    order: Sequence[int] = [axis % rank for axis in op.get("perm", range(rank - 1, -1, -1))]
    if sorted(order) != list(range(rank)):
        raise NotTakenError(f"it orders {rank} axes as {list(order)}")
    here = [_here(axis, lead) for axis in order]
    after = here.index(0)
    if not lead and not after:
        return None
    if op.taking.batch == 1 and not lead and op.shape()[order[0]] == 1:
        return None  # two axes of length 1 are exchanged
    source = op.known()
    assert isinstance(source, Held), "of arrays transposes are computed"
    if after:
        op.taking.leads[op.node.outputs[0]] = after
    return [op.taking.moved(source, [0, *(axis for axis in here if axis)], op.node)]

"""Arrays of the file in place of tensors: a layer that makes them of a sample, whatever that is."""

from collections.abc import Sequence
from math import prod

from foveate.graph.builder import Value
from foveate.interop.onnx.rules import lined, shared
from foveate.interop.onnx.taking import Fixed, Op
from foveate.interop.walk import NotTakenError
from foveate.layers import Flatten, Pad, Rescale, Reshape, Upsample


def as_value(op: Op, array: Fixed, source: Value, rank: int) -> Value:
    """An array as a value with `rank` axes in the file: one number of `source` times 0, copied, and the array added."""
    array = shared(array, op.taking.batch, rank)
    missing = rank - array.tensor.ndim
    sizes = (1,) * missing + array.tensor.shape
    if missing < 0 or sizes[0] != 1:
        raise NotTakenError(f"it computes with {array.told} of {array.tensor.ndim} axes, one of them before the batch")
    sample, count = sizes[1:], prod(sizes)
    flat = source if len(source.shape) == 1 else op.add(Flatten(), source)
    one = flat if flat.shape == (1,) else op.add(Pad(((0, 1 - flat.shape[0]),)), flat)
    zero = op.add(Rescale(0.0), one)
    if count > 1:
        zero = op.add(Upsample(size=(count,)), op.add(Reshape((1, 1)), zero))
    value = zero if zero.shape == sample else op.add(Reshape(sample), zero)
    return lined(op, value, array.seen_as(sizes), scale=False)


def matched(op: Op, values: Sequence[Value]) -> list[Value]:
    """Several tensors with the same number of axes; of a batch of one, axes may be missing in front."""
    rank = max(len(value.shape) for value in values)
    if len({len(value.shape) for value in values}) > 1 and op.taking.batch != 1:
        raise NotTakenError("its tensors have different numbers of axes, so the batch of one meets another axis")
    return [_lengthened(op, value, rank) for value in values]


def _lengthened(op: Op, value: Value, rank: int) -> Value:
    """A tensor with axes of length 1 in front."""
    missing = rank - len(value.shape)
    return op.add(Reshape((*(1,) * missing, *value.shape)), value) if missing else value

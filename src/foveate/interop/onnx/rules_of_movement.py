"""Rules for operations after which values lie elsewhere: other shapes, other orders of axes, parts, copies."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from foveate.geometry import format_sizes
from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.rules import lined
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import MOST_AXES, Fixed, Op, check_size
from foveate.interop.walk import NotTakenError
from foveate.layers import (
    Concatenate,
    Flatten,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    Shape,
    Slice,
    Transpose,
    Upsample,
)
from foveate.text import printable

MOST_PIECES = 4096
"""The most parts that an axis is taken to and put together again."""


def reshaped(op: Op, full: Sequence[int]) -> Held:
    """The first input in another shape, that of the file with its batch."""
    sample = op.sample(full)
    source = op.held()
    if prod(sample) != prod(source.shape):
        raise NotTakenError(f"it puts {format_sizes(op.shape())} into {format_sizes(full)}, across samples")
    if op.is_whole_layer and not source.waits and source.value.shape == source.shape != sample:
        return op.then(Flatten() if op.node.kind == "Flatten" else Reshape(sample), source.value)
    return op.taking.reshaped(source, sample, op.node)


def shape_after(full: Shape, wanted: Sequence[int], *, copies: bool) -> list[int]:
    """The sizes that Reshape makes of those that are wanted."""
    sizes = [full[axis] if size == 0 and copies and axis < len(full) else size for axis, size in enumerate(wanted)]
    known = prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and known and prod(full) % known == 0:
        sizes[sizes.index(-1)] = prod(full) // known
    if prod(sizes) != prod(full) or min(sizes, default=1) < 1:
        raise NotTakenError(f"it puts {format_sizes(full)} into {format_sizes(tuple(wanted))}, which has other numbers")
    return sizes


def _resized(op: Op, full: Shape) -> Sequence[int]:
    wanted = [int(size) for size in op.option("shape", 1)]
    return shape_after(full, wanted, copies=not op.get("allowzero", 0))


def _flattened(op: Op, full: Shape) -> Sequence[int]:
    axis = op.get("axis", 1)
    return prod(full[:axis]), prod(full[axis:])


def _squeezed(op: Op, full: Shape) -> Sequence[int]:
    axes, rank = op.option("axes", 1), len(full)
    gone = {axis % rank for axis in axes} if axes is not None else {a for a in range(rank) if full[a] == 1}
    if any(full[axis] != 1 for axis in gone):
        raise NotTakenError(f"it leaves out axes of {format_sizes(full)} that are longer than 1")
    return [size for axis, size in enumerate(full) if axis not in gone]


def _unsqueezed(op: Op, full: Shape) -> Sequence[int]:
    axes = op.option("axes", 1)
    rank = len(full) + len(axes)
    new, rest = {axis % rank for axis in axes}, iter(full)
    if len(new) < len(axes) or rank > MOST_AXES:
        raise NotTakenError(f"it puts axes into {len(full)} at {printable(axes, 80)}")
    return [1 if axis in new else next(rest) for axis in range(rank)]


SIZES: dict[str, Callable[[Op, Shape], Sequence[int]]] = {
    "Reshape": _resized, "Flatten": _flattened, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed
}  # fmt: skip
"""What operators that only change the shape make of that of their input, batch and all."""


@rule(*SIZES)
def _(op: Op) -> Held:
    return reshaped(op, SIZES[op.node.kind](op, op.shape()))


def order_of(op: Op, rank: int) -> list[int]:
    """The axes of a Transpose, counted from the front."""
    order = [axis % rank for axis in op.get("perm", range(rank - 1, -1, -1))]
    if sorted(order) != list(range(rank)):
        raise NotTakenError(f"it orders {rank} axes as {order}")
    return order


@rule("Transpose")
def _(op: Op) -> Held:
    rank, source = op.rank(), op.held()
    order = order_of(op, rank)
    if order[:3] == [0, 2, 1] and order[3:] == list(range(3, rank)):
        shuffled = op.taking.exchanged(source, 1, 2)
        if shuffled is not None:
            return shuffled
    if order[0] != 0 and op.taking.batch == 1:
        return _around_batch(op, order)
    return op.taking.moved(source, order, op.node)


def _around_batch(op: Op, order: Sequence[int]) -> Held:
    """Axes of length 1 may change places with a batch of one."""
    full = op.shape()
    first = order[0]
    if full[first] != 1:
        raise NotTakenError("it moves the batch axis")
    swapped = [first if axis == 0 else 0 if axis == first else axis for axis in order]
    return op.taking.moved(op.held(), swapped, op.node)


@rule("Concat")
def _(op: Op) -> Held:
    numbers = range(len(op.node.inputs))
    known = [op.known(number) for number in numbers]
    rank = len(op.taking_shape(known[0]))
    axis = op.axis(op.get("axis", 1), rank, "it joins batches")
    if all(isinstance(each, Held) for each in known):
        return op.then(Concatenate(axis=axis), *(op.value(number) for number in numbers))
    return _joined_with_arrays(op, axis, known)


def _joined_with_arrays(op: Op, axis: int, known: Sequence[Any]) -> Held:
    """Zeros for the arrays, and then the arrays added."""
    parts: list[Value] = []
    before = 0
    for number, each in enumerate(known):
        if isinstance(each, Held):
            parts.append(_widened(op, op.value(number), axis, before, 0))
            before = 0
        elif parts:
            parts[-1] = _widened(op, parts[-1], axis, 0, each.tensor.shape[axis + 1])
        else:
            before += each.tensor.shape[axis + 1]
    value = op.add(Concatenate(axis=axis), *parts) if len(parts) > 1 else parts[0]
    check_size(value.shape)
    rows = []
    for each in known:
        shape = (1, *op.taking_shape(each)[1:])
        rows.append(each.tensor[:1] if isinstance(each, Fixed) else np.zeros(shape, np.float32))
        if isinstance(each, Fixed) and not bool((each.tensor == each.tensor[:1]).all()):
            raise NotTakenError(f"it joins {each.told}, which differ from sample to sample")
    return held(lined(op, value, Fixed(np.concatenate(rows, axis=axis + 1)), scale=False))


def _widened(op: Op, value: Value, axis: int, before: int, after: int) -> Value:
    if not before and not after:
        return value
    pairs = [(0, 0)] * len(value.shape)
    pairs[axis] = (before, after)
    return op.add(Pad(tuple(pairs)), value)


@rule("Split")
def _(op: Op) -> list[Held | None]:
    value = op.value()
    axis = op.axis(op.get("axis", 0), op.rank(), "it takes the batch apart")
    size, count = value.shape[axis], op.get("num_outputs") or len(op.node.outputs)
    if count > size:
        raise NotTakenError(f"it splits {size} positions into {count} parts")
    each = -(-size // count)
    sizes = op.option("split", 1) or [min(each, size - number * each) for number in range(count)]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) < len(op.node.outputs):
        raise NotTakenError(f"it splits {size} positions into {sizes}")
    parts: list[Held | None] = []
    begin = 0
    for name, part in zip(op.node.outputs, sizes, strict=False):
        used = op.taking.readers[name] > 0
        parts.append(op.taking.cropped(value, axis, begin, begin + part, op.node) if used else None)
        begin += part
    return parts


@rule("Slice")
def _(op: Op) -> Held:
    starts, ends = op.option("starts", 1), op.option("ends", 2)
    axes = op.option("axes", 3) or list(range(len(starts)))
    steps = op.option("steps", 4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise NotTakenError("its starts, ends, axes and steps are not equally many")
    rank = op.rank()
    source = op.held()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = op.shape()[axis % rank]
        taken = range(*slice(start, end, step).indices(size))
        if taken == range(size):
            continue
        place = op.axis(axis, rank, "it takes a part of the batch")
        source = picked(op, op.taking.done(source, op.node), place, taken)
    return source


def picked(op: Op, value: Value, axis: int, taken: range) -> Held:
    """Regular positions of an axis."""
    size = value.shape[axis]
    if not taken:
        raise NotTakenError(f"it takes nothing of an axis of {size}")
    if taken.step == 1 or len(taken) == 1:
        return op.taking.cropped(value, axis, taken[0], taken[-1] + 1, op.node)
    end = taken[-1] + (1 if taken.step > 0 else -1)
    stop = None if end in (size, -1) else end
    if taken.step > 0 and taken[-1] + taken.step >= size:
        stop = None
    begin = None if taken[0] == (0 if taken.step > 0 else size - 1) else taken[0]
    return op.then(Slice(axis, begin, stop, taken.step), value)


@rule("Gather")
def _(op: Op) -> Held:
    value, indices = op.value(), op.fixed(1).tensor
    axis = op.axis(op.get("axis", 0), op.rank(), "it takes samples of the batch")
    size = value.shape[axis]
    wanted = [int(index) + (size if index < 0 else 0) for index in indices.reshape(-1)]
    if not wanted or min(wanted) < 0 or max(wanted) >= size:
        raise NotTakenError(f"it takes positions that are not among the {size} of its axis")
    made = gathered(op, value, axis, wanted)
    return op.taking.reshaped(made, (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :]), op.node)


def gathered(op: Op, value: Value, axis: int, wanted: Sequence[int]) -> Held:
    """Any positions of an axis, in any order: regular runs of them, put together."""
    if list(wanted) == list(range(value.shape[axis])):
        return held(value)
    runs = runs_of(wanted)
    if len(runs) > MOST_PIECES:
        raise NotTakenError(f"it takes {len(wanted)} positions in {len(runs)} parts")
    parts = [picked(op, value, axis, run).value for run in runs]
    return held(parts[0]) if len(parts) == 1 else op.then(Concatenate(axis=axis), *parts)


def runs_of(wanted: Sequence[int]) -> list[range]:
    """The fewest ranges, one after the other, found from the front.

    >>> runs_of([0, 2, 4, 3, 3])
    [range(0, 5, 2), range(3, 4), range(3, 4)]
    """
    runs, begin = [], 0
    while begin < len(wanted):
        step = wanted[begin + 1] - wanted[begin] if begin + 1 < len(wanted) else 0
        end = begin + 1
        while step and end < len(wanted) and wanted[end] - wanted[end - 1] == step:
            end += 1
        if end - begin == 2 and step != 1:  # two are not a rule
            end = begin + 1
        last = wanted[end - 1]
        runs.append(range(wanted[begin], last + (1 if last >= wanted[begin] else -1), step if end - begin > 1 else 1))
        begin = end
    return runs


@rule("Expand")
def _(op: Op) -> Held:
    shape = tuple(int(size) for size in op.fixed(1).tensor)
    try:
        full = np.broadcast_shapes(op.shape(), shape)
    except ValueError:
        raise NotTakenError(f"it expands {format_sizes(op.shape())} to {format_sizes(shape)}") from None
    missing = len(full) - op.rank()
    source = reshaped(op, (*(1,) * missing, *op.shape())) if missing else op.held()
    if full[0] != op.taking.batch:
        raise NotTakenError("it repeats samples")
    return _repeated_to(op, source, full[1:])


def _repeated_to(op: Op, source: Held, sizes: Shape) -> Held:
    if source.shape == sizes:
        return source
    value = op.taking.done(source, op.node)
    for axis, size in enumerate(sizes):
        value = value if value.shape[axis] == size else repeated(op, value, axis, size // value.shape[axis])
    return held(value)


@rule("Tile")
def _(op: Op) -> Held:
    times = [int(count) for count in op.fixed(1).tensor]
    if len(times) != op.rank() or min(times) < 1:
        raise NotTakenError(f"it repeats its {op.rank()} axes {times} times")
    if times[0] != 1:
        raise NotTakenError("it repeats samples")
    return _repeated_to(op, op.held(), tuple(size * n for size, n in zip(op.shape()[1:], times[1:], strict=True)))


def repeated(op: Op, value: Value, axis: int, times: int) -> Value:
    """Copies of an axis one after the other: of a new axis before it, which is then joined with it."""
    before, size, after = prod(value.shape[:axis]), value.shape[axis], prod(value.shape[axis + 1 :])
    flat = op.add(Reshape((before, 1, size * after)), value)
    copies = op.add(Upsample(size=(times, size * after)), flat)
    return op.add(Reshape((*value.shape[:axis], size * times, *value.shape[axis + 1 :])), copies)


@rule("DepthToSpace")
def _(op: Op) -> Held:
    value, size = op.value(), op.get("blocksize", 1)
    channels, height, width = _image(value, size)
    if channels % size**2:
        raise NotTakenError(f"its {channels} channels are no multiple of {size * size}")
    if op.get("mode", "DCR") == "CRD":
        return op.then(PixelShuffle(size), value)
    split = op.add(Reshape((size, size, channels // size**2, height, width)), value)
    moved = op.add(Transpose((2, 3, 0, 4, 1)), split)
    return op.then(Reshape((channels // size**2, height * size, width * size)), moved)


@rule("SpaceToDepth")
def _(op: Op) -> Held:
    value, size = op.value(), op.get("blocksize", 1)
    channels, height, width = _image(value, size)
    if height % size or width % size:
        raise NotTakenError(f"its {height}x{width} positions are no multiple of {size}")
    if op.get("mode", "DCR") == "CRD":
        return op.then(PixelUnshuffle(size), value)
    split = op.add(Reshape((channels, height // size, size, width // size, size)), value)
    moved = op.add(Transpose((2, 4, 0, 1, 3)), split)
    return op.then(Reshape((channels * size**2, height // size, width // size)), moved)


def _image(value: Value, size: int) -> tuple[int, int, int]:
    if len(value.shape) != 3 or size < 1:
        raise NotTakenError(f"it is over {format_sizes(value.shape)}, not channels, height and width")
    channels, height, width = value.shape
    return channels, height, width

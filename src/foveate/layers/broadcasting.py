"""How inputs of different shapes are matched: an axis of length 1, or one that is missing, is repeated."""

from collections.abc import Sequence

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Extent, format_sizes, shift_reach
from foveate.layers.base import Shape

WHAT_MATCHES = "On each axis, counted from the channels, sizes must be equal, 1 or missing"


def filled(shape: Sequence[int], rank: int) -> Shape:
    """The shape with axes of length 1 after its own.

    >>> filled((64,), 3)
    (64, 1, 1)
    """
    return *shape, *(1,) * (rank - len(shape))


def broadcast(input_shapes: Sequence[Shape], complaint: str) -> Shape:
    """The longest size of each axis; a ShapeError that begins with `complaint` if another is neither that nor 1.

    >>> broadcast([(64, 7, 7), (64,)], "")
    (64, 7, 7)
    """
    rank = max(map(len, input_shapes))
    shapes = [filled(shape, rank) for shape in input_shapes]
    sizes = tuple(map(max, zip(*shapes, strict=True)))
    if any(size not in (1, whole) for shape in shapes for size, whole in zip(shape, sizes, strict=True)):
        raise ShapeError(f"{complaint}: {' and '.join(map(format_sizes, input_shapes))}. {WHAT_MATCHES}")
    return sizes


def broadcast_reaches(input_shapes: Sequence[Shape], made: Shape) -> tuple[tuple[AxisReach, ...], ...]:
    """Its own position in every input, or the only one on an axis that is repeated."""
    return tuple(
        tuple(
            shift_reach(0) if size == whole else Extent.EVERYTHING
            for size, whole in zip(shape[1:], made[1:], strict=False)
        )
        for shape in input_shapes
    )

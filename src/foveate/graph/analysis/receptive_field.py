"""What each output of a network sees of its input: receptive fields of a whole graph, and exact regions."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from foveate.errors import ShapeError
from foveate.geometry import (
    IDENTITY_FIELD,
    AxisReach,
    Extent,
    Field,
    format_sizes,
    join_fields,
    positions_seen,
    see_everything,
    see_through,
    size_of_union,
    unknown_field,
)
from foveate.graph.node import Node
from foveate.graph.nodes import Nodes
from foveate.layers.base import axis_letters

Ways: TypeAlias = tuple[Field, ...]
"""The fields along one axis: one for each jump if branches of different resolution were joined; none if unseen."""

MOST_WAYS = 4
"""How many ways a sentence lists."""


@dataclass(frozen=True)
class ReceptiveField:
    """What the outputs of a node see of one input of the network, along each of its spatial axes.

    `fields` holds one field for each axis: the union of all branches. If these have different jumps the axis is
    unaligned, and there are several. `sees` tells whether the node depends on this input at all. Sizes and centres
    count padding as if the input continued; `Graph.region` also clips.
    """

    node: str
    input: str
    input_sizes: tuple[int, ...]
    output_sizes: tuple[int, ...]
    fields: tuple[Ways, ...]
    sees: bool = True

    @property
    def known(self) -> bool:
        """Whether every layer on the way says what it reaches; if not, sizes are upper bounds."""
        return all(field.known for ways in self.fields for field in ways)

    @property
    def aligned(self) -> bool:
        """Whether all branches agree on the jump, on every axis."""
        return all(len(ways) <= 1 for ways in self.fields)

    @property
    def whole(self) -> bool:
        """Whether every output sees the same, as after a global layer."""
        return self.sees and self.known and all(field.advance == 0 for ways in self.fields for field in ways)

    @property
    def size(self) -> tuple[int, ...]:
        """The most positions that an output sees, per axis, through all branches together."""
        outputs = (*self.output_sizes, *(1,) * len(self.fields))
        return tuple(
            size_of_union(ways, count) if ways else 0 for ways, count in zip(self.fields, outputs, strict=False)
        )

    @property
    def jump(self) -> tuple[Fraction, ...]:
        """Distance between what neighbouring outputs see, per axis; the first branch's if it is unaligned."""
        return tuple(ways[0].jump if ways else Fraction(0) for ways in self.fields)

    @property
    def first_centre(self) -> tuple[Fraction, ...]:
        """Centre of what the first output sees, per axis; the first branch's if it is unaligned."""
        return tuple(ways[0].first_centre if ways else Fraction(0) for ways in self.fields)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `branches` lists every jump of each axis. Unknown values are null."""
        numbers = {
            "size": list(self.size),
            "jump": [float(jump) for jump in self.jump],
            "first_centre": [float(centre) for centre in self.first_centre],
        }
        return {
            "node": self.node,
            "input": self.input,
            "known": self.known,
            **(numbers if self.known else dict.fromkeys(numbers)),
            "aligned": self.aligned,
            "everything": self.whole,
            "branches": [[_plain(field) for field in ways] for ways in self.fields] if self.known else None,
        }

    def short(self) -> str:
        """The size in a word: '5x5', 'unaligned 5x5', 'everything', 'nothing' or 'unknown'.

        >>> from foveate import Conv2d, Sequential
        >>> Sequential(Conv2d(8, 3), Conv2d(8, 3)).build((1, 9, 9)).receptive_field("conv2").short()
        '5x5'
        """
        if not self.sees:
            return "nothing"
        if not self.known:
            return "unknown"
        if self.whole:
            return "everything"
        return ("" if self.aligned else "unaligned ") + format_sizes(self.size)

    def __str__(self) -> str:
        if not self.sees or self.whole:
            return f"{self.node} sees {self.short()} of {self.input} {format_sizes(self.input_sizes)}".rstrip()
        if not self.known:
            whole = f"{self.input} {format_sizes(self.input_sizes)}"
            return f"what {self.node} sees of {whole} is unknown: a layer on the way does not say what it reaches"
        if self.aligned:
            words = f"jump {_join(self.jump)}, first centre {_join(self.first_centre)}"
            return f"{self.node} sees {format_sizes(self.size)} of {self.input}, {words}"
        letters = axis_letters(len(self.fields))
        each = [f"{letter}: {_ways_in_words(ways)}" for letter, ways in zip(letters, self.fields, strict=True)]
        return f"{self.node} is unaligned: its branches see, along " + "; along ".join(each)


@dataclass(frozen=True)
class Region:
    """The box of the input that one output position sees, all channels together: a range for each spatial axis.

    `unclipped` goes past the borders into the padding; `clipped` is the smallest box around the real positions that
    the output depends on. Both have empty ranges if it sees nothing but padding.
    """

    unclipped: tuple[range, ...]
    clipped: tuple[range, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """`clipped` as slices of an array's spatial axes."""
        return tuple(slice(axis.start, axis.stop) for axis in self.clipped)


def receptive_fields(graph: Nodes, of: str | None = None, *, unstrided: bool = False) -> Mapping[str, ReceptiveField]:
    """What every node sees of the input `of` (default: the only one), by name.

    With `unstrided` every window moves by 1 and nothing is enlarged, as if the network did not change its resolution.
    """
    name = graph.only_input if of is None else of
    sizes = graph.inputs[name][1:]
    fields: dict[str, tuple[Ways, ...]] = {each: ((),) * len(sizes) for each in graph.inputs}
    fields[name] = ((IDENTITY_FIELD,),) * len(sizes)
    sees = {each: each == name for each in graph.inputs}
    for node in graph.nodes:
        sees[node.name] = any(sees[below] for below in node.inputs)
        fields[node.name] = tuple(_seen(node, axis, fields, size, unstrided) for axis, size in enumerate(sizes))
    return {
        node: ReceptiveField(node, name, sizes, graph.shapes[node][1:], each, sees[node])
        for node, each in fields.items()
    }


def region(graph: Nodes, field: ReceptiveField, position: Sequence[int]) -> Region:
    """The box of its input that the output of the field's node at `position` depends on, allowing for borders and gaps.

    Raises:
        ShapeError: `position` does not have one number for each spatial axis of the node, or lies outside.
    """
    spatial = field.output_sizes
    try:
        position = tuple(map(operator.index, position))  # NumPy's ints as Python's, which shift as far as they must
    except TypeError:
        raise ShapeError(
            f"the position is {position!r}; give an int for each of the {len(spatial)} spatial axes"
        ) from None
    if len(position) != len(spatial) or any(not 0 <= p < size for p, size in zip(position, spatial, strict=True)):
        raise ShapeError(
            f"{field.node} has no position {position}: its output has the spatial sizes {format_sizes(spatial)}"
            if spatial
            else f"{field.node} has no position {position}: its output is flat; give () for what all of it sees"
        )
    places = (*position, *(0,) * len(field.fields))
    unclipped = tuple(
        _range([each.span(place) for each in ways]) for ways, place in zip(field.fields, places, strict=False)
    )
    return Region(unclipped, _clipped(graph, field, tuple(1 << p for p in position)))


@dataclass(frozen=True)
class Sight:
    """Where a network sees its whole input: the first node whose field is as large, and the windows up to it."""

    node: str | None
    depth: int
    size: tuple[int, ...]
    """The size of that node's field, or the largest there is."""


def sees_whole_image(graph: Nodes, *, unstrided: bool = False) -> Sight:
    """The first node whose field is at least as large as the input, and the layers with windows up to it.

    Global layers, which see everything anyway, do not count. If no layer sees enough, the node is None, and depth
    and size are those of the deepest.
    """
    fields = receptive_fields(graph, unstrided=unstrided)
    depths = dict.fromkeys(graph.inputs, 0)
    best = Sight(None, 0, (1,) * len(graph.input_shape[1:]))
    for node in graph.nodes:
        depth = depths[node.name] = max(depths[name] for name in node.inputs) + _slides(node)
        field = fields[node.name]
        if not depth or not field.fields or any(each.advance == 0 for ways in field.fields for each in ways):
            continue
        if all(seen >= size for seen, size in zip(field.size, field.input_sizes, strict=True)):
            return Sight(node.name, depth, field.size)
        if (depth, field.size) > (best.depth, best.size):
            best = Sight(None, depth, field.size)
    return best


def _slides(node: Node) -> bool:
    """Whether a window moves over its input or, transposed, over its output."""
    return any(not isinstance(reach, Extent) and reach.window is not None for axes in node.reaches for reach in axes)


def _seen(node: Node, axis: int, fields: Mapping[str, tuple[Ways, ...]], size: int, unstrided: bool) -> Ways:
    """What `node` sees of the network's `axis`, which has `size` positions, through all of its inputs."""
    found: list[Field] = []
    for name, shape, reaches in zip(node.inputs, node.input_shapes, node.reaches, strict=True):
        below = fields[name][axis]
        if below and axis < len(reaches):
            found += _through(below, reaches[axis], shape[1 + axis], size, unstrided)
        else:
            found += below
    made = node.output_shape[1:]
    return join_fields(found, made[axis] if axis < len(made) else 1, size)


def _through(below: Ways, reach: AxisReach, outputs: int, size: int, unstrided: bool) -> Ways:
    """The fields of a layer on top of one with `outputs` positions, whose fields are `below`."""
    if reach is Extent.UNKNOWN:
        return (unknown_field(size),)
    if isinstance(reach, Extent):
        return (see_everything(below, outputs, size),)
    return tuple(see_through(field, reach.unstrided() if unstrided else reach) for field in below)


def _clipped(graph: Nodes, field: ReceptiveField, position: tuple[int, ...]) -> tuple[range, ...]:
    """Trace back through the graph; sets of positions are bits, so gaps and borders count exactly."""
    boxes: dict[str, list[tuple[int, ...]]] = {field.node: [position]}
    for each in reversed(graph.nodes):
        for box in boxes.get(each.name, ()):
            for index, below in enumerate(each.inputs):
                seen = _box_below(each, index, box)
                if all(seen):
                    _add_box(boxes.setdefault(below, []), seen)
    found = boxes.get(field.input, [])
    return tuple(_range([_ends(box[axis]) for box in found]) for axis in range(len(field.input_sizes)))


def _box_below(node: Node, index: int, box: tuple[int, ...]) -> tuple[int, ...]:
    sizes = node.input_shapes[index][1:]
    return tuple(
        (1 << size) - 1 if isinstance(reach, Extent) else positions_seen(box[axis], reach, size)
        for axis, (size, reach) in enumerate(zip(sizes, node.reaches[index], strict=True))
    )


def _add_box(boxes: list[tuple[int, ...]], new: tuple[int, ...]) -> None:
    """Add `new` unless another box contains it, and drop those that it contains."""
    if any(all(n | o == o for n, o in zip(new, other, strict=True)) for other in boxes):
        return
    boxes[:] = [other for other in boxes if not all(n | o == n for n, o in zip(new, other, strict=True))]
    boxes.append(new)


def _ends(mask: int) -> tuple[int, int]:
    return (mask & -mask).bit_length() - 1, mask.bit_length() - 1


def _range(spans: Sequence[tuple[int, int] | None]) -> range:
    there = [span for span in spans if span is not None]
    return range(min(first for first, _ in there), max(last for _, last in there) + 1) if there else range(0)


def _plain(field: Field) -> dict[str, Any]:
    return {"size": field.size, "jump": float(field.jump), "first_centre": float(field.first_centre)}


def _ways_in_words(ways: Ways) -> str:
    left = len(ways) - MOST_WAYS
    return " and ".join(map(_words, ways[:MOST_WAYS])) + (f" and {left} more" if left > 0 else "")


def _words(field: Field) -> str:
    return f"{field.size} (jump {field.jump}, first centre {field.first_centre})"


def _join(values: Sequence[Fraction]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))

"""What each output of a network sees of its input: receptive fields of a whole graph, and exact regions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from foveate.errors import ShapeError
from foveate.geometry import (
    IDENTITY_FIELD,
    Field,
    Reach,
    adaptive_reach,
    fold_padding,
    format_sizes,
    join_fields,
    linear_reach,
    nearest_reach,
    positions_seen,
    see_everything,
    see_through,
    shift_reach,
    transposed_reach,
    window_reach,
)
from foveate.graph.graph import Graph, Node
from foveate.layers.activations import Maxout
from foveate.layers.adaptive import AdaptivePooling
from foveate.layers.base import ElementwiseLayer, Layer, Shape
from foveate.layers.normalization import BatchNormalization, Normalization, axis_letters
from foveate.layers.structure import Add, Concatenate, Multiply, Pad, Upsample
from foveate.layers.transposed import TransposedConvolution

Alternatives: TypeAlias = tuple[Field, ...]
"""The field along one axis, or several where branches of different alignment were joined."""

_POINTWISE = (ElementwiseLayer, BatchNormalization, Add, Concatenate, Multiply, Maxout)


@dataclass(frozen=True)
class ReceptiveField:
    """What the outputs of a node see of one input of the network, along each of its spatial axes.

    `fields` holds one field for each axis, or several where the axis is unaligned: branches were joined that do not
    share jump and centre. Sizes and centres count padding as if the input went on; `Graph.region` also clips.
    """

    node: str
    input: str
    input_sizes: tuple[int, ...]
    fields: tuple[Alternatives, ...]

    @property
    def sees(self) -> bool:
        """Whether the node depends on this input at all."""
        return all(self.fields) if self.input_sizes else True

    @property
    def aligned(self) -> bool:
        """Whether all branches agree on jump and centre, on every axis."""
        return all(len(alternatives) <= 1 for alternatives in self.fields)

    @property
    def whole(self) -> bool:
        """Whether every output sees the same, as after a global layer."""
        return self.sees and all(field.advance == 0 for alternatives in self.fields for field in alternatives)

    @property
    def size(self) -> tuple[int, ...]:
        """The most positions that an output sees, per axis; of the widest branch where it is unaligned."""
        return tuple(max((field.size for field in each), default=0) for each in self.fields)

    @property
    def jump(self) -> tuple[Fraction, ...]:
        """Positions between what neighbouring outputs see, per axis; of the first branch where it is unaligned."""
        return tuple(each[0].jump if each else Fraction(0) for each in self.fields)

    @property
    def first_centre(self) -> tuple[Fraction, ...]:
        """Centre of what the first output sees, per axis; of the first branch where it is unaligned."""
        return tuple(each[0].first_centre if each else Fraction(0) for each in self.fields)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `branches` lists every alignment of each axis."""
        return {
            "node": self.node,
            "input": self.input,
            "size": list(self.size),
            "jump": [float(jump) for jump in self.jump],
            "first_centre": [float(centre) for centre in self.first_centre],
            "aligned": self.aligned,
            "everything": self.whole,
            "branches": [[_plain(field) for field in alternatives] for alternatives in self.fields],
        }

    def short(self) -> str:
        """The size in a word: '5x5', 'everything' or 'unaligned 5x5'.

        >>> from foveate import Conv2d, Sequential
        >>> Sequential(Conv2d(8, 3), Conv2d(8, 3)).build((1, 9, 9)).receptive_field("conv2").short()
        '5x5'
        """
        if not self.sees:
            return "nothing"
        if self.whole:
            return "everything"
        return ("" if self.aligned else "unaligned ") + format_sizes(self.size)

    def __str__(self) -> str:
        if not self.sees or self.whole:
            return f"{self.node} sees {self.short()} of {self.input} {format_sizes(self.input_sizes)}".rstrip()
        if self.aligned:
            words = f"jump {_join(self.jump)}, first centre {_join(self.first_centre)}"
            return f"{self.node} sees {format_sizes(self.size)} of {self.input}, {words}"
        letters = axis_letters(len(self.fields))
        ways = [
            f"{letter}: " + " and ".join(map(_words, alternatives))
            for letter, alternatives in zip(letters, self.fields, strict=True)
        ]
        return f"{self.node} is unaligned: its branches see, along " + "; along ".join(ways)


@dataclass(frozen=True)
class Region:
    """The box of the input that one output position sees, all channels together: a range for each spatial axis.

    `unclipped` goes past the borders into the padding; `clipped` is the smallest box around the real positions that
    the output depends on. Both have empty ranges where it sees nothing but padding.
    """

    unclipped: tuple[range, ...]
    clipped: tuple[range, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """`clipped` as slices of an array's spatial axes."""
        return tuple(slice(axis.start, axis.stop) for axis in self.clipped)


def receptive_fields(graph: Graph, of: str | None = None, *, unstrided: bool = False) -> Mapping[str, ReceptiveField]:
    """What every node sees of the input `of` (the only one unless given), by name.

    With `unstrided` every window moves by 1 and nothing is enlarged, as if the network did not change its resolution.
    """
    name = graph.only_input if of is None else of
    sizes = graph.inputs[name][1:]
    fields: dict[str, tuple[Alternatives, ...]] = {each: ((),) * len(sizes) for each in graph.inputs}
    fields[name] = ((IDENTITY_FIELD,),) * len(sizes)
    for node in graph.nodes:
        fields[node.name] = tuple(
            _joined(node, [_seen(node, index, axis, fields, size, unstrided) for index in range(len(node.inputs))])
            for axis, size in enumerate(sizes)
        )
    return {node: ReceptiveField(node, name, sizes, each) for node, each in fields.items()}


def region(graph: Graph, node: str, position: Sequence[int], of: str | None = None) -> Region:
    """The box of the input `of` that the output of `node` at `position` depends on, borders and gaps considered.

    Raises:
        ShapeError: `position` has not one number for each spatial axis of the node, or lies outside.
    """
    name = graph.only_input if of is None else of
    sizes = graph.inputs[name][1:]
    spatial = graph.node(node).output_shape[1:]
    if len(position) != len(spatial) or any(not 0 <= p < size for p, size in zip(position, spatial, strict=True)):
        raise ShapeError(
            f"{node} has no position {tuple(position)}: its output has the spatial sizes {format_sizes(spatial)}"
            if spatial
            else f"{node} has no position {tuple(position)}: its output is flat; give () for what all of it sees"
        )
    fields = graph.receptive_fields(name)[node].fields
    places = position if len(position) == len(sizes) else (0,) * len(sizes)
    unclipped = tuple(
        _range([field.span(place) for field in alternatives])
        for alternatives, place in zip(fields, places, strict=True)
    )
    return Region(unclipped, _clipped(graph, node, tuple(1 << p for p in position), name))


@dataclass(frozen=True)
class Sight:
    """When a network sees its whole input: the first node whose field is as large, and its depth in windows."""

    node: str | None
    depth: int
    size: tuple[int, ...]
    """Of that node, or the largest there is."""


def sees_whole_image(graph: Graph, *, unstrided: bool = False) -> Sight:
    """The first layer with windows whose field is at least as large as the input, counted in such layers.

    Global layers, which see everything anyway, do not count. Where no layer sees enough, the node is None, and depth
    and size are those of the deepest.
    """
    fields = receptive_fields(graph, unstrided=unstrided)
    depths = dict.fromkeys(graph.inputs, 0)
    best = Sight(None, 0, (1,) * len(graph.input_shape[1:]))
    for node in graph.nodes:
        slides = node.layer.windows(node.input_shapes) is not None or isinstance(node.layer, TransposedConvolution)
        depths[node.name] = max(depths[name] for name in node.inputs) + slides
        field = fields[node.name]
        if not slides or not field.fields or any(each.advance == 0 for axis in field.fields for each in axis):
            continue
        if all(seen >= size for seen, size in zip(field.size, field.input_sizes, strict=True)):
            return Sight(node.name, depths[node.name], field.size)
        if depths[node.name] > best.depth:
            best = Sight(None, depths[node.name], field.size)
    return best


def reaches(node: Node, index: int) -> tuple[Reach | None, ...]:
    """How the outputs of `node` see its input number `index` along each spatial axis; None for all of it."""
    layer, shape, made = node.layer, node.input_shapes[index][1:], node.output_shape[1:]
    if len(shape) != len(made):
        return (None,) * len(shape)
    windows = layer.windows(node.input_shapes)
    if windows is not None:
        return tuple(map(window_reach, windows))
    if isinstance(layer, TransposedConvolution):
        return tuple(map(transposed_reach, layer.transposed_windows))
    if isinstance(layer, Pad):
        return tuple(shift_reach(begin) for begin, _ in layer.padding[1:])
    if isinstance(layer, (AdaptivePooling, Upsample)):
        rule = adaptive_reach if isinstance(layer, AdaptivePooling) else _resizing(layer)
        return tuple(rule(size, outputs) for size, outputs in zip(shape, made, strict=True))
    return _pointwise(layer, shape, made)


def _pointwise(layer: Layer, shape: Shape, made: Shape) -> tuple[Reach | None, ...]:
    """Each output sees its own position, but all of an axis that is repeated or normalised over."""
    known = isinstance(layer, (*_POINTWISE, Normalization))
    whole: tuple[str, ...] = ()
    if isinstance(layer, Normalization) and not isinstance(layer, BatchNormalization):
        whole = layer.normalized_axes(len(shape))
    return tuple(
        shift_reach(0) if known and size == outputs and letter not in whole else None
        for size, outputs, letter in zip(shape, made, axis_letters(len(shape)), strict=True)
    )


def _resizing(layer: Upsample) -> Any:
    return nearest_reach if layer.mode == "nearest" else linear_reach


def _seen(
    node: Node, index: int, axis: int, fields: Mapping[str, tuple[Alternatives, ...]], size: int, unstrided: bool
) -> Alternatives:
    """What `node` sees of the network's `axis` through its input number `index`."""
    below = fields[node.inputs[index]][axis]
    if not below:
        return ()
    spatial = node.input_shapes[index][1:]
    if axis >= len(spatial):
        return below
    reach = reaches(node, index)[axis]
    if reach is None:
        return (see_everything(below, spatial[axis], size),)
    if unstrided:
        reach = _without_stride(node, axis, reach)
    return join_fields([see_through(field, reach) for field in below])


def _without_stride(node: Node, axis: int, reach: Reach) -> Reach:
    if isinstance(node.layer, TransposedConvolution):
        span = node.layer.transposed_windows[axis].effective_size
        return Reach(1, (tuple(range(span)),))
    return Reach(1, reach.taps) if reach.period == 1 else shift_reach(0)


def _joined(node: Node, ways: Iterable[Alternatives]) -> Alternatives:
    """The branches of all inputs; everything, where one of them sees everything."""
    joined = join_fields([field for way in ways for field in way])
    constant = [field for field in joined if field.advance == 0]
    return (see_everything(constant, 1, constant[0].spans[0][1] + 1),) if constant and constant[0].spans[0] else joined


def _clipped(graph: Graph, node: str, position: tuple[int, ...], name: str) -> tuple[range, ...]:
    """Backwards through the graph; sets of positions are bits, so that gaps and borders count exactly."""
    boxes: dict[str, list[tuple[int, ...]]] = {node: [position]}
    for each in reversed(graph.nodes):
        for box in boxes.get(each.name, ()):
            for index, below in enumerate(each.inputs):
                seen = _box_below(each, index, box)
                if all(seen):
                    _add_box(boxes.setdefault(below, []), seen)
    found = boxes.get(name, [])
    axes = range(len(graph.inputs[name]) - 1)
    return tuple(_range([_ends(box[axis]) for box in found]) for axis in axes)


def _box_below(node: Node, index: int, box: tuple[int, ...]) -> tuple[int, ...]:
    sizes = node.input_shapes[index][1:]
    seen = []
    for axis, (size, reach) in enumerate(zip(sizes, reaches(node, index), strict=True)):
        if reach is None:
            seen.append((1 << size) - 1)
            continue
        begin, end = _repeated_padding(node, axis)
        shifted = Reach(reach.advance, tuple(tuple(tap + begin for tap in taps) for taps in reach.taps))
        padded = positions_seen(box[axis], shifted, begin + size + end)
        seen.append(fold_padding(padded, size, (begin, end), getattr(node.layer, "padding_mode", "zeros")))
    return tuple(seen)


def _repeated_padding(node: Node, axis: int) -> tuple[int, int]:
    """The padding that copies real positions; zeros do not."""
    windows = node.layer.windows(node.input_shapes)
    copies = getattr(node.layer, "padding_mode", "zeros") != "zeros"
    return windows[axis].padding if windows is not None and copies else (0, 0)


def _add_box(boxes: list[tuple[int, ...]], new: tuple[int, ...]) -> None:
    """Add `new` unless another holds it, and drop what it holds."""
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


def _words(field: Field) -> str:
    return f"{field.size} (jump {field.jump}, first centre {field.first_centre})"


def _join(values: Sequence[Fraction]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))

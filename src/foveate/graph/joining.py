"""Joins nodes one by one: each name, shape and sharing is checked, and mistakes are reported with place and numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Generic, TypeVar

from foveate.errors import FoveateError, GraphError, LayerError, ShapeError
from foveate.geometry import LARGEST_COUNT, LARGEST_SIZE, format_sizes
from foveate.graph.node import Node
from foveate.graph.nodes import Nodes
from foveate.layers import Layer, Parameter, Shape, Statistic

LONGEST_NAME = 1_000
"""Most characters in the full name of a layer, including the blocks around it."""

Made = TypeVar("Made", bound=Nodes)


@dataclass(frozen=True)
class Place:
    """Where building stopped: the layer's path, the layer, and the shapes of its inputs."""

    path: str
    layer: Layer
    input_shapes: tuple[Shape, ...]


class Joining(Generic[Made]):
    """The inputs and nodes joined so far; `made` is the type of the finished whole."""

    def __init__(self, made: type[Made], name: str = "network") -> None:
        self.inputs: dict[str, Shape] = {}
        self.nodes: dict[str, Node] = {}
        self._made = made
        self._name = check_name(name, "/")

    def input(self, shape: Sequence[int] | int, name: str = "input") -> Shape:
        """Declare an input and return its shape in canonical form."""
        sizes = sample_shape(shape)
        if name in self.inputs:
            raise GraphError(f'two inputs are called "{name}"; give each its own: builder.input(shape, "table")')
        self.claim(name)
        self.inputs[name] = sizes
        return sizes

    def fitted(self, path: str, layer: Layer, inputs: Sequence[str], parameters: str | None = None) -> Node:
        """The node that `layer` would be if connected to `inputs`, nodes or inputs; it is not joined yet.

        Raises:
            ShapeError: the layer does not fit them.
        """
        shapes = tuple(self.shape(name) for name in inputs)
        try:
            layer.check_inputs(shapes)
            output = layer.output_shape(shapes)
            _check_size(output)
        except (ShapeError, LayerError) as error:
            raise self.placed(error, Place(path, layer, shapes)) from None
        owner = path if parameters is None else check_name(parameters)
        node = Node(path, layer, tuple(inputs), owner, shapes, output)
        self._check_sharing(node)
        return node

    def shape(self, name: str) -> Shape:
        """The shape of an input or of a node's output; a KeyError if none has that name."""
        return self.inputs[name] if name in self.inputs else self.nodes[name].output_shape

    def join(self, node: Node) -> Node:
        """Join a node that `fitted` returned."""
        self.nodes[node.name] = node
        return node

    def whole(self, outputs: Sequence[str]) -> Made:
        """The finished whole with these nodes as its outputs, of which there must be at least one."""
        if not outputs:
            raise GraphError(
                "a graph needs at least one output: pass the value that the last layer returned to build()"
            )
        return self._with_outputs(outputs)

    def partial(self) -> Made:
        """The whole as far as it has been joined; its last node is its output."""
        return self._with_outputs(tuple(self.nodes)[-1:])

    def claim(self, name: str) -> None:
        """Refuse a name that is invalid or taken."""
        check_name(name)
        if name in self.nodes or name in self.inputs:
            raise GraphError(f'two layers are called "{name}"; give one of them another name')

    def placed(self, error: FoveateError, place: Place) -> FoveateError:
        """The error with its place and the shapes so far in its message."""
        where = f"layer {len(self.nodes) + 1}, {place.path} ({place.layer.describe()})"
        last = [hint for hint in map(channels_last, self.inputs.values()) if hint and isinstance(error, ShapeError)]
        placed = type(error)("\n".join([f"{where}: {error}", *last, self._trace()]))
        placed.partial, placed.place = self.partial(), place
        return placed

    def _with_outputs(self, outputs: Sequence[str]) -> Made:
        return self._made(dict(self.inputs), tuple(self.nodes.values()), tuple(outputs), self._name)

    def _check_sharing(self, node: Node) -> None:
        for other in self.nodes.values():
            if other.parameters == node.parameters:
                theirs, ours = (_arrays_of(n) for n in (other, node))
                if theirs != ours:
                    raise GraphError(
                        f'{node} shares the parameters "{node.parameters}" with {other}, whose are '
                        f"{_shapes_of(theirs)}, but its own are {_shapes_of(ours)}; give both the same layer and input"
                    )
                return

    def _trace(self) -> str:
        steps = [f"{name} {format_sizes(shape)}" for name, shape in self.inputs.items()]
        steps += [f"{node.name} {format_sizes(node.output_shape)}" for node in self.nodes.values()]
        shown = steps if len(steps) <= 8 else [steps[0], "...", *steps[-6:]]
        return "Shapes so far: " + " -> ".join(shown)


def sample_shape(shape: object, what: str = "input shape") -> Shape:
    """The sizes of one sample in canonical form; a ShapeError says what they should be.

    >>> sample_shape([3, 32, 32]), sample_shape(5)
    ((3, 32, 32), (5,))
    """
    if not isinstance(shape, int | Sequence) or isinstance(shape, str):
        raise ShapeError(f"{what} is {shape!r}; give the sizes of one sample as a tuple: (3, 32, 32)")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or any(type(size) is bool or not isinstance(size, int) or size < 1 for size in sizes):
        raise ShapeError(f"{what} {sizes} must be ints of at least 1, channels first, without the batch axis")
    if max(sizes) > LARGEST_SIZE:
        raise ShapeError(f"{what} {format_sizes(sizes)} has an axis longer than {LARGEST_SIZE}")
    _check_size(sizes)
    return sizes


def channels_last(shape: Shape, *, surely: bool = False) -> str:
    """A sentence if an input's channels seem to come last, as in other libraries; else nothing.

    >>> channels_last((32, 32, 3))
    'The input 32x32x3 seems to have its channels last; foveate expects channels first: 3x32x32.'

    Args:
        shape: channels first.
        surely: only if rows and columns are equal in number, and many.
    """
    if len(shape) < 3:
        return ""
    *sizes, channels = shape
    if channels not in (1, 3, 4) or shape[0] <= 4 or (surely and (len({*sizes}) > 1 or sizes[0] < 8)):
        return ""
    first = format_sizes((channels, *sizes))
    return f"The input {format_sizes(shape)} seems to have its channels last; foveate expects channels first: {first}."


def check_name(name: object, allowed: str = "") -> str:
    """`name` if files, tables and pages can hold it, else a GraphError that says what is wrong with it."""
    if not isinstance(name, str) or not name or ("/" in name and not allowed):
        raise GraphError(
            f'{_short(name)} cannot be a name: it must be a word without "/" (which joins optimiser slots)'
        )
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise GraphError(
            f"{_short(name)} cannot be a name: give at most {LONGEST_NAME:,} characters, all of them printable"
        )
    return name


def _short(name: object) -> str:
    text = f'"{name}"' if isinstance(name, str) and name.isprintable() else repr(name)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _check_size(shape: Shape) -> None:
    """Refuse sizes that compiled kernels cannot count, or that no memory can hold."""
    if max(shape) > LARGEST_SIZE:
        raise ShapeError(
            f"would make {format_sizes(shape)}, which has an axis longer than {LARGEST_SIZE}. Use less padding, "
            "a larger stride or a smaller input"
        )
    if prod(shape) > LARGEST_COUNT:
        raise ShapeError(
            f"one sample of {format_sizes(shape)} would have {prod(shape):,} numbers, more than {LARGEST_COUNT:,}, "
            "which no memory can hold. Use smaller sizes"
        )


def _arrays_of(node: Node) -> dict[str, Parameter | Statistic]:
    return {**node.layer.parameters(node.input_shapes), **node.layer.statistics(node.input_shapes)}


def _shapes_of(parameters: Mapping[str, Parameter | Statistic]) -> str:
    return ", ".join(f"{name} {format_sizes(p.shape)}" for name, p in parameters.items()) or "none"

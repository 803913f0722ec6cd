"""From layers to a graph: names are given, shapes resolved, and every mistake is found with its place and numbers."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Literal, TypeAlias

from foveate.errors import FoveateError, GraphError, LayerError, ShapeError
from foveate.geometry import LARGEST_COUNT, LARGEST_SIZE, format_sizes
from foveate.graph.borders import dropping_sentence, drops, skips
from foveate.graph.graph import Graph
from foveate.graph.node import Node
from foveate.layers import Layer, Parameter, Shape, Statistic

LONGEST_NAME = 1_000
"""Characters in the name of a layer, with those of the blocks around it."""

Strict: TypeAlias = bool | Literal["all"]
"""Whether positions that no window sees are an error: those at the borders, or "all", also those between windows."""


class DroppedBorderWarning(UserWarning):
    """Real rows or columns at a border are seen by no window."""


@dataclass(frozen=True)
class Value:
    """What flows along an edge while a graph is built: where it comes from, and its shape."""

    name: str
    shape: Shape
    builder: "GraphBuilder" = field(repr=False, compare=False)


@dataclass(frozen=True)
class Place:
    """Where building stopped: the layer's path, the layer, and the shapes of its inputs."""

    path: str
    layer: Layer
    input_shapes: tuple[Shape, ...]


class GraphBuilder:
    """Builds any directed acyclic graph, layer by layer.

    >>> from foveate.layers import Add, Conv2d
    >>> builder = GraphBuilder()
    >>> image = builder.input((3, 32, 32))
    >>> left, right = builder.add(Conv2d(8, 1), image), builder.add(Conv2d(8, 3, padding=1), image)
    >>> builder.build(builder.add(Add(), left, right)).output_shape
    (8, 32, 32)
    """

    def __init__(
        self,
        *,
        strict: Strict = False,
        name: str = "network",
        replacements: Mapping[str, Sequence[Layer]] | None = None,
    ) -> None:
        """Start an empty graph; with `strict`, dropped rows or columns are an error, with "all" also skipped ones.

        `replacements` says by path what takes the place of a layer: others, one after the other, or none.
        """
        if strict not in (False, True, "all"):
            raise GraphError(
                f'strict is {strict!r}; it is True to refuse layers that drop a border, "all" to refuse those that '
                "skip positions between windows too, or False"
            )
        self.replacements = replacements or {}
        self._strict = strict
        self._name = _check_name(name, "/")
        self._inputs: dict[str, Shape] = {}
        self._nodes: dict[str, Node] = {}
        self._scope: tuple[str, ...] = ()
        self._counts: Counter[str] = Counter()

    def input(self, shape: Sequence[int] | int, name: str = "input") -> Value:
        """Declare an input of one sample's `shape`, channels first, without the batch axis."""
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        if not sizes or any(type(size) is bool or not isinstance(size, int) or size < 1 for size in sizes):
            raise ShapeError(f"input shape {sizes} must be ints of at least 1, channels first, without the batch axis")
        if max(sizes) > LARGEST_SIZE:
            raise ShapeError(f"input shape {format_sizes(sizes)} has an axis longer than {LARGEST_SIZE}")
        _check_size(sizes)
        self._claim(name)
        self._inputs[name] = sizes
        return Value(name, sizes, self)

    def add(self, layer: Layer, *inputs: Value, name: str | None = None, parameters: str | None = None) -> Value:
        """Join `layer` to `inputs`; `parameters` names a key that other nodes use too, to share parameters."""
        path = self.path(name or self.numbered(layer.label))
        if path not in self.replacements:
            return self._join(path, layer, inputs, parameters)
        for number, other in enumerate(self.replacements[path], start=1):
            last = number == len(self.replacements[path])
            inputs = (self._join(path if last else f"{path}_{number}", other, inputs, parameters if last else None),)
        return inputs[0]

    def _join(self, path: str, layer: Layer, inputs: tuple[Value, ...], parameters: str | None) -> Value:
        self._claim(path)
        self._own(inputs)
        shapes = tuple(value.shape for value in inputs)
        try:
            layer.check_inputs(shapes)
            output = layer.output_shape(shapes)
            _check_size(output)
        except (ShapeError, LayerError) as error:
            raise self._placed(error, Place(path, layer, shapes)) from None
        owner = path if parameters is None else _check_name(parameters)
        node = Node(path, layer, tuple(value.name for value in inputs), owner, shapes, output)
        self._check_sharing(node)
        if self._strict and any(node.dropped):
            raise self._placed(ShapeError(drops(node)), Place(path, layer, shapes))
        if self._strict == "all" and any(node.skipped):
            raise self._placed(ShapeError(skips(node)), Place(path, layer, shapes))
        self._nodes[path] = node
        return Value(path, output, self)

    def build(self, *outputs: Value, quiet: bool = False, stacklevel: int = 2) -> Graph:
        """The finished graph; unless `quiet`, one warning lists the layers that drop a border.

        `stacklevel` counts the callers up to the line that the warning is to point at.
        """
        self._own(outputs)
        if not outputs:
            raise GraphError(
                "a graph needs at least one output: pass the value that the last layer returned to build()"
            )
        graph = Graph(
            dict(self._inputs), tuple(self._nodes.values()), tuple(value.name for value in outputs), self._name
        )
        dropping = [node for node in graph.nodes if any(node.dropped)]
        if dropping and not quiet:
            warnings.warn(dropping_sentence(dropping), DroppedBorderWarning, stacklevel=stacklevel)
        return graph

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names given inside with `name` and a dot."""
        self._scope = (*self._scope, name)
        try:
            yield
        finally:
            self._scope = self._scope[:-1]

    def path(self, name: str) -> str:
        """`name` with the enclosing scopes before it."""
        return ".".join((*self._scope, name))

    def numbered(self, label: str) -> str:
        """`label` and the next free number in this scope: conv1, conv2."""
        key = self.path(label)
        self._counts[key] += 1
        while f"{key}{self._counts[key]}" in self._nodes:
            self._counts[key] += 1
        return f"{label}{self._counts[key]}"

    def partial(self) -> Graph:
        """The graph as far as it is built; its last node is its output."""
        return Graph(dict(self._inputs), tuple(self._nodes.values()), tuple(self._nodes)[-1:], self._name)

    def _claim(self, name: str) -> None:
        _check_name(name)
        if name in self._nodes or name in self._inputs:
            raise GraphError(f'two layers are called "{name}"; give one of them another name')

    def _own(self, values: Sequence[Value]) -> None:
        for value in values:
            if value.builder is not self:
                raise GraphError(f'"{value.name}" belongs to another builder; use values that this one returned')

    def _check_sharing(self, node: Node) -> None:
        for other in self._nodes.values():
            if other.parameters == node.parameters:
                theirs, ours = (_arrays_of(n) for n in (other, node))
                if theirs != ours:
                    raise GraphError(
                        f'{node} shares the parameters "{node.parameters}" with {other}, but theirs are '
                        f"{_shapes_of(theirs)} and its own {_shapes_of(ours)}; give both the same layer and input"
                    )
                return

    def _placed(self, error: FoveateError, place: Place) -> FoveateError:
        where = f"layer {len(self._nodes) + 1}, {place.path} ({place.layer.describe()})"
        placed = type(error)(f"{where}: {error}\n{self._trace()}")
        placed.partial, placed.place = self.partial(), place
        return placed

    def _trace(self) -> str:
        steps = [f"{name} {format_sizes(shape)}" for name, shape in self._inputs.items()]
        steps += [f"{node.name} {format_sizes(node.output_shape)}" for node in self._nodes.values()]
        shown = steps if len(steps) <= 8 else [steps[0], "...", *steps[-6:]]
        return "Shapes so far: " + " -> ".join(shown)


def _check_name(name: object, allowed: str = "") -> str:
    """A name that files, tables and pages can hold; a GraphError says what is wrong with another."""
    if not isinstance(name, str) or not name or ("/" in name and not allowed):
        raise GraphError(
            f'{_short(name)} cannot be a name: it must be a word without "/" (which joins optimiser slots)'
        )
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise GraphError(
            f"{_short(name)} cannot be a name: give at most {LONGEST_NAME:,} characters, all of which can be printed"
        )
    return name


def _short(name: object) -> str:
    text = f'"{name}"' if isinstance(name, str) and name.isprintable() else repr(name)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _check_size(shape: Shape) -> None:
    """Refuse sizes that compiled kernels, or any memory, cannot count."""
    if max(shape) > LARGEST_SIZE:
        raise ShapeError(
            f"would make {format_sizes(shape)}, which has an axis longer than {LARGEST_SIZE}. Use less padding, "
            "a larger stride or a smaller input"
        )
    if prod(shape) > LARGEST_COUNT:
        raise ShapeError(
            f"one sample of {format_sizes(shape)} would have {prod(shape):,} numbers, more than {LARGEST_COUNT:,}, "
            "which no memory holds. Use smaller sizes"
        )


def _arrays_of(node: Node) -> dict[str, Parameter | Statistic]:
    return {**node.layer.parameters(node.input_shapes), **node.layer.statistics(node.input_shapes)}


def _shapes_of(parameters: Mapping[str, Parameter | Statistic]) -> str:
    return ", ".join(f"{name} {format_sizes(p.shape)}" for name, p in parameters.items()) or "none"

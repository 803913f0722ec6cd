"""From layers to a graph: names are given, shapes resolved, and mistakes are reported with their place and numbers."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from foveate.calls import Called, called
from foveate.errors import GraphError, ShapeError
from foveate.graph.analysis.borders import Strict, dropping_sentence, drops, skips
from foveate.graph.graph import Graph
from foveate.graph.joining import Joining, Place, channels_last
from foveate.graph.node import Node
from foveate.layers import Layer, Shape
from foveate.layers.advice import strictly


class DroppedBorderWarning(UserWarning):
    """No window sees some of the real rows or columns at a border."""


class ChannelsLastWarning(UserWarning):
    """An input seems to have its channels last; foveate expects them first."""


class RepeatedLayerWarning(UserWarning):
    """One layer object is used in several places, each with parameters of its own."""


@dataclass(frozen=True)
class Value:
    """What flows along an edge while a graph is built: where it comes from, and its shape."""

    name: str
    shape: Shape
    builder: "GraphBuilder" = field(repr=False, compare=False)


class GraphBuilder(metaclass=Called):
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
        """Start an empty graph; with `strict`, dropped rows or columns are errors, and with "all" so are skipped ones.

        `replacements` maps the path of a layer to the layers that replace it, in sequence, or to none.
        """
        if strict not in (False, True, "all"):
            raise GraphError(
                f'strict is {strict!r}; give True to refuse layers that drop a border, "all" to refuse those that '
                "skip positions between windows too, or False"
            )
        self.replacements = replacements or {}
        self._strict = strict
        self._joining = Joining(Graph, name)
        self._scope: tuple[str, ...] = ()
        self._counts: Counter[str] = Counter()

    @called()
    def input(self, shape: Sequence[int] | int, name: str = "input") -> Value:
        """Declare an input of one sample's `shape`, channels first, without the batch axis."""
        return Value(name, self._joining.input(shape, name), self)

    def add(self, layer: Layer, *inputs: Value, name: str | None = None, parameters: str | None = None) -> Value:
        """Connect `layer` to `inputs`; nodes with the same `parameters` key share parameters."""
        _check_layer(layer)
        path = self.path(name or self.numbered(layer.label))
        if path not in self.replacements:
            return self._join(path, layer, inputs, parameters)
        for number, other in enumerate(self.replacements[path], start=1):
            last = number == len(self.replacements[path])
            inputs = (self._join(path if last else f"{path}_{number}", other, inputs, parameters if last else None),)
        return inputs[0]

    def _join(self, path: str, layer: Layer, inputs: tuple[Value, ...], parameters: str | None) -> Value:
        self._joining.claim(path)
        self._own(inputs)
        with strictly(self._strict):
            node = self._joining.fitted(path, layer, tuple(value.name for value in inputs), parameters)
        place = Place(path, layer, node.input_shapes)
        if self._strict and any(node.dropped):
            raise self._joining.placed(ShapeError(drops(node)), place)
        if self._strict == "all" and any(node.skipped):
            raise self._joining.placed(ShapeError(skips(node)), place)
        return Value(path, self._joining.join(node).output_shape, self)

    def build(self, *outputs: Value, quiet: bool = False, stacklevel: int = 2) -> Graph:
        """The finished graph; unless `quiet`, one warning lists the layers that drop a border.

        `stacklevel` counts the callers up to the line that the warning should point at.
        """
        self._own(outputs)
        graph = self._joining.whole([value.name for value in outputs])
        dropping = [node for node in graph.nodes if any(node.dropped)]
        if dropping and not quiet:
            warnings.warn(dropping_sentence(dropping), DroppedBorderWarning, stacklevel=stacklevel)
        if not quiet:
            self._warn(graph, stacklevel + 1)
        return graph

    def _warn(self, graph: Graph, stacklevel: int) -> None:
        """Warn of choices that are legal but rarely intended."""
        for hint in filter(None, (channels_last(shape, surely=True) for shape in graph.inputs.values())):
            warnings.warn(hint, ChannelsLastWarning, stacklevel=stacklevel)
        first: dict[int, Node] = {}
        for node in graph.owners:
            other = first.setdefault(id(node.layer), node)
            if other is not node and node.layer.parameters(node.input_shapes):
                warnings.warn(
                    f"{other.name} and {node.name} are one {type(node.layer).__name__} object, but each has parameters "
                    f'of its own; to share them use GraphBuilder.add(..., parameters="{other.name}"), or else write '
                    "the layer out twice",
                    RepeatedLayerWarning,
                    stacklevel=stacklevel,
                )
                break

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
        while f"{key}{self._counts[key]}" in self._joining.nodes:
            self._counts[key] += 1
        return f"{label}{self._counts[key]}"

    def partial(self) -> Graph:
        """The graph as far as it has been built; its last node is its output."""
        return self._joining.partial()

    def _own(self, values: Sequence[object]) -> None:
        for value in values:
            if not isinstance(value, Value):
                raise GraphError(
                    f"{value!r:.60} is not a value of a network; pass what builder.input(...) or builder.add(...) "
                    "returned"
                )
            if value.builder is not self:
                raise GraphError(f'"{value.name}" belongs to another builder; use values that this one returned')


def _check_layer(layer: object) -> None:
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise GraphError(f"the layer to add is the class {layer.__name__}; write {layer.__name__}()")
    if not isinstance(layer, Layer):
        advice = "; to add a composite call its lower(builder, value)" if hasattr(layer, "lower") else ""
        raise GraphError(f"cannot add {layer!r:.60}, which is not a layer{advice}")

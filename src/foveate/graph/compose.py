"""Ways to put layers together: Sequential, Residual, Concat, Named. Each lowers to nodes of a Graph."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from foveate.calls import Called, called
from foveate.errors import FoveateError, GraphError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph.analysis.borders import Strict
from foveate.graph.builder import GraphBuilder, Value
from foveate.graph.graph import Graph
from foveate.graph.joining import Place
from foveate.graph.shown import html_table, listed
from foveate.layers import Add, Concatenate, Layer, Shape


class Composite(metaclass=Called):
    """Several blocks combined; it can be used wherever a layer can."""

    def __repr__(self) -> str:
        words = self._words()
        others = [f"{role}={each}" for role, each in words if isinstance(role, str)]
        alike = listed([each for role, each in words if isinstance(role, int)])
        return f"{type(self).__name__}({', '.join([alike, *others] if alike else others)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the blocks, one per row."""
        title = f"{type(self).__name__}, shapes not known before build(input_shape)"
        return html_table(title, ("", "block"), self._words())

    def _words(self) -> list[tuple[int | str, str]]:
        """Each block in a few words, after its number or its role."""
        blocks: list[tuple[int | str, Block]] = [*enumerate(self._inside(), start=1), *self._beside().items()]
        return [(role, block.describe() if isinstance(block, Layer) else repr(block)) for role, block in blocks]

    def _inside(self) -> "Sequence[Block]":
        """The blocks that it combines, in order; none by default."""
        return ()

    def _beside(self) -> "Mapping[str, Block]":
        """Further blocks by name or by role; none by default."""
        return {}

    @abstractmethod
    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add this composite's nodes to `builder` after `value`; return its output."""

    @called(_="the sizes go into one tuple, build((3, 32, 32))")
    def build(
        self, input_shape: Sequence[int] | int, *, strict: Strict = False, quiet: bool = False, name: str = "network"
    ) -> Graph:
        """Resolve every shape for one sample of shape `input_shape`, channels first, and find every mistake.

        Args:
            input_shape: (C, H, W), (C, L), (C, D, H, W) or (features,), without the batch axis.
            strict: raise an error if real rows or columns would be dropped at a border, instead of one warning; "all"
                also raises one if they would be skipped between windows.
            quiet: give no such warning.
            name: what the summary calls the network.

        Raises:
            ShapeError: a layer does not fit its input; the message says where, why and what would, and its `changes`
                make the network build.
        """
        builder = GraphBuilder(strict=strict, name=name)
        value = builder.input(input_shape)
        try:
            output = self.lower(builder, value)
        except FoveateError as error:
            if error.partial is not None:
                from foveate.graph.analysis.repair import Changes

                error.changes = Changes(self, value.shape, strict, error.place, error.partial)
            raise
        return builder.build(output, quiet=quiet, stacklevel=4)

    def build_with(
        self, layers: Mapping[str, tuple[Layer, ...]], input_shape: Sequence[int] | int, strict: Strict = False
    ) -> Graph:
        """The graph in which `layers`, keyed by path, replace others: by one layer, several, or none.

        It does not warn of dropped borders.
        """
        builder = GraphBuilder(strict=strict, replacements=layers)
        return builder.build(self.lower(builder, builder.input(input_shape)), quiet=True)


Block: TypeAlias = Layer | Composite
"""A layer or a composite."""


class Sequential(Composite):
    """Blocks in sequence.

    >>> from foveate.layers import Conv2d, ReLU
    >>> [node.name for node in Sequential(Conv2d(8, 3), ReLU(), Conv2d(8, 3)).build((1, 9, 9)).nodes]
    ['conv1', 'relu1', 'conv2']
    """

    def __init__(self, *blocks: Block) -> None:
        self.blocks = check_blocks(blocks, "Sequential")

    def _inside(self) -> Sequence[Block]:
        return self.blocks

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add each block after the one before it."""
        for block in self.blocks:
            value = lower(block, builder, value)
        return value


class Named(Composite):
    """A block with a name of its own: a layer gets that name, a composite's layers get it as a prefix.

    >>> from foveate.layers import Conv2d
    >>> Named("stem", Sequential(Named("conv", Conv2d(8, 3)))).build((1, 9, 9)).nodes[0].name
    'stem.conv'
    """

    def __init__(self, name: str, block: Block) -> None:
        if not isinstance(name, str) or not name or name != name.strip() or "." in name:
            raise GraphError(f'"{name}" cannot be a name: it must be a word without dots (dots join nested names)')
        self.name = name
        (self.block,) = check_blocks((block,), "Named")

    def _beside(self) -> Mapping[str, Block]:
        return {self.name: self.block}

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add the block under its name."""
        if isinstance(self.block, Layer):
            return builder.add(self.block, value, name=self.name)
        with builder.scope(self.name):
            if isinstance(self.block, (Residual, Concat)):
                return self.block.lower_inside(builder, value)
            return self.block.lower(builder, value)


class Residual(Composite):
    """A block whose input is added to its output: y = after(block(x) + shortcut(x)).

    Args:
        block: layers or composites, in sequence.
        shortcut: a block for the other path (default: none; the shapes must then match).
        after: a layer after the addition, such as ReLU.

    He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015.
    """

    def __init__(self, *block: Block, shortcut: Block | None = None, after: Block | None = None) -> None:
        self.block = Sequential(*check_blocks(block, "Residual"))
        self.shortcut = None if shortcut is None else check_blocks((shortcut,), "Residual")[0]
        self.after = None if after is None else check_blocks((after,), "Residual")[0]

    def _inside(self) -> Sequence[Block]:
        return self.block.blocks

    def _beside(self) -> Mapping[str, Block]:
        ways = {"shortcut": self.shortcut, "after": self.after}
        return {role: block for role, block in ways.items() if block is not None}

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add both paths, the addition and what comes after it, in a scope of their own."""
        with builder.scope(builder.numbered("residual")):
            return self.lower_inside(builder, value)

    def lower_inside(self, builder: GraphBuilder, value: Value) -> Value:
        """Do the same without a scope of its own."""
        way = self.block.lower(builder, value)
        other = value
        shortcut = self.shortcut
        replaced = builder.replacements.get(builder.path("shortcut"))
        if replaced:
            shortcut = Sequential(*replaced)
        if shortcut is not None:
            with builder.scope("shortcut"):
                other = lower(shortcut, builder, value)
        if way.shape != other.shape:
            raise self._mismatch(builder, value.shape, way.shape, other.shape)
        total = builder.add(Add(), way, other, name="add")
        return total if self.after is None else lower(self.after, builder, total)

    def _mismatch(self, builder: GraphBuilder, before: Shape, way: Shape, other: Shape) -> ShapeError:
        place = builder.path("add")
        if self.shortcut is not None:
            sentence = (
                f"the block's output is {format_sizes(way)}, but its shortcut's is {format_sizes(other)}; "
                "make them equal"
            )
        else:
            from foveate.graph.analysis.repair import fitting_shortcut

            sentence = (
                f"the block turns {format_sizes(before)} into {format_sizes(way)}, so the input cannot be added "
                f"to it. {fitting_shortcut(before, way)}"
            )
        error = ShapeError(f"{place}: {sentence}")
        error.partial = builder.partial()
        error.place = Place(builder.path("shortcut"), Add(), (before, way))
        return error


class Concat(Composite):
    """Branches from one input, joined along the channels, as in Inception.

    >>> from foveate.layers import Conv2d
    >>> Concat(Conv2d(8, 1), Conv2d(16, 3, padding=1)).build((3, 32, 32)).output_shape
    (24, 32, 32)
    """

    def __init__(self, *branches: Block) -> None:
        self.branches = check_blocks(branches, "Concat")

    def _inside(self) -> Sequence[Block]:
        return self.branches

    def lower(self, builder: GraphBuilder, value: Value) -> Value:
        """Add every branch in a scope of its own, then the concatenation."""
        with builder.scope(builder.numbered("concat")):
            return self.lower_inside(builder, value)

    def lower_inside(self, builder: GraphBuilder, value: Value) -> Value:
        """Do the same without a scope of its own."""
        ends = []
        for number, branch in enumerate(self.branches, start=1):
            if isinstance(branch, Named):
                ends.append(branch.lower(builder, value))
                continue
            with builder.scope(f"branch{number}"):
                ends.append(lower(branch, builder, value))
        return builder.add(Concatenate(), *ends, name="concat")


def lower(block: Block, builder: GraphBuilder, value: Value) -> Value:
    """Add a layer or a composite to `builder` after `value`."""
    return builder.add(block, value) if isinstance(block, Layer) else block.lower(builder, value)


def check_blocks(blocks: Sequence[object], owner: str) -> tuple[Block, ...]:
    """The blocks, or a GraphError if there are none or one of them is neither layer nor composite."""
    if not blocks:
        raise GraphError(f"{owner} has no layers; give it at least one")
    checked: list[Block] = []
    for position, block in enumerate(blocks, start=1):
        if isinstance(block, type) and issubclass(block, Layer):
            raise GraphError(f"{owner}: number {position} is the class {block.__name__}; write {block.__name__}()")
        if not isinstance(block, (Layer, Composite)):
            raise GraphError(
                f"{owner}: number {position} is {block!r}, which is neither a layer nor a composite of layers"
            )
        checked.append(block)
    return tuple(checked)

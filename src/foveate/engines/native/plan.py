"""The list of steps while it is built, and the memory plan: which arrays may share memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from foveate.engines.native import _native
from foveate.engines.program import StepInfo
from foveate.errors import EngineError

ALIGNMENT = 64
"""Bytes of a cache line, and of the widest vector."""

WORKSPACE = "workspace"
"""The space that the memory plan divides up; all others are laid out beforehand."""


@dataclass(eq=False)
class Storage:
    """A stretch of bytes in a space; in the workspace `offset` is set by the plan.

    `pinned` storages are never reused: what they hold is read after the run. Those that are `held` also keep it
    through the next run's way forward.
    """

    space: str
    bytes: int
    offset: int = 0
    pinned: bool = False
    held: bool = False
    whole: "Storage | None" = None
    """The storage that this one is a part of, from byte `begin` on; it has no place of its own."""
    begin: int = 0

    def within(self) -> tuple["Storage", int]:
        """The storage that has a place, and where in it this one begins."""
        if self.whole is None:
            return self, 0
        outer, begin = self.whole.within()
        return outer, begin + self.begin


@dataclass(eq=False)
class Array:
    """Numbers in a layout, in a storage that other arrays may view too."""

    layout: _native.Layout
    storage: Storage
    copies: list["Array"] = field(default_factory=list)
    """The same numbers in other layouts."""


@dataclass(frozen=True)
class Step:
    """One operation with its operands by name."""

    phase: str
    node: str
    operation: _native.Operation
    operands: tuple[tuple[str, Array], ...]

    def info(self) -> StepInfo:
        """Its facts, for tuning."""
        return StepInfo(
            phase=self.phase,
            node=self.node,
            operation=self.operation.name,
            implementation=self.operation.implementation,
            layouts={name: array.layout.name for name, array in self.operands if name != "scratchpad"},
            bytes=sum(array.layout.bytes for _, array in self.operands),
        )


class Plan:
    """Collects steps and arrays; `place` then gives every workspace array its offset."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.phase = "forward"
        self.node = ""
        self._parts: list[Storage] = []

    @contextmanager
    def at(self, node: str) -> Iterator[None]:
        """Steps made inside belong to `node`; if oneDNN refuses one, the error has the node's name."""
        before, self.node = self.node, node
        try:
            yield
        except RuntimeError as error:
            raise EngineError(f"{node}: oneDNN cannot do this: {error}") from None
        finally:
            self.node = before

    def new(self, layout: _native.Layout, *, pinned: bool = False) -> Array:
        """An array in the workspace."""
        return Array(layout, Storage(WORKSPACE, layout.bytes, pinned=pinned))

    def run(self, operation: _native.Operation, operands: Mapping[str, Array | None]) -> None:
        """Add a step; operands are named as oneDNN names its arguments, or as a kernel declares them."""
        given = [(name, array) for name, array in operands.items() if array is not None]
        if isinstance(operation, _native.Primitive):
            scratchpad = operation.layout("scratchpad")
            if scratchpad.bytes:
                given.append(("scratchpad", self.new(scratchpad)))
        self.steps.append(Step(self.phase, self.node, operation, tuple(given)))

    def new_workspace(self, primitive: _native.Primitive) -> Array | None:
        """What a primitive remembers for its way back, if it does."""
        layout = primitive.layout("workspace")
        return self.new(layout) if layout.bytes else None

    def sum(self, target: Array, sources: Sequence[Array], *, relu: bool = False) -> None:
        """Add a step that adds arrays of one layout."""
        operands = {"dst": target, **{f"src_{number}": source for number, source in enumerate(sources)}}
        self.run(_native.sum(target.layout.bytes // 4, len(sources), relu), operands)

    def part(self, whole: Array, layout: _native.Layout, begin: int) -> Array:
        """The numbers of `whole` from byte `begin` on as an array; they are contiguous."""
        storage = Storage(whole.storage.space, layout.bytes, whole=whole.storage, begin=begin)
        self._parts.append(storage)
        return Array(layout, storage)

    def joined(self, array: Array, whole: Array, begin: int) -> bool:
        """Whether `array` will lie in `whole` from byte `begin` on, which its storage must not forbid."""
        storage = array.storage
        free = storage.space == WORKSPACE and storage.whole is None and not storage.pinned
        if not free or storage.bytes != array.layout.bytes:
            return False
        storage.whole, storage.begin = whole.storage, begin
        self._parts.append(storage)
        return True

    def in_layout(self, array: Array, layout: _native.Layout) -> Array:
        """`array`, or a copy of it in `layout`, made once."""
        for known in (array, *array.copies):
            if known.layout == layout:
                return known
        copy = self.new(layout)
        self.run(_native.reorder_operation(array.layout, layout), {"src": array, "dst": copy})
        array.copies.append(copy)
        return copy

    def plain(self, array: Array) -> Array:
        """`array` in the plain layout."""
        return self.in_layout(array, _native.Layout.plain(array.layout.dims))

    def reshaped(self, array: Array, dims: Sequence[int]) -> Array:
        """The same numbers with other axes, copied only if the layout leaves no other way."""
        view = array.layout.reshaped(list(dims))
        if view is None:
            array = self.plain(array)
            view = _native.Layout.plain(list(dims))
        return Array(view, array.storage)

    def place(self, *, reread_from: int | None = None) -> int:
        """Give every workspace storage its offset; returns the bytes that the workspace needs.

        Steps from `reread_from` on may be run more than once: what they read of earlier steps stays.
        """
        end = len(self.steps)
        lifetimes: dict[int, tuple[Storage, int, int]] = {}
        for part in self._parts:  # which no step may read, but who asks for it after the run
            outer = part.within()[0]
            outer.pinned |= part.pinned
            outer.held |= part.held
        for index, step in enumerate(self.steps):
            for _, array in step.operands:
                storage = array.storage.within()[0]
                if storage.space == WORKSPACE:
                    first = lifetimes.get(id(storage), (storage, index, index))[1]
                    reread = reread_from is not None and first < reread_from <= index
                    last = end if storage.pinned or reread else index
                    last = max(last, lifetimes.get(id(storage), (storage, first, last))[2])
                    lifetimes[id(storage)] = (storage, 0 if storage.held else first, last)
        total = place_greedily(list(lifetimes.values()))
        for part in self._parts:
            outer, begin = part.within()
            part.space, part.offset = outer.space, outer.offset + begin
        return total


def place_greedily(lifetimes: list[tuple[Storage, int, int]]) -> int:
    """Largest first, each at the lowest offset that is free for its whole life (Pisarchyk, Lee 2020)."""
    placed: list[tuple[Storage, int, int]] = []
    total = 0
    for storage, first, last in sorted(lifetimes, key=lambda life: -life[0].bytes):
        rivals = sorted(
            (other.offset, other.offset + aligned(other.bytes))
            for other, begin, end in placed
            if begin <= last and first <= end
        )
        offset = 0
        for begin, end in rivals:
            if offset + storage.bytes <= begin:
                break
            offset = max(offset, end)
        storage.offset = offset
        placed.append((storage, first, last))
        total = max(total, offset + aligned(storage.bytes))
    return total


def aligned(size: int) -> int:
    """`size` bytes rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT

"""What the importers share: a foreign graph is walked once, and each of its operations becomes layers, or waits."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.graph.builder import GraphBuilder, Value
from foveate.interop.held import Border, Held, held
from foveate.layers import ChannelShuffle, Flatten, Layer, Pad, Reshape, Shape, Transpose
from foveate.layers.pooling import MaxPooling

Columns: TypeAlias = NDArray[np.intp]
Place = TypeVar("Place")


class NotTakenError(Exception):
    """An operation that no layer computes; the message says why."""


class Source(Protocol):
    """Numbers that do not depend on the input."""

    @property
    def tensor(self) -> Any:
        """The numbers."""

    @property
    def name(self) -> str | None:
        """What they are called there, if they are an array of the model, perhaps changed."""

    @property
    def form(self) -> str:
        """How they were changed since."""

    @property
    def learns(self) -> bool:
        """Whether training changes them there."""


@dataclass
class Walk(ABC, Generic[Place]):
    """The graph that is built, and what became of the foreign arrays; `Place` is an operation there."""

    builder: GraphBuilder

    names: dict[str, str] = field(default_factory=dict, init=False)
    """The foreign name of each of foveate's arrays."""

    made: dict[str, Any] = field(default_factory=dict, init=False)
    """The numbers of foveate's arrays that are not as they were."""

    columns: dict[str, Columns] = field(default_factory=dict, init=False)
    """For a weight whose input's axes were moved there: which column here corresponds to each one there."""

    frozen: set[str] = field(default_factory=set, init=False)

    keys: dict[tuple[str | None, ...], str] = field(default_factory=dict, init=False)
    """The key under which nodes share the same foreign arrays."""

    used: Counter[str] = field(default_factory=Counter, init=False)

    @abstractmethod
    def add(self, layer: Layer, *inputs: Value, node: Place) -> Value:
        """Add a layer without arrays, named after an operation."""

    @abstractmethod
    def home(self, node: Place, given: Mapping[str, str], layer: Layer) -> str:
        """A layer's name; `given` has the foreign names of its arrays."""

    def key(self, name: str, given: Mapping[str, str]) -> str:
        """The key for the arrays of a layer of this name, which have the foreign names in `given`."""
        return name

    @abstractmethod
    def is_unchanged(self, array: Source) -> bool:
        """Whether an array that has a name is as it was."""

    def add_made(
        self,
        layer: Layer,
        *inputs: Value,
        node: Place,
        arrays: Mapping[str, Source],
        columns: Columns | None = None,
    ) -> Value:
        """Add a layer with the arrays that it holds, by its own names for them.

        `columns` says which column of the weight here corresponds to each one there.
        """
        given = {name: array.name for name, array in arrays.items() if array.name is not None}
        name = self.free(self.home(node, given, layer))
        moved = "" if columns is None else str(columns.tolist())
        told = (f"{short}: {arrays[short].form}{target}" for short, target in sorted(given.items()))
        shared = (type(layer).__name__, *told, moved)
        if given and shared not in self.keys:
            self.keys[shared] = self.key(name, given)
        key = self.keys[shared] if given else name
        value = self.builder.add(layer, *inputs, name=name, parameters=key)
        if columns is not None:
            self.columns[f"{key}.weight"] = columns
        for short, array in arrays.items():
            full = f"{key}.{short}"
            if array.name is not None:
                self.names[full] = array.name
            if array.name is None or not self.is_unchanged(array):
                self.made[full] = array.tensor
            if not array.learns and short in layer.parameters([each.shape for each in inputs]):
                self.frozen.add(full)
        return value

    def free(self, name: str) -> str:
        """`name`, with the next number appended if it is taken."""
        self.used[name] += 1
        if self.used[name] == 1:
            return name
        return self.free(f"{name}_{self.used[name]}")

    def done(self, waiting: Held, where: Place) -> Value:
        """A held tensor with everything pending done, named after `where`."""
        value = waiting.value
        if waiting.groups is not None:
            grouped = Reshape((waiting.groups, -1, *value.shape[1:]))
            order = (1, 0, *range(2, len(value.shape) + 1))
            value = self.add(Transpose(order), self.add(grouped, value, node=where), node=where)
        if waiting.order is not None:
            value = self.add(Transpose(waiting.order), value, node=where)
        if waiting.steps is not None:
            value = self.add(MaxPooling.over(len(waiting.steps))(1, stride=waiting.steps), value, node=where)
        if waiting.border is not None:
            value = self.padded(value, waiting.border, where)
        shape = waiting.shape or (1,)  # a sample has at least one axis
        if value.shape == shape:
            return value
        layer = Flatten() if len(shape) == 1 else Reshape(shape)
        return self.add(layer, value, node=where)

    def padded(self, value: Value, border: Border, where: Place) -> Value:
        """Padding as a layer of its own."""
        mode = border.mode.replace("zeros", "constant")
        return self.add(Pad(((0, 0), *border.pairs), mode), value, node=where)

    def reshaped(self, source: Held, shape: Shape, where: Place) -> Held:
        """A tensor in another shape; channels whose groups were exchanged are joined again by a channel shuffle."""
        if source.groups is not None and shape == source.value.shape:
            return held(self.add(ChannelShuffle(source.groups), source.value, node=where))
        if source.waits and not (source.order is not None and len(shape) == 1):
            source = held(self.done(source, where))
        return source.seen_as(shape)

    def exchanged(self, source: Held, first: int, second: int) -> Held | None:
        """A tensor whose groups of channels are exchanged with those in each, two axes before; None if it is not."""
        if len(source.shape) < 2:
            return None
        groups, *rest = source.shape
        channels, *spatial = source.value.shape
        if {first, second} == {1, 2} and not source.waits and rest[1:] == spatial and groups * rest[0] == channels:
            return Held(source.value, (rest[0], groups, *spatial), groups=groups)
        return None

    def moved(self, source: Held, axes: Sequence[int], where: Place) -> Held:
        """The tensor with its axes, the batch first, in another order; a Linear after flattening makes up for that."""
        if axes[0] != 0:
            raise NotTakenError("it moves the batch axis")
        before = source.order or tuple(range(len(source.shape)))
        whole = source.order is not None or source.shape == source.value.shape
        if source.waits_for_window or not whole or len(before) != len(source.shape):
            source = held(self.done(source, where))
            before = tuple(range(len(source.shape)))
        order = tuple(before[axis - 1] for axis in axes[1:])
        shape = tuple(source.shape[axis - 1] for axis in axes[1:])
        return replace(source, shape=shape, order=None if order == tuple(range(len(order))) else order)

    def cropped(self, value: Value, axis: int, begin: int, end: int, where: Place) -> Held:
        """A part of an axis."""
        size = value.shape[axis]
        if (begin, end) == (0, size):
            return held(value)
        pairs = [(0, 0)] * len(value.shape)
        pairs[axis] = (-begin, end - size)
        return held(self.add(Pad(tuple(pairs)), value, node=where))


def columns_of(source: Held) -> Columns | None:
    """Which column of a Linear's weight here corresponds to each one there, if axes were moved before flattening."""
    if source.order is None or len(source.shape) != 1:
        return None
    return np.arange(source.shape[0]).reshape(source.value.shape).transpose(source.order).ravel()


def placed(weight: NDArray[Any], columns: Columns | None) -> NDArray[Any]:
    """The weight with its columns in the order of the layer here."""
    if columns is None:
        return weight
    made = np.empty_like(weight)
    made[:, columns] = weight
    return made


def differing_axes(array: Sequence[int], shape: Shape, told: str) -> tuple[int, ...]:
    """The axes of a sample of `shape` on which an array of these sizes, the batch included, has several numbers.

    Raises:
        NotTakenError: the array is larger than the sample, which would be repeated.
    """
    from foveate.geometry import format_sizes

    rank = len(shape) + 1
    sizes = [1] * (rank - len(array)) + list(array)
    axes = tuple(axis for axis, size in enumerate(sizes[1:]) if size > 1)
    if len(sizes) > rank or sizes[0] != 1 or any(shape[axis] != sizes[axis + 1] for axis in axes):
        raise NotTakenError(
            f"it computes with {told} of {format_sizes(array)}, which repeats the tensor's own {format_sizes(shape)}"
        )
    return axes

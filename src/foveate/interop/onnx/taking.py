"""An ONNX network during import: what its values have become, which arrays are known, where the batch is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from foveate.geometry import format_sizes
from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.naming import kept, layer_name
from foveate.interop.onnx.reading import Body, Network, Operation, with_bodies
from foveate.interop.onnx.tensors import Array, number
from foveate.interop.walk import NotTakenError, Source, Walk
from foveate.layers import Layer, Shape
from foveate.text import printable

OURS = "foveate"
"""The producer of files that `to_onnx` wrote, whose operators have the names of layers."""

PARTS = (".back", ".flat", ".groups", ".pieces", ".split")
"""How `to_onnx` ends the names of reshapes that are parts of a layer."""

LARGEST_ARRAY = 1 << 28
"""The most numbers of all arrays that are computed during import: 1 GB."""

LARGEST_MADE = 1 << 26
"""The most numbers of an array that is made of fewer: by copies, or of its shape alone."""

MOST_AXES = 8
"""The most axes of a value, its batch included."""


@dataclass(frozen=True)
class Fixed:
    """Numbers that do not depend on the input; `name` is the file's if they are an array there, perhaps changed."""

    tensor: Array
    name: str | None = None
    form: str = ""

    @property
    def learns(self) -> bool:
        """Whether training changes them: arrays of the file do, and not what is computed from them."""
        return self.name is not None

    @property
    def told(self) -> str:
        """What it is called in a sentence."""
        return f"the array {printable(self.name)}" if self.name else "numbers that do not depend on the input"

    @property
    def only(self) -> float | None:
        """The one number that all of them are, if so."""
        flat = self.tensor.reshape(-1)
        return number(flat[0]) if flat.size and bool((flat == flat[0]).all()) else None

    def changed(self, tensor: Array, form: str) -> "Fixed":
        """The same array in another form."""
        return Fixed(tensor, self.name, self.form + form)

    def seen_as(self, shape: Sequence[int]) -> "Fixed":
        """The same numbers in another shape."""
        return self if self.tensor.shape == tuple(shape) else self.changed(self.tensor.reshape(shape), "reshaped ")


@dataclass(frozen=True)
class Lead:
    """The axis of the file that holds the batch, alone or as `before` x batch x `after` positions.

    Here `before` and `after` are axes of their own if they are more than 1.
    """

    axis: int
    before: int = 1
    after: int = 1

    @property
    def own(self) -> Shape:
        """The sizes of the axes here that share one with the batch in the file."""
        return tuple(size for size in (self.before, self.after) if size > 1)

    @property
    def extra(self) -> int:
        """How many there are."""
        return len(self.own)

    def here(self, axis: int) -> int:
        """Where another axis of the file is here, the batch being axis 0."""
        return axis + 1 if axis < self.axis else axis + self.extra


@dataclass
class Taking(Walk[Operation]):
    """Everything that rules need: a builder, the values so far, and the arrays of the file by name."""

    network: Network
    batch: int
    """The size of the batch axis while shapes are computed."""

    known: dict[str, Any] = field(default_factory=dict)
    """What represents each value of the file: a `Held`, a `Fixed`, or None if it is refused."""

    readers: Counter[str] = field(default_factory=Counter)
    """How many operations, or outputs of the network, read each value."""

    places: dict[str, str] = field(default_factory=dict)
    """The operation in the file that each of foveate's layers comes from."""

    ready: dict[str, Held] = field(default_factory=dict)
    """Results of operations that are done together with one before them."""

    users: dict[str, list[Operation]] = field(default_factory=dict)
    """The operations that read each value."""

    scales: dict[str, tuple[Fixed, Fixed | None]] = field(default_factory=dict)
    """Scale and zero point of each value that is quantised in the file, and here what it stands for."""

    wholes: dict[str, str] = field(default_factory=dict)
    """The type of each value that depends on the input and holds whole numbers in the file."""

    held_keys: set[str] = field(default_factory=set)
    """The keys of arrays so far."""

    computed: int = 0
    """How many numbers of arrays were computed so far."""

    leads: dict[str, Lead] = field(default_factory=dict)
    """Where the batch is in the file, of values in which it is not alone in the first axis."""

    notes: list[str] = field(default_factory=list)
    """What the user should be told about the model."""

    def __post_init__(self) -> None:
        for operation in with_bodies(self.network.operations):
            self.readers.update(filter(None, operation.inputs))
            for body in (each for each in operation.attributes.values() if isinstance(each, Body)):
                self.readers.update(body.outputs)
            for name in set(operation.inputs):
                self.users.setdefault(name, []).append(operation)
        self.readers.update(port.name for port in self.network.outputs)
        self.known.update({name: Fixed(array, name) for name, array in self.network.arrays.items()})

    def add(
        self, layer: Layer, *inputs: Value, node: Operation, arrays: Mapping[str, Fixed | None] | None = None
    ) -> Value:
        """Add a layer, under the name of the operation; `arrays` are the file's, by the layer's names for them."""
        fixed = {name: array for name, array in (arrays or {}).items() if array is not None}
        value = self.add_made(layer, *inputs, node=node, arrays=fixed)
        self.places[value.name] = node.name
        shapes = [each.shape for each in inputs]
        parameters, statistics = layer.parameters(shapes), layer.statistics(shapes)
        for name, array in fixed.items():
            wanted = parameters[name].shape if name in parameters else statistics[name].shape
            if array.tensor.shape != wanted:
                raise NotTakenError(
                    f"its {name} has the shape {format_sizes(array.tensor.shape)}, not {format_sizes(wanted)}"
                )
        return value

    def home(self, node: Operation, given: Mapping[str, str], layer: Layer) -> str:
        """That of the module that holds its arrays if their names say so, else the operation's."""
        if self.is_ours and node.name:
            return kept(node.name)
        return layer_name(node, given, layer)

    def key(self, name: str, given: Mapping[str, str]) -> str:
        """In our own files what precedes the names of the arrays, unless a part of the same layer has it."""
        short, target = next(iter(given.items()))
        stem, _, last = target.rpartition(".")
        stem = stem if self.is_ours and last == short else ""
        wanted = (kept(stem) if stem else name, name)
        key = next((each for each in wanted if each not in self.held_keys), f"{name}_own")
        self.held_keys.add(key)
        return key

    @property
    def is_ours(self) -> bool:
        """Whether `to_onnx` wrote the file."""
        return self.network.producer.startswith(OURS)

    def is_unchanged(self, array: Source) -> bool:
        """Whether it is as in the file."""
        return not array.form

    def note(self, sentence: str) -> None:
        """Tell the user something once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


@dataclass(frozen=True)
class Op:
    """An operation while its rule runs: its inputs as values or arrays, its attributes, and what it makes."""

    taking: Taking
    node: Operation

    @property
    def opset(self) -> int:
        """The version of the operators."""
        return self.taking.network.opset

    @property
    def is_whole_layer(self) -> bool:
        """Whether `to_onnx` wrote this operator for a layer of its own, not as a part of one."""
        return self.taking.is_ours and self.node.outputs[0] == self.node.name and not self.node.name.endswith(PARTS)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.node.attributes.get(name, default)

    def has(self, number: int) -> bool:
        """Whether it has that input."""
        return len(self.node.inputs) > number and bool(self.node.inputs[number])

    def known(self, number: int = 0) -> Any:
        """What represents an input: a `Held` or a `Fixed`."""
        if not self.has(number):
            raise NotTakenError(f"it has no input {number + 1}")
        return self.taking.known[self.node.inputs[number]]

    def fixed(self, number: int) -> Fixed:
        """An input that does not depend on the network's."""
        found = self.known(number)
        if not isinstance(found, Fixed):
            name = printable(self.node.inputs[number])
            raise NotTakenError(f"its input {number + 1}, {name}, depends on the network's input")
        return found

    def optional(self, number: int) -> Fixed | None:
        """The same, or None if the input is left out."""
        return self.fixed(number) if self.has(number) else None

    def held(self, number: int = 0) -> Held:
        """An input that depends on the network's, with what is pending."""
        found = self.known(number)
        if isinstance(found, Fixed):
            raise NotTakenError(f"it computes with {found.told} in place of a tensor, which no layer in foveate does")
        assert isinstance(found, Held), "a list is a value of its own"
        return found

    def value(self, number: int = 0) -> Value:
        """The same with everything pending done."""
        waiting = self.held(number)
        value = self.taking.done(waiting, self.node)
        if value is not waiting.value:
            self.taking.known[self.node.inputs[number]] = held(value).seen_as(
                waiting.shape
            )  # whoever else reads it finds it done
        return value

    def shape(self, number: int = 0) -> Shape:
        """The shape of an input in the file, batch and all."""
        return self.taking_shape(self.known(number))

    def taking_shape(self, found: Any) -> Shape:
        """The shape that something has in the file."""
        return tuple(found.tensor.shape) if isinstance(found, Fixed) else (self.taking.batch, *found.shape)

    def rank(self, number: int = 0) -> int:
        """How many axes an input has in the file, the batch included."""
        return len(self.shape(number))

    def axis(self, axis: int, rank: int, what: str = "it is over the batch") -> int:
        """An axis in the file as an axis of a sample."""
        if not -rank <= axis < rank:
            raise NotTakenError(f"it is over axis {axis} of {rank}")
        if axis % rank == 0:
            raise NotTakenError(what)
        return axis % rank - 1

    def option(self, name: str, number: int, default: Any = None) -> Any:
        """Numbers that are an attribute in old versions and an input in new ones."""
        if name in self.node.attributes:
            return self.node.attributes[name]
        fixed = self.optional(number)
        return default if fixed is None else fixed.tensor.tolist()

    def add(self, layer: Layer, *inputs: Value, **arrays: Fixed | None) -> Value:
        """Add a layer with its arrays."""
        return self.taking.add(layer, *inputs, node=self.node, arrays=arrays)

    def then(self, layer: Layer, *inputs: Value, **arrays: Fixed | None) -> Held:
        """Add a layer, whose output is the result."""
        return held(self.add(layer, *inputs, **arrays))

    def mapped(self, layer: Layer, number: int = 0) -> Held:
        """A function of single numbers, which does not mind a shape that waits."""
        before = self.held(number)
        if not before.waits_for_window and prod(before.value.shape) == prod(before.shape):
            return before.then(self.add(layer, before.value))
        return self.then(layer, self.value(number))

    def alone(self, number: int = 0) -> bool:
        """Whether it is the only reader of an input."""
        return self.taking.readers[self.node.inputs[number]] == 1

    def only_reader(self, kind: str) -> Operation | None:
        """The operation that alone reads the result, if it is of a kind."""
        name = self.node.outputs[0]
        users = self.taking.users.get(name, [])
        only = users[0] if len(users) == 1 and self.taking.readers[name] == 1 else None
        return only if only is not None and only.kind == kind and len(only.inputs) == 2 else None

    def sample(self, full: Any, told: str = "its result") -> Shape:
        """The shape of a sample of a result whose shape in the file is `full`."""
        sizes = tuple(map(int, full))
        if len(sizes) > MOST_AXES:
            raise NotTakenError(f"{told} has {len(sizes)} axes")
        if not sizes or sizes[0] != self.taking.batch:
            raise NotTakenError(f"{told} is {format_sizes(sizes) or 'one number'}, in which the batch is not first")
        return sizes[1:]


def check_size(shape: Any, most: int = LARGEST_ARRAY) -> Shape:
    """The shape of an array that is to be computed, if it is not too large."""
    sizes = tuple(map(int, np.asarray(shape).reshape(-1).tolist()))
    if min(sizes, default=1) < 0 or prod(sizes) > most:
        raise NotTakenError(f"it makes an array of {format_sizes(sizes)}")
    return sizes

"""An ONNX file as a list of operations in order, and the arrays that they read: checked, but not yet understood."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foveate.errors import FileError
from foveate.interop.onnx.tensors import Array, Store, array_of, mapped, number
from foveate.interop.onnx.wire import Message, WireError, read_message
from foveate.text import named, printable

OPSETS = range(6, 29)
"""Versions of ONNX's operators that are read: up to the newest of onnx 1.23."""

MOST_NODES = 100_000
"""The most operations in a network."""

OWN = ("", "ai.onnx")
"""The domain of ONNX's own operators."""

_MOST_INLINED = 32


@dataclass(frozen=True)
class Body:
    """A graph within a graph: its operations, its own arrays, and the names of its results."""

    operations: tuple["Operation", ...]
    arrays: Mapping[str, Array]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """One operation: what it is called, what it reads and makes, its attributes, and where it is."""

    kind: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def told(self) -> str:
        """What it is called in a sentence."""
        name = self.name or next(filter(None, self.outputs), "without a name")
        return f"{printable(name)}: {printable(self.kind if self.domain in OWN else f'{self.domain}.{self.kind}')}"


@dataclass(frozen=True)
class Port:
    """An input or output of the network: its name, its type of elements, and its sizes, which may be words."""

    name: str
    kind: int
    sizes: tuple[int | str, ...] | None


@dataclass(frozen=True)
class Network:
    """What a file holds. `operations` come after what they read, and all of them are needed for the outputs."""

    name: str
    opset: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operations: tuple[Operation, ...]
    arrays: Mapping[str, Array]
    about: Mapping[str, str]
    producer: str = ""


@dataclass
class Reader:
    """Turns messages into operations; `store` has the arrays outside the file."""

    store: Store
    functions: Mapping[tuple[str, str], Message] = field(default_factory=dict)
    count: int = 0

    def operations(self, nodes: Iterable[Message], depth: int = 0) -> list[Operation]:
        """Operations of nodes, with functions written out."""
        found: list[Operation] = []
        for message in nodes:
            self.count += 1
            if self.count > MOST_NODES:
                raise FileError(f"its network has more than {MOST_NODES:,} operations")
            operation = self.operation(message)
            function = self.functions.get((operation.domain, operation.kind))
            if function is None:
                found.append(operation)
            elif depth == _MOST_INLINED:
                raise FileError(f"its function {printable(operation.kind)} calls itself, or {depth} others in turn")
            else:
                found += self.inlined(operation, function, depth)
        return found

    def operation(self, message: Message) -> Operation:
        """One operation, whatever it is."""
        attributes = {each.get("name", ""): self.attribute(each) for each in message.get("attribute", ())}
        return Operation(
            message.get("op_type", ""),
            message.get("domain", ""),
            message.get("name", ""),
            tuple(message.get("input", ())),
            tuple(message.get("output", ())),
            attributes,
        )

    def attribute(self, message: Message) -> Any:
        """The value of an attribute: a number, a word, an array, a list of these, or a `Body`."""
        if message.get("ref_attr_name"):
            return _Reference(message["ref_attr_name"])
        kind = message.get("type", 0) or next((k for k, (entry, _) in _VALUES.items() if entry in message), 0)
        if kind not in _VALUES:
            return None
        entry, empty = _VALUES[kind]
        value = message.get(entry, empty)
        if entry in ("f", "floats"):
            return number(value) if entry == "f" else list(map(number, value))
        if entry == "strings":
            return list(map(_word, value))
        if entry == "t":
            return array_of(value, self.store)
        return _word(value) if entry == "s" else self.body(value) if entry == "g" else value

    def body(self, graph: Message) -> Body:
        """A graph within a graph."""
        arrays = {each.get("name", ""): array_of(each, self.store) for each in graph.get("initializer", ())}
        outputs = tuple(each.get("name", "") for each in graph.get("output", ()))
        return Body(tuple(self.operations(graph.get("node", ()))), arrays, outputs)

    def inlined(self, call: Operation, function: Message, depth: int) -> list[Operation]:
        """The operations of a function, its values renamed after the call."""
        given = {each.get("name", ""): self.attribute(each) for each in function.get("attribute_proto", ())}
        given.update(call.attributes)
        names = dict(zip(function.get("input", ()), call.inputs, strict=False))
        names.update(zip(function.get("output", ()), call.outputs, strict=False))
        prefix = f"{call.name or next(iter(call.outputs), '')}/"

        def renamed(name: str) -> str:
            return names.get(name, prefix + name) if name else name

        return [
            replace(
                each,
                name=prefix + each.name,
                inputs=tuple(map(renamed, each.inputs)),
                outputs=tuple(map(renamed, each.outputs)),
                attributes={key: value for key, value in _referred(each.attributes, given) if value is not None},
            )
            for each in self.operations(function.get("node", ()), depth + 1)
        ]


def _word(octets: memoryview) -> str:
    return bytes(octets).decode("utf-8", "replace")


@dataclass(frozen=True)
class _Reference:
    """An attribute of the function around an operation."""

    name: str


def _referred(attributes: Mapping[str, Any], given: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in attributes.items():
        yield key, given.get(value.name) if isinstance(value, _Reference) else value


_VALUES: Mapping[int, tuple[str, Any]] = {
    1: ("f", 0.0), 2: ("i", 0), 3: ("s", b""), 4: ("t", {}), 5: ("g", {}), 6: ("floats", []), 7: ("ints", []),
    8: ("strings", []),
}  # fmt: skip
"""The field of each type of attribute, and what it is if it is missing."""


def read_network(path: Path) -> Network:
    """The network in an ONNX file.

    Raises:
        FileError: the file is missing, not of ONNX, damaged, or refers to files outside its folder.
    """
    try:
        data = mapped(path)
    except FileNotFoundError:
        raise FileError(f"{named(path)} does not exist; expected an ONNX file") from None
    except OSError as error:
        raise FileError(f"{named(path)} cannot be read: {error.strerror or error}") from None
    if not data:
        raise FileError(f"{named(path)} is empty; expected an ONNX file")
    try:
        return _network(read_message(data), Store(path.parent))
    except WireError as error:
        raise FileError(f"{named(path)} is not an ONNX file, or is damaged: {error}") from None
    except FileError as error:
        raise FileError(f"{named(path)} cannot be imported: {error}") from None


def _network(model: Message, store: Store) -> Network:
    graph = model.get("graph")
    if not graph or "opset_import" not in model:
        raise WireError("it has no network, or does not say which operators it is written in")
    opset = _opset(model)
    functions = {(each.get("domain", ""), each.get("name", "")): each for each in model.get("functions", ())}
    reader = Reader(store, functions)
    if graph.get("sparse_initializer"):
        raise FileError("it has sparse arrays, which are not read")
    arrays = {each.get("name", ""): array_of(each, store) for each in graph.get("initializer", ())}
    ports = [_port(each) for each in graph.get("input", ())]
    inputs = tuple(port for port in ports if port.name not in arrays)
    outputs = tuple(_port(each) for each in graph.get("output", ()))
    if not outputs:
        raise FileError("its network has no outputs")
    operations = ordered(reader.operations(graph.get("node", ())), {*arrays, *(port.name for port in inputs)}, outputs)
    about = {each.get("key", ""): each.get("value", "") for each in model.get("metadata_props", ())}
    producer = f"{model.get('producer_name', '')} {model.get('producer_version', '')}".strip()
    name = graph.get("name", "")
    return Network(name, opset, inputs, outputs, tuple(operations), arrays, about, printable(producer))


def _opset(model: Message) -> int:
    versions = [each.get("version", 0) for each in model["opset_import"] if each.get("domain", "") in OWN]
    opset = max(versions, default=OPSETS[-1])
    if opset not in OPSETS:
        raise FileError(
            f"it is written in version {opset} of ONNX's operators; {OPSETS[0]} to {OPSETS[-1]} are read. "
            "onnx.version_converter writes it in another"
        )
    return opset


def _port(message: Message) -> Port:
    tensor = message.get("type", {}).get("tensor_type", {})
    shape = tensor.get("shape")
    sizes = None if shape is None else tuple(_size(each) for each in shape.get("dim", ()))
    return Port(message.get("name", ""), tensor.get("elem_type", 0), sizes)


def _size(dimension: Message) -> int | str:
    size: Any = dimension.get("dim_value", dimension.get("dim_param", "?"))
    return size if isinstance(size, str) or size > 0 else "?"


def ordered(operations: Sequence[Operation], known: set[str], outputs: Sequence[Port]) -> list[Operation]:
    """The operations that the outputs need, each after those that it reads.

    Raises:
        FileError: something is read that nothing makes, made twice, or made from itself.
    """
    makers: dict[str, Operation] = {}
    for operation in operations:
        for name in filter(None, operation.outputs):
            if name in makers or name in known:
                raise FileError(f'"{printable(name)}" is made twice, also by {operation.told}')
            makers[name] = operation
    found: list[Operation] = []
    state: dict[int, bool] = {}
    for port in outputs:
        if port.name not in makers and port.name not in known:
            raise FileError(f'nothing makes its output "{printable(port.name)}"')
        waiting = [makers[port.name]] if port.name in makers else []
        while waiting:
            operation = waiting[-1]
            if state.get(id(operation)) is not None:
                waiting.pop()
                if not state[id(operation)]:
                    state[id(operation)] = True
                    found.append(operation)
                continue
            state[id(operation)] = False
            for name in filter(None, read_by(operation)):
                maker = makers.get(name)
                if maker is None and name not in known:
                    raise FileError(
                        f'{operation.told} reads "{printable(name)}", which nothing makes; an array of the file is '
                        "missing"
                    )
                if maker is not None and state.get(id(maker)) is False:
                    raise FileError(f"{operation.told} waits for itself, by way of {maker.told}")
                if maker is not None and id(maker) not in state:
                    waiting.append(maker)
    return _as_in_file(operations, found, known)


def _as_in_file(operations: Sequence[Operation], found: list[Operation], known: set[str]) -> list[Operation]:
    """The same operations in the order of the file, if each of them comes after those that it reads there."""
    needed, made = set(map(id, found)), set(known)
    kept = [operation for operation in operations if id(operation) in needed]
    for operation in kept:
        if not made.issuperset(filter(None, read_by(operation))):
            return found
        made.update(operation.outputs)
    return kept


def read_by(operation: Operation) -> tuple[str, ...]:
    """The names that an operation reads, those in its bodies included."""
    names = list(operation.inputs)
    for body in (each for each in operation.attributes.values() if isinstance(each, Body)):
        made = {*body.arrays, *(name for inner in body.operations for name in inner.outputs)}
        inside = [name for inner in body.operations for name in read_by(inner)]
        names += [name for name in (*inside, *body.outputs) if name not in made]
    return tuple(names)


def with_bodies(operations: Iterable[Operation]) -> Iterable[Operation]:
    """Operations, and those in their bodies."""
    for operation in operations:
        yield operation
        for body in (each for each in operation.attributes.values() if isinstance(each, Body)):
            yield from with_bodies(body.operations)

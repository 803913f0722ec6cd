"""Protobuf's wire format with the messages of ONNX as a table: files are read without copies and written in pieces.

Every message becomes a dict from field names to values. Bytes are views of the file. What a file may contain is bounded
before anything is allocated: how deep messages are nested, and how many values there are.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FoveateError

Message: TypeAlias = dict[str, Any]

DEEPEST = 48
"""The most messages within each other; a graph within a graph is three."""

MOST_VALUES = 4_000_000
"""The most values of all messages together, arrays of numbers not counted."""


class WireError(FoveateError):
    """Bytes that are not a message of ONNX."""


class Field(NamedTuple):
    """A field: its name, a kind of number, "bytes", "text" or a message, and whether it is a list."""

    name: str
    kind: str
    many: bool = False


_ENTRY = {1: Field("key", "text"), 2: Field("value", "text")}

MESSAGES: Mapping[str, Mapping[int, Field]] = {
    "Model": {
        1: Field("ir_version", "int"), 2: Field("producer_name", "text"), 3: Field("producer_version", "text"),
        6: Field("doc_string", "text"), 7: Field("graph", "Graph"), 8: Field("opset_import", "Opset", True),
        14: Field("metadata_props", "Entry", True), 25: Field("functions", "Function", True),
    },
    "Opset": {1: Field("domain", "text"), 2: Field("version", "int")},
    "Entry": _ENTRY,
    "Graph": {
        1: Field("node", "Node", True), 2: Field("name", "text"), 5: Field("initializer", "Tensor", True),
        11: Field("input", "ValueInfo", True), 12: Field("output", "ValueInfo", True),
        15: Field("sparse_initializer", "Sparse", True),
    },
    "Sparse": {1: Field("values", "Tensor"), 2: Field("indices", "Tensor"), 3: Field("dims", "int", True)},
    "Function": {
        1: Field("name", "text"), 4: Field("input", "text", True), 5: Field("output", "text", True),
        6: Field("attribute", "text", True), 7: Field("node", "Node", True), 10: Field("domain", "text"),
        11: Field("attribute_proto", "Attribute", True), 13: Field("overload", "text"),
    },
    "Node": {
        1: Field("input", "text", True), 2: Field("output", "text", True), 3: Field("name", "text"),
        4: Field("op_type", "text"), 5: Field("attribute", "Attribute", True), 7: Field("domain", "text"),
        8: Field("overload", "text"),
    },
    "Attribute": {
        1: Field("name", "text"), 2: Field("f", "float"), 3: Field("i", "int"), 4: Field("s", "bytes"),
        5: Field("t", "Tensor"), 6: Field("g", "Graph"), 7: Field("floats", "float", True),
        8: Field("ints", "int", True), 9: Field("strings", "bytes", True), 10: Field("tensors", "Tensor", True),
        20: Field("type", "int"), 21: Field("ref_attr_name", "text"),
    },
    "Tensor": {
        1: Field("dims", "int", True), 2: Field("data_type", "int"), 4: Field("float_data", "floats", True),
        5: Field("int32_data", "ints", True), 6: Field("string_data", "bytes", True),
        7: Field("int64_data", "ints", True), 8: Field("name", "text"), 9: Field("raw_data", "bytes"),
        10: Field("double_data", "doubles", True), 11: Field("uint64_data", "ints", True),
        13: Field("external_data", "Entry", True), 14: Field("data_location", "int"),
    },
    "ValueInfo": {1: Field("name", "text"), 2: Field("type", "Type")},
    "Type": {1: Field("tensor_type", "TensorType")},
    "TensorType": {1: Field("elem_type", "int"), 2: Field("shape", "Shape")},
    "Shape": {1: Field("dim", "Dimension", True)},
    "Dimension": {1: Field("dim_value", "int"), 2: Field("dim_param", "text")},
}  # fmt: skip
"""The fields that are read or written, by their numbers in onnx.proto; others are skipped."""

_FIXED: Mapping[str, tuple[str, int]] = {"float": ("<f", 5), "floats": ("<f4", 5), "doubles": ("<f8", 1)}
_WIRE_TYPES: Mapping[str, int] = {"int": 0, "ints": 0, "float": 5, "floats": 5, "doubles": 1}


def read_message(data: memoryview, name: str = "Model") -> Message:
    """The message in `data`.

    Raises:
        WireError: it is not one, or too large or deep to be a network.
    """
    return _Reader(data).message(name, 0, len(data), 1)


@dataclass
class _Reader:
    data: memoryview
    values: int = 0

    def message(self, name: str, begin: int, end: int, depth: int) -> Message:
        if depth > DEEPEST:
            raise WireError(f"messages are nested deeper than {DEEPEST}")
        found: Message = {}
        fields, at = MESSAGES[name], begin
        while at < end:
            tag, at = self.varint(at, end)
            field, wire = fields.get(tag >> 3), tag & 7
            if field is None or (wire == 2 and field.kind in ("int", "float") and not field.many):
                at = self.skip(wire, at, end)
                continue
            self.count()
            value, at = self.value(field, wire, at, end, depth)
            if not field.many:
                found[field.name] = value
            elif isinstance(value, list):  # packed, though its file says it is not
                found.setdefault(field.name, []).extend(value)
            else:
                found.setdefault(field.name, []).append(value)
        return found

    def value(self, field: Field, wire: int, at: int, end: int, depth: int) -> tuple[Any, int]:
        if wire != 2:
            if wire != _WIRE_TYPES.get(field.kind):
                raise WireError(f"{field.name} is not of the type that it has in ONNX")
            return self.number(field.kind, at, end)
        length, at = self.varint(at, end)
        if length > end - at:
            raise WireError("the file is cut short")
        return self.content(field.kind, at, at + length, depth), at + length

    def content(self, kind: str, at: int, stop: int, depth: int) -> Any:
        match kind:
            case "bytes":
                found: Any = self.data[at:stop]
            case "text":
                found = bytes(self.data[at:stop]).decode("utf-8", "replace")
            case "floats" | "doubles":
                found = self.fixed(kind, at, stop)
            case "ints":
                found = varints(self.data[at:stop])
            case "int" | "float":
                found = self.packed(kind, at, stop)
            case _:
                found = self.message(kind, at, stop, depth + 1)
        return found

    def number(self, kind: str, at: int, end: int) -> tuple[Any, int]:
        if kind in ("int", "ints"):
            number, at = self.varint(at, end)
            signed = number - (1 << 64) if number >= 1 << 63 else number
            return (signed if kind == "int" else np.array([signed], np.int64)), at
        stop = at + (8 if kind == "doubles" else 4)
        if stop > end:
            raise WireError("the file is cut short")
        if kind == "float":
            return struct.unpack_from("<f", self.data, at)[0], stop
        return self.fixed(kind, at, stop), stop

    def fixed(self, kind: str, at: int, stop: int) -> NDArray[Any]:
        form = _FIXED[kind][0]
        if (stop - at) % np.dtype(form).itemsize:
            raise WireError("an array of numbers is cut short")
        return np.frombuffer(self.data[at:stop], form)

    def packed(self, kind: str, at: int, stop: int) -> list[Any]:
        numbers = []
        while at < stop:
            self.count()
            number, at = self.number(kind, at, stop)
            numbers.append(number)
        return numbers

    def varint(self, at: int, end: int) -> tuple[int, int]:
        number = shift = 0
        data = self.data
        while at < end and shift < 70:
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7
        raise WireError("the file is cut short" if at >= end else "a number has more than 64 bits")

    def skip(self, wire: int, at: int, end: int) -> int:
        if wire == 0:
            return self.varint(at, end)[1]
        length, at = self.varint(at, end) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if length < 0:
            raise WireError(f"it has a field of the wire type {wire}, which does not exist")
        if length > end - at:
            raise WireError("the file is cut short")
        return at + length

    def count(self) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise WireError(f"it has more than {MOST_VALUES:,} values besides its arrays")


def varints(data: memoryview) -> NDArray[np.int64]:
    """The numbers of a packed field.

    >>> varints(memoryview(bytes([3, 0x96, 1]))).tolist()
    [3, 150]
    """
    octets = np.frombuffer(data, np.uint8)
    if not octets.size:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(octets < 128)
    if not ends.size or ends[-1] != octets.size - 1:
        raise WireError("an array of numbers is cut short")
    begins = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - begins + 1
    if lengths.max() > 10:
        raise WireError("a number has more than 64 bits")
    numbers = np.zeros(ends.size, np.uint64)
    for place in range(int(lengths.max())):
        there = lengths > place
        part = octets[begins[there] + place].astype(np.uint64) & np.uint64(127)
        numbers[there] |= part << np.uint64(7 * place)
    return numbers.view(np.int64)


def written(message: Message, name: str = "Model") -> Iterator[bytes | memoryview]:
    """The bytes of a message, in pieces; long ones are what `message` holds."""
    by_name = {field.name: (number, field) for number, field in MESSAGES[name].items()}
    for key, given in message.items():
        number, field = by_name[key]
        for value in given if field.many else (given,):
            if field.kind == "int":
                yield _varint(number << 3) + _varint(int(value) & 0xFFFF_FFFF_FFFF_FFFF)
            elif field.kind == "float":
                yield _varint(number << 3 | 5) + struct.pack("<f", value)
            else:
                pieces = _pieces(value, field.kind)
                yield _varint(number << 3 | 2) + _varint(sum(map(len, pieces)))
                yield from pieces


def _pieces(value: Any, kind: str) -> Sequence[bytes | memoryview]:
    match kind:
        case "text":
            return [value.encode()]
        case "bytes":
            return [value.encode() if isinstance(value, str) else value]
        case "ints" | "floats" | "doubles":
            raise WireError(f"{kind} are written as raw bytes only")
    return list(written(value, kind))


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)

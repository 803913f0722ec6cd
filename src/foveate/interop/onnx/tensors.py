"""ONNX's tensors as NumPy arrays: of every type, from the file itself or from files beside it."""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FileError
from foveate.interop.onnx.wire import Message
from foveate.opening import open_regular
from foveate.text import named, printable

Array = NDArray[Any]

TYPES: Mapping[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip
"""ONNX's types of elements by their numbers."""

MOST_AXES = 32
"""The most axes of an array."""

FLOATS = ("float32", "float16", "bfloat16", "float64")
"""Those that become float32."""

_NARROW: Mapping[str, int] = {"uint4": 4, "int4": 4, "uint2": 2, "int2": 2}
"""Types of which a byte holds several, with their bits."""

_FIELDS: Mapping[str, str] = {
    "float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint64": "uint64_data",
    "uint32": "uint64_data",
}  # fmt: skip
"""Where an array is if it is not raw; all other types are among int32_data."""


def number(single: Any) -> float:
    """A number of 32 bits as the shortest one that is rounded to it: 0.1, not 0.10000000149011612.

    >>> number(np.float32(1e-5))
    1e-05
    """
    return float(str(np.float32(single)))


@dataclass
class Store:
    """The folder of a model, and the files in it that hold its arrays, mapped when they are first needed."""

    folder: Path
    opened: dict[Path, memoryview] = field(default_factory=dict)

    def part(self, entries: Mapping[str, str], name: str) -> memoryview:
        """The bytes of an array outside the model.

        Raises:
            FileError: they are outside the folder, or not there.
        """
        path = self._path(entries.get("location", ""), name)
        if path not in self.opened:
            try:
                self.opened[path] = mapped(path)
            except OSError as error:
                raise FileError(f"the array {name} lies in {named(path)}, which cannot be read: {error}") from None
        whole = self.opened[path]
        try:
            begin = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(len(whole) - begin)))
        except ValueError:
            raise FileError(f"the array {name} lies at no valid place of {named(path)}") from None
        if begin < 0 or length < 0 or begin + length > len(whole):
            raise FileError(
                f"the array {name} has {length:,} bytes from byte {begin:,} on of {named(path)}, which has "
                f"{len(whole):,}"
            )
        return whole[begin : begin + length]

    def _path(self, location: str, name: str) -> Path:
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
        except (OSError, ValueError, RuntimeError):
            path = Path()
        if not location or "\0" in location or not path.is_relative_to(folder) or path == folder:
            raise FileError(
                f'the array {name} lies in "{printable(location)}", outside the folder of the model; only files beside '
                "the model are read"
            )
        return path


def mapped(path: Path) -> memoryview:
    """The bytes of a file, which are read when they are looked at.

    Raises:
        FileError: it is a pipe or a device.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        if file.seek(0, 2) == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def array_of(tensor: Message, store: Store) -> Array:
    """The array of a tensor, a view of the file where its type is NumPy's; floats of other sizes become float32.

    Raises:
        FileError: its numbers are not as many as its shape says, or of a type that is not read.
    """
    name = printable(tensor.get("name", "without a name"))
    kind = TYPES.get(tensor.get("data_type", 0), "unknown")
    shape = tuple(tensor.get("dims", ()))
    if min(shape, default=0) < 0:
        raise FileError(f"the array {name} has the shape {shape}; sizes cannot be negative")
    if len(shape) > MOST_AXES:
        raise FileError(f"the array {name} has {len(shape)} axes; at most {MOST_AXES} are read")
    if kind in ("unknown", "string") or kind.startswith(("complex", "float8", "float4")):
        raise FileError(f"the array {name} is of the type {kind}, which is not read")
    count = prod(shape)
    raw = _raw(tensor, store, name)
    array = _from_fields(tensor, kind) if raw is None else _from_raw(raw, kind, count, name)
    if array.size != count:
        raise FileError(f"the array {name} has {array.size:,} numbers, but its shape {shape} has room for {count:,}")
    if kind in FLOATS and array.dtype != np.float32:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    shaped: Array = array.reshape(shape)
    return shaped


def _raw(tensor: Message, store: Store, name: str) -> memoryview | None:
    if tensor.get("data_location") == 1:
        entries = {entry.get("key", ""): entry.get("value", "") for entry in tensor.get("external_data", ())}
        return store.part(entries, name)
    raw: memoryview | None = tensor.get("raw_data")
    return raw


def _from_raw(raw: memoryview, kind: str, count: int, name: str) -> Array:
    if kind in _NARROW:
        return _unpacked(np.frombuffer(raw, np.uint8), kind, count)
    form = np.dtype("<u2" if kind == "bfloat16" else kind).newbyteorder("<")
    if len(raw) != count * form.itemsize:
        raise FileError(
            f"the array {name} has {len(raw):,} bytes, but its shape holds {count:,} numbers of {form.itemsize} bytes"
        )
    array: Array = np.frombuffer(raw, form)
    return _widened(array) if kind == "bfloat16" else array


def _from_fields(tensor: Message, kind: str) -> Array:
    parts = tensor.get(_FIELDS.get(kind, "int32_data"), [])
    array: Array = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    made: Array
    if kind == "bfloat16":
        made = _widened(array.astype(np.uint16))
    elif kind == "float16":
        made = array.astype(np.uint16).view(np.float16)
    elif kind in _NARROW:
        made = _unpacked(array.astype(np.uint8), kind, prod(tensor.get("dims", ())))
    else:
        made = array.astype(kind)
    return made


def _widened(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _unpacked(octets: NDArray[np.uint8], kind: str, count: int) -> Array:
    """Numbers of which a byte holds several, the first in its low bits."""
    bits = _NARROW[kind]
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    numbers: Array = (octets[:, None] >> shifts & (2**bits - 1)).ravel()[:count]
    if kind.startswith("u"):
        return numbers
    signed: Array = np.where(numbers >= 2 ** (bits - 1), numbers.astype(np.int8) - 2**bits, numbers)
    return signed.astype(np.int8)

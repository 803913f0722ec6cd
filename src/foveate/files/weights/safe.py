"""The arrays in a safetensors file, in alphabetical order: the format does not keep the writer's."""

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from foveate.files.container import LARGEST_HEADER
from foveate.files.weights.tensors import DAMAGE, damaged, not_read, widened
from foveate.text import printable

_TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?", "BF16": "<u2"},  # the last: see `widened`
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"},
}


def read_safetensors(path: Path, file: BinaryIO) -> dict[str, NDArray[Any]]:
    """The arrays by name; bfloat16, which NumPy does not have, becomes float32.

    Raises:
        FileError: it is damaged, or has a type that is not read.
    """
    try:
        types = _types(file)
    except DAMAGE:
        raise damaged(path, f"its header is not that of a file of {_size(file):,} bytes") from None
    unread = next((kind for kind in types if kind not in _TYPES), None)
    if unread is not None:
        raise not_read(path, f"a tensor of {printable(unread)}")
    file.seek(0)
    try:
        return {name: _array(entry) for name, entry in sorted(deserialize(file.read()))}  # type: ignore[no-untyped-call]
    except (SafetensorError, *DAMAGE) as error:
        raise damaged(path, printable(error)) from None


def _types(file: BinaryIO) -> list[str]:
    """The type of each array, if the file is as long as its header says; found before gigabytes are read."""
    size = _size(file)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > min(LARGEST_HEADER, size - 8):
        raise ValueError("a header beyond its file")
    entries = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    if size != 8 + length + max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0):
        raise ValueError("arrays beyond their file")
    return [str(entry["dtype"]) for entry in entries.values()]


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _array(entry: dict[str, Any]) -> NDArray[Any]:
    kind = entry["dtype"]
    array = np.frombuffer(entry["data"], _TYPES[kind]).reshape(entry["shape"])
    return widened(array) if kind == "BF16" else array

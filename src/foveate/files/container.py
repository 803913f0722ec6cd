"""What all foveate files are: a safetensors file of named arrays, with one JSON document in its metadata.

Nothing in it can run. A file is checked from the outside in: its length, its header, its version, the arrays' types,
and last their values, so that a damaged one ends as a sentence at the first thing that is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from foveate.errors import FileError
from foveate.files.atomic import write_atomically
from foveate.layers import Shape

FORMAT_VERSION = 1
"""Raised when a change would make older readers misread a file."""

KEY = "foveate"
"""The only entry of the safetensors metadata: one entry keeps equal models equal byte for byte."""

LARGEST_HEADER = 100_000_000
"""The bound that safetensors itself sets."""

FloatArray: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True)
class Header:
    """What stands before the arrays: the kind of file, its document, and each array's shape."""

    kind: str
    document: Mapping[str, Any]
    shapes: Mapping[str, Shape]


def write_container(path: Path, kind: str, arrays: Mapping[str, FloatArray], document: Mapping[str, Any]) -> None:
    """Write `arrays` and `document` as a file of `kind`, atomically.

    Raises:
        FileError: an array holds NaN or infinity, or the file cannot be written; what was there is untouched.
    """
    broken = _first_not_finite(arrays)
    if broken is not None:
        raise FileError(f"{path} is not written: {broken} holds NaN or infinity. What was there before is untouched")
    whole = {"format_version": FORMAT_VERSION, "kind": kind, "foveate_version": _foveate_version(), **document}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, save(contiguous, {KEY: json.dumps(whole, allow_nan=False)}))


def read_header(path: Path) -> Header:
    """The header of a foveate file, without its arrays.

    Raises:
        FileError: the file is missing, cut short, of another kind or of another version.
    """
    with _open(path) as file:
        return _read_header(path, file)


def read_container(path: Path) -> tuple[Header, dict[str, FloatArray]]:
    """The header and the arrays of a foveate file.

    Raises:
        FileError: the file is missing, cut short, damaged, of another kind or of another version.
    """
    with _open(path) as file:
        header = _read_header(path, file)
        file.seek(0)
        content = file.read()
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise FileError(f"{path} is damaged: {error}. Copy or write it again") from None
    broken = _first_not_finite(arrays)
    if broken is not None:
        raise FileError(f"{path} is damaged: {broken} holds NaN or infinity where numbers are expected")
    return header, arrays


def check_shapes(path: Path, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Refuse a file whose arrays are not those that its network has."""
    for name, shape in expected.items():
        if name not in found:
            raise FileError(f"{path} is damaged: its network has an array {name}, but the file does not")
        if found[name] != shape:
            raise FileError(
                f"{path} is damaged: {name} has the shape {list(found[name])} in the file, {list(shape)} in its network"
            )
    surplus = sorted(set(found) - set(expected))
    if surplus:
        raise FileError(f"{path} is damaged: it has an array {surplus[0]} that its network does not know")


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; expected a file written by foveate") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_header(path: Path, file: BinaryIO) -> Header:
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if size == 0:
        raise FileError(f"{path} is empty; expected a safetensors file written by foveate")
    if size > 8 and (start[8:] != b"{" or length > LARGEST_HEADER):
        raise FileError(f"{path} is not a safetensors file; expected one written by foveate")
    if size < 8 + max(length, 1):
        raise _cut_short(path, size, "not even its header is whole")
    file.seek(8)
    entries = _parse(path, file.read(length), "its header")
    metadata = entries.pop("__metadata__", None)
    shapes, end = _arrays(path, entries)
    if size < 8 + length + end:
        raise _cut_short(path, size, f"but should have {8 + length + end:,}")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise FileError(f"{path} is a safetensors file, but not one of foveate's: it has no description of a network")
    document = _parse(path, metadata[KEY], "its description")
    if document.get("format_version") != FORMAT_VERSION:
        raise FileError(
            f"{path} has format version {document.get('format_version')!r}, but this foveate reads version "
            f"{FORMAT_VERSION}; install the foveate that wrote it ({document.get('foveate_version')}), or a newer one"
        )
    return Header(str(document.get("kind")), document, shapes)


def _parse(path: Path, text: bytes | str, what: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise FileError(f"{path} is damaged: {what} is not valid JSON. Copy or write it again") from None
    if not isinstance(data, dict):
        raise FileError(f"{path} is damaged: {what} is not a JSON object. Copy or write it again")
    return data


def _arrays(path: Path, entries: Mapping[str, Any]) -> tuple[dict[str, Shape], int]:
    """Each array's shape, and where the last one ends after the header."""
    shapes, end = {}, 0
    for name, entry in entries.items():
        try:
            kind, shape, stop = entry["dtype"], tuple(int(size) for size in entry["shape"]), entry["data_offsets"][1]
            end = max(end, int(stop))
        except (TypeError, KeyError, IndexError, ValueError, OverflowError):
            raise FileError(f"{path} is damaged: its header describes {name} wrongly. Copy or write it again") from None
        if kind not in ("F32", "F64"):
            raise FileError(f"{path} is damaged: {name} holds {kind}, but foveate writes F32 and F64 only")
        shapes[name] = shape
    return shapes, end


def _cut_short(path: Path, size: int, rest: str) -> FileError:
    return FileError(f"{path} is cut short: it has {size:,} bytes, {rest}. Copy or write it again")


def _first_not_finite(arrays: Mapping[str, FloatArray]) -> str | None:
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def _foveate_version() -> str:
    try:
        return version("foveate")
    except PackageNotFoundError:
        return "unknown"

"""The format of all foveate files: a safetensors file of named arrays, with one JSON document in its metadata.

Nothing in it can run. A file is checked from the outside in: its length, its header, its version, its features, the
arrays' types, its checksum and last its values, so a damaged one ends in a sentence about the first fault.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from foveate.errors import FileError
from foveate.files.atomic import atomically
from foveate.layers import Shape
from foveate.log import logger
from foveate.opening import open_regular
from foveate.text import printable

FORMAT_VERSION = 2
"""Increased when older readers would misread a change that `features` cannot announce."""

READABLE = (1, 2)
"""Format versions that are read: all that have ever existed."""

KEY = "foveate"
"""The only entry of the safetensors metadata: one entry keeps equal models equal byte for byte."""

LARGEST_HEADER = 32_000_000
"""The most bytes before the arrays; JSON takes up to thirty times as much while it is read."""

FloatArray: TypeAlias = NDArray[np.floating]

_UNSIGNED = "0" * 64
"""The placeholder for the checksum while that is computed."""

_TOLD = re.compile(rb'sha256\\": \\"(.{64})\\"', re.DOTALL)
"""The checksum among a file's first bytes: JSON within JSON."""

_SIGNS = (b'sha256\\": \\"', b'format_version\\": 2')
"""A file with either of them has a checksum; one changed bit destroys at most one of them."""

_BEGIN = 4096
_LARGEST_CHECKED = 2 << 30

_ITEM_BYTES = {"F32": 4, "F64": 8}
_PIECE = 1 << 20
"""Numbers that are written at once."""


class ForeignFileError(FileError):
    """A file that something else than foveate wrote."""


@dataclass(frozen=True)
class Header:
    """What precedes the arrays: the kind of file, its format, its document, and each array's shape."""

    kind: str
    version: int
    document: Mapping[str, Any]
    shapes: Mapping[str, Shape]


class ArraysInTurn(Mapping[str, FloatArray]):
    """Arrays whose shapes are known, and which are read one at a time, when they are written.

    Args:
        shapes: the shape of each by its name.
        dtype: float32 or float64.
        read: gives an array by its name.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], dtype: np.dtype[np.floating], read: Callable[[str], FloatArray]
    ) -> None:
        self.shapes, self.dtype, self._read = shapes, dtype, read

    def __getitem__(self, name: str) -> FloatArray:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def write_container(
    path: Path,
    kind: str,
    arrays: Mapping[str, FloatArray],
    document: Mapping[str, Any],
    before: Callable[[], object] = lambda: None,
) -> None:
    """Write `arrays` and `document` as a file of `kind`, atomically, with a SHA-256 over every byte of it.

    No second copy of the arrays is made, except of the one that is being written.

    Args:
        path: the file.
        kind: "model" or "checkpoint".
        arrays: float32 or float64, by name.
        document: JSON; its `features` are the names of entries that a reader must not overlook.
        before: called when all is on the disk, just before the file gets its name.

    Raises:
        FileError: an array holds NaN or infinity, or the file cannot be written; an earlier file is untouched.
    """
    facts = {"format_version": FORMAT_VERSION, "kind": kind, "foveate_version": _foveate_version()}
    try:
        header = _packed_header(arrays, {**facts, **document})
    except (TypeError, ValueError) as error:  # remarks are whatever somebody put there
        raise FileError(
            f"{path} was not written: its description is not valid JSON ({error}). What was there before is untouched"
        ) from None
    if len(header) - 8 > LARGEST_HEADER:
        raise FileError(
            f"{path} was not written: everything but its arrays takes {len(header) - 8:,} bytes, and at most "
            f"{LARGEST_HEADER:,} could be read again; keep fewer remarks. What was there before is untouched"
        )
    with atomically(path, before) as file:
        _write(file, path, header, arrays)


def _packed_header(arrays: Mapping[str, FloatArray], document: Mapping[str, Any]) -> bytes:
    """All that precedes the arrays, with zeros for the checksum."""
    # First of all entries, so the first zeros of this number are the checksum's.
    unsigned = {"sha256": _UNSIGNED, **{name: entry for name, entry in document.items() if name != "sha256"}}
    entries: dict[str, Any] = {"__metadata__": {KEY: json.dumps(unsigned, allow_nan=False)}}
    end = 0
    for name, (kind, shape) in _in_order(arrays).items():
        start, end = end, end + prod(shape) * _ITEM_BYTES[kind]
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _in_order(arrays: Mapping[str, FloatArray]) -> dict[str, tuple[str, Shape]]:
    """The type and the shape of each array, in the order of safetensors' own files."""
    if isinstance(arrays, ArraysInTurn):
        found = {name: (_kind(arrays.dtype), shape) for name, shape in arrays.shapes.items()}
    else:
        found = {name: (_kind(array.dtype), tuple(array.shape)) for name, array in arrays.items()}
    return dict(sorted(found.items(), key=lambda item: (-_ITEM_BYTES[item[1][0]], item[0])))


def _kind(dtype: np.dtype[Any]) -> str:
    return f"F{8 * dtype.itemsize}"


def _write(file: BinaryIO, path: Path, header: bytes, arrays: Mapping[str, FloatArray]) -> None:
    """Write array by array, with the checksum last, in its place; a FileError at the first NaN or infinity."""
    digest = sha256(header)
    file.write(header)
    for name, (_, shape) in _in_order(arrays).items():
        count = 0
        # No variable holds the array, which is gone before the next is read.
        piece: FloatArray | None
        for piece in _pieces(arrays[name]):
            if not np.isfinite(piece).all():
                raise FileError(
                    f"{path} was not written: {name} holds NaN or infinity. What was there before is untouched"
                )
            digest.update(piece.data)
            file.write(piece.data)
            count += piece.size
        assert count == prod(shape), f"{name} has {count} numbers, not the shape {shape}"
        piece = None
    file.seek(header.index(_UNSIGNED.encode()))
    file.write(digest.hexdigest().encode())


def _pieces(array: FloatArray) -> Iterator[FloatArray]:
    """The numbers of an array, a few at a time."""
    flat = np.ascontiguousarray(array).reshape(-1)
    for start in range(0, flat.size, _PIECE):
        yield flat[start : start + _PIECE]


def read_header(path: Path, features: Sequence[str]) -> Header:
    """The header of a foveate file, without its arrays; the checksum is left to `read_container`.

    Args:
        path: the file.
        features: those that the caller knows; a file with others is refused.

    Raises:
        FileError: the file is missing, cut short, of another kind or version, or has other features.
    """
    with _open(path) as file:
        return _read_header(path, file, features)


def read_container(path: Path, features: Sequence[str]) -> tuple[Header, dict[str, FloatArray]]:
    """The header and the arrays of a foveate file; arguments and errors as for `read_header`."""
    with _open(path) as file:
        header = _read_header(path, file, features)
        file.seek(0)
        content = file.read()
    if header.version > 1:
        _check_sum(path, content, header.document.get("sha256"))
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise FileError(f"{path} is damaged: {printable(error)}. Copy or write it again") from None
    broken = _first_not_finite(arrays)
    if broken is not None:
        raise FileError(f"{path} is damaged: {broken} holds NaN or infinity where numbers are expected")
    logger.info("read %s, %d bytes", path, len(content))
    return header, arrays


@contextmanager
def damage_first(path: Path) -> Iterator[None]:
    """Report a file that is not as it was written as damaged, whatever seems wrong with it, unless it is cut short."""
    try:
        yield
    except FileError:
        if _is_damaged(path):
            raise _damaged(path) from None
        raise


def check_shapes(path: Path, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Refuse a file whose arrays are not those of its network."""
    for name, shape in expected.items():
        if name not in found:
            raise FileError(f"{path} is damaged: its network has an array {name}, but the file does not")
        if found[name] != shape:
            raise FileError(
                f"{path} is damaged: {name} has the shape {list(found[name])} in the file, {list(shape)} in its network"
            )
    surplus = sorted(set(found) - set(expected))
    if surplus:
        raise FileError(f"{path} is damaged: it has an array {printable(surplus[0])} that its network does not have")


def _open(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; expected a file written by foveate") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None


def _check_sum(path: Path, content: bytes, told: object) -> None:
    """Refuse a file if any bit has changed since it was written."""
    if not isinstance(told, str) or not _fits(content, told.encode()):
        raise _damaged(path)


def _fits(content: bytes, told: bytes) -> bool:
    begin = content.find(told) if len(told) == len(_UNSIGNED) else -1
    if begin < 0:
        return False
    whole, found = memoryview(content), sha256()
    for part in (whole[:begin], _UNSIGNED.encode(), whole[begin + len(_UNSIGNED) :]):
        found.update(part)
    return found.hexdigest().encode() == told


def _is_damaged(path: Path) -> bool:
    """Whether a file has, or had before a bit of it changed, a checksum that it does not match."""
    try:
        with open_regular(path, _LARGEST_CHECKED) as file:
            content = file.read()
    except (OSError, FileError):
        return False
    begin = content[:_BEGIN]
    if not any(sign in begin for sign in _SIGNS) or _is_cut_short(path, content):
        return False
    told = _TOLD.search(begin)
    return told is None or not _fits(content, told[1])


def _is_cut_short(path: Path, content: bytes) -> bool:
    """Whether the end of a file is missing, rather than some of its content wrong."""
    length = int.from_bytes(content[:8], "little")
    try:
        entries, end = json.JSONDecoder().raw_decode(content[8 : 8 + LARGEST_HEADER].decode("latin-1"))
    except (ValueError, RecursionError):
        return len(content) < 8 + length
    if length % 8 or not end <= length < end + 8:  # the header is whole and padded to eight bytes: its length is wrong
        return False
    entries.pop("__metadata__", None)
    try:
        return len(content) < 8 + length + _arrays(path, entries)[1]
    except FileError:
        return False


def _damaged(path: Path) -> FileError:
    return FileError(f"{path} is damaged: its content does not match its checksum. Copy or write it again")


def _read_header(path: Path, file: BinaryIO, features: Sequence[str]) -> Header:
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if size == 0:
        raise FileError(f"{path} is empty; expected a safetensors file written by foveate")
    if size > 8 and (start[8:] != b"{" or length > LARGEST_HEADER):
        raise ForeignFileError(f"{path} is not a safetensors file; expected one written by foveate")
    if size < 8 + max(length, 1):
        raise _cut_short(path, size, "not even its header is whole")
    file.seek(8)
    entries = _parse(path, file.read(length), "its header")
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise ForeignFileError(
            f"{path} is a safetensors file, but not one of foveate's: it has no description of a network. Build the "
            "network and let it take the weights: Model(graph).load_torch(path)"
        )
    shapes, end = _arrays(path, entries)
    if size < 8 + length + end:
        raise _cut_short(path, size, f"but should have {8 + length + end:,}")
    if size > 8 + length + end:
        raise FileError(f"{path} is damaged: it continues after its last array. Copy or write it again")
    document = _parse(path, metadata[KEY], "its description")
    written_by = f"install the foveate that wrote it ({printable(document.get('foveate_version'))}), or a newer one"
    number = document.get("format_version")
    if type(number) is not int or number not in READABLE:
        raise FileError(
            f"{path} has format version {printable(repr(number))}, but this foveate reads the versions up to "
            f"{FORMAT_VERSION}; {written_by}"
        )
    unknown = _features(path, document.get("features", [])) - set(features)
    if unknown:
        raise FileError(
            f"{path} has the feature '{printable(min(unknown))}', which this foveate ({_foveate_version()}) does not "
            f"know; {written_by}"
        )
    return Header(printable(document.get("kind")), number, document, shapes)


def _features(path: Path, given: object) -> set[str]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise FileError(f"{path} is damaged: its features are not a list of words. Copy or write it again")
    return set(given)


def _parse(path: Path, text: bytes | str, what: str) -> dict[str, Any]:
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise FileError(f"{path} is damaged: {what} is not valid JSON. Copy or write it again") from None
    if not isinstance(data, dict):
        raise FileError(f"{path} is damaged: {what} is not a JSON object. Copy or write it again")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _arrays(path: Path, entries: Mapping[str, Any]) -> tuple[dict[str, Shape], int]:
    """Each array's shape, and where the last one ends after the header."""
    shapes, end = {}, 0
    for name, entry in entries.items():
        try:
            kind, shape = entry["dtype"], tuple(int(size) for size in entry["shape"])
            start, stop = (int(offset) for offset in entry["data_offsets"])
        except (TypeError, KeyError, IndexError, ValueError, OverflowError):
            raise _wrongly(path, name) from None
        if kind not in _ITEM_BYTES:
            told = f"{printable(name)} holds {printable(kind)}"
            raise FileError(f"{path} is damaged: {told}, but foveate writes F32 and F64 only")
        # Shapes are bounded by the file's length, so no number in a header can ask for memory.
        if min(shape, default=0) < 0 or stop - start != prod(shape) * _ITEM_BYTES[kind]:
            raise _wrongly(path, name)
        shapes[name], end = shape, max(end, stop)
    return shapes, end


def _wrongly(path: Path, name: str) -> FileError:
    return FileError(f"{path} is damaged: its header describes {printable(name)} wrongly. Copy or write it again")


def _cut_short(path: Path, size: int, rest: str) -> FileError:
    return FileError(f"{path} is cut short: it has {size:,} bytes, {rest}. Copy or write it again")


def _first_not_finite(arrays: Mapping[str, FloatArray]) -> str | None:
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def _foveate_version() -> str:
    try:
        return version("foveate")
    except PackageNotFoundError:
        return "unknown"

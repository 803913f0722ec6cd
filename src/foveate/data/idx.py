"""Reader of IDX files, the format of MNIST and its relatives: a few bytes that say the shape, then the elements."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FileError
from foveate.geometry import format_sizes
from foveate.opening import open_regular

_UNSIGNED_BYTES = 0x08
_ELEMENT_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_MOST_AXES = 8
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20

LARGEST_CONTENT = 256 << 20
"""The most bytes unzipped from a file."""


def read_idx(path: str | Path, *, most: int = LARGEST_CONTENT) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, gzipped or plain.

    Args:
        path: the file.
        most: the most bytes that its content may have, unzipped.

    Raises:
        FileError: the file is missing, damaged, truncated, too long, or holds something else.
    """
    return parsed(read_content(Path(path), most), Path(path))


def read_content(path: Path, most: int = LARGEST_CONTENT) -> bytearray:
    """All bytes of a file, unzipped if it is gzipped; a FileError if there are more than `most`."""
    with opened(path) as file:
        content = read_up_to(file, most + 1)
    if len(content) > most:
        raise FileError(f'"{path}" holds more than {most:,} bytes once it is unzipped; no more are read: get it again')
    return content


@contextmanager
def opened(path: Path, expected: str = "an IDX file, gzipped or plain,") -> Iterator[BinaryIO]:
    """The file's content, unzipped if it is gzipped; whatever fails on the way becomes a FileError."""
    try:
        with open_regular(path) as plain:
            zipped = plain.read(2) == _GZIP_MAGIC
            plain.seek(0)
            if not zipped:
                yield plain
                return
            with gzip.GzipFile(fileobj=plain) as unzipped:
                yield cast("BinaryIO", unzipped)
    except FileNotFoundError:
        raise FileError(f'there is no file "{path}"; {expected} was expected') from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f'"{path}" is a damaged gzip file ({_words(error)}); get it again') from None
    except OSError as error:
        raise FileError(f'"{path}" cannot be read: {error.strerror or error}') from None


def read_up_to(file: BinaryIO, limit: int) -> bytearray:
    """At most `limit` bytes; in pieces, so a false header cannot claim memory that no content fills."""
    content = bytearray()
    while len(content) < limit:
        piece = file.read(min(_CHUNK, limit - len(content)))
        if not piece:
            break
        content += piece
    return content


def parsed(content: bytearray, path: Path) -> NDArray[np.uint8]:
    """The array that the content of the IDX file `path` describes; errors as for `read_idx`."""
    file = BytesIO(content)
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _ELEMENT_TYPES or not 1 <= head[3] <= _MOST_AXES:
        found = head.hex(" ") or "nothing"
        raise FileError(
            f'"{path}" is not an IDX file: it should begin with 00 00, a type such as 08 and 1 to '
            f"{_MOST_AXES} axes, but begins with {found}"
        )
    if head[2] != _UNSIGNED_BYTES:
        raise FileError(
            f'"{path}" holds {_ELEMENT_TYPES[head[2]]} elements (type {head[2]:02x}); unsigned bytes (08) were expected'
        )
    sizes = file.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise FileError(
            f'"{path}" is truncated: {4 * head[3]} bytes with the sizes of its {head[3]} axes were expected, '
            f"but {len(sizes)} follow"
        )
    shape = tuple(int.from_bytes(sizes[start : start + 4], "big") for start in range(0, len(sizes), 4))
    return _elements(file, path, shape)


def _elements(file: BinaryIO, path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    expected = prod(shape)
    if not expected:
        raise FileError(f'"{path}" is empty: its header promises {format_sizes(shape)} elements; get it again')
    content = read_up_to(file, expected + 1)
    promise = f"its header promises {format_sizes(shape)} = {expected:,} bytes"
    if len(content) < expected:
        raise FileError(f'"{path}" is truncated: {promise}, but {len(content):,} follow; get it again')
    if len(content) > expected:
        raise FileError(f'"{path}" is too long: {promise}, but more follow; get it again')
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _words(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__

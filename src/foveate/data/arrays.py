"""Arrays that numpy.save wrote, as inputs beside image files."""

import os
import warnings
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from foveate.errors import FileError
from foveate.opening import open_regular
from foveate.text import named, printable

ARRAY_SUFFIX = ".npy"

LARGEST_ARRAY = 1 << 30
"""Bytes of one sample in a file."""


def is_array_file(path: Path) -> bool:
    """Whether the name of `path` is that of an array rather than of an image."""
    return path.suffix.lower() == ARRAY_SUFFIX


def read_array(path: Path) -> NDArray[Any]:
    """The array in a .npy file; one with Python objects is refused, because reading it could run code.

    Raises:
        FileError: there is no such file, it cannot be read, or it is not one array that numpy.save wrote.
    """
    try:
        with open_regular(path, LARGEST_ARRAY) as file:
            if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                # Mapped first, so that a header cannot claim more than the file holds.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that Python 2 wrote the file, which it may have
                    return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
            file.seek(0)
            np.load(file, allow_pickle=False).close()
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"there is no file {named(path)}; an array written by numpy.save was expected") from None
    except (PermissionError, IsADirectoryError) as error:
        raise FileError(f"{named(path)} cannot be read: {error.strerror}") from None
    except Exception as error:  # NumPy parses a header as Python, so a wrong one may raise anything
        raise FileError(f"{named(path)} {_why_not(error)}") from None
    raise FileError(f"{named(path)} is an archive that numpy.savez wrote; write one array with numpy.save")


def samples_in(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[Any]] | None:
    """The samples in a .npy file (N, *shape), each read when its turn comes; None if the file holds anything else.

    A file that does not get far enough to tell gives None, too: `read_array` has the better error.
    """
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            sizes, columns, kind = header(file)
            start, held = file.tell(), os.fstat(file.fileno()).st_size
    except Exception:  # NumPy parses a header as Python, so a wrong one may raise anything
        return None
    bytes_each = kind.itemsize * prod(shape)
    fits = sizes[1:] == shape and sizes[0] > 0 and held == start + sizes[0] * bytes_each
    return _rows(path, start, sizes, kind) if fits and not columns and not kind.hasobject and bytes_each else None


def _rows(path: Path, start: int, sizes: tuple[int, ...], kind: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    with open_regular(path) as file:
        file.seek(start)
        for _ in range(sizes[0]):
            content = file.read(kind.itemsize * prod(sizes[1:]))
            yield np.frombuffer(content, kind).reshape(sizes[1:])


def _why_not(error: Exception) -> str:
    """Why a file gives no array; NumPy's advice to trust it is not passed on, because that could run code."""
    words = printable(error) or type(error).__name__
    if "Python objects" in words or "Object arrays" in words:
        return "holds Python objects, which are not read, as that could run code; save an array of numbers"
    if "allow_pickle" in words:
        return "is not an array written by numpy.save: its header is longer than that of any array"
    return f"is not an array written by numpy.save: {words}"

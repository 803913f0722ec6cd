"""Arrays that numpy.save wrote, as inputs beside image files."""

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


def _why_not(error: Exception) -> str:
    """Why a file gives no array; NumPy's advice to trust it is not passed on, because that could run code."""
    words = printable(error) or type(error).__name__
    if "Python objects" in words or "Object arrays" in words:
        return "holds Python objects, which are not read, as that could run code; save an array of numbers"
    if "allow_pickle" in words:
        return "is not an array written by numpy.save: its header is longer than that of any array"
    return f"is not an array written by numpy.save: {words}"

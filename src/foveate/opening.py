"""Opening untrusted files: those that would keep a reader waiting or exhaust memory are refused before reading."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from foveate.errors import FileError
from foveate.text import named

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # opening a pipe may wait, too


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """The file at `path`, open for reading.

    Args:
        path: the file, or a link to it.
        most: the most bytes that it may have (default: any number).

    Raises:
        FileError: it is a pipe, a socket or a device, or has more than `most` bytes.
        OSError: it does not exist, is a folder, or is not readable.
    """
    # Where what was opened is a folder, `open` refuses it and closes only what its own opener gave.
    file = open(path, "rb", opener=lambda name, _: os.open(name, _FLAGS))  # noqa: SIM115 - the caller closes it
    try:
        status = os.fstat(file.fileno())
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is not None:
            raise FileError(f"{named(path)} is {kind}, which may never end; give a regular file")
        if most is not None and status.st_size > most:
            raise FileError(
                f"{named(path)} has {status.st_size:,} bytes; at most {most:,} are read. Give a smaller file"
            )
        if stat.S_ISREG(status.st_mode):  # some files of the system open and cannot be read: that is said here
            file.seek(0, os.SEEK_END)
            file.seek(0)
            file.read(1)
            file.seek(0)
    except BaseException:
        file.close()
        raise
    return file

"""Writing a file completely or not at all: a temporary file beside it, fsync, rename."""

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from foveate.errors import FileError
from foveate.files.locks import PARTIAL, is_at, lock, remove_partials
from foveate.log import logger
from foveate.text import named

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,6})")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

PATIENCE = 5.0
"""Seconds that a pipe may lack a reader."""


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Replace `path` atomically with the concatenated `parts`; otherwise as `atomically`."""
    with atomically(path) as file:
        for part in parts:
            file.write(part)


@contextmanager
def atomically(path: Path, before: Callable[[], object] = lambda: None) -> Iterator[BinaryIO]:
    """A file to write, which becomes `path` when the block ends; missing folders are made, except behind a link.

    Whatever goes wrong and whenever, `path` holds either all of its old content or all of the new one. A file that is
    replaced keeps its mode, and what a killed process left of it is deleted. A device, a pipe or a standard stream is
    written to, and not replaced.

    Args:
        path: the file; if it is a link, the file that it points to.
        before: called when the new content is on the disk, just before it replaces the old one.

    Raises:
        FileError: it cannot be written (disk full, no permission, a link to nowhere) and the old file is untouched; or
            it is written, but the disk does not confirm its new name.
    """
    try:
        outlet = _outlet(path)
        if outlet is None:
            target = _target(path)
            remove_partials(target.parent, [target.name])
            with _temporary(target) as (file, temporary):
                yield file
                size = _written_through(file)
                before()
                if os.name == "nt":  # which renames no open file
                    file.close()
                temporary.replace(target)
            _flush_folder(target)
        else:
            with outlet:
                content = BytesIO()
                yield content
                size = outlet.write(content.getbuffer())
                outlet.flush()
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror or error}. What was there before is untouched"
        ) from None
    logger.info("wrote %s, %d bytes", path, size)


def _target(path: Path) -> Path:
    """The file that is replaced, whose folder is there; a FileError if it cannot be."""
    try:
        target = path.resolve()
    except RuntimeError:  # Python 3.13 has an OSError for it
        raise FileError(f"{named(path)} cannot be written: it is a link that leads back to itself; remove it") from None
    if not target.name:
        raise FileError(f"{named(path)} is a folder; give a file in it")
    for link in (path, *path.parents):
        if link.is_symlink() and not link.resolve().exists() and not (link == path and target.parent.is_dir()):
            raise FileError(
                f"{named(path)} cannot be written: {named(link)} is a link into a folder that does not exist; make "
                f"{named(link.resolve())} or remove the link"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and not os.access(target, os.W_OK):
        raise FileError(
            f"{named(path)} cannot be written: it is read-only. Make it writable (chmod u+w), or give another file"
        )
    return target


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file beside `target` with the mode that it has, and its path; deleted if it is still there at the end."""
    former = target.stat() if target.exists() else None
    mode = 0o666 if former is None else stat.S_IMODE(former.st_mode)
    while True:
        path = target.with_name(f".{target.name}.{token_hex(4)}{PARTIAL}")
        descriptor = os.open(path, _FLAGS, mode)
        with os.fdopen(descriptor, "w+b") as file:
            # Another process may take it for one that was left behind, until it is locked.
            if not lock(descriptor) or not is_at(descriptor, path):
                continue
            try:
                if former is not None:
                    _give(descriptor, former)
                yield file, path
            finally:
                path.unlink(missing_ok=True)
        return


def _give(descriptor: int, former: os.stat_result) -> None:
    """Give an open file the owner, if that is possible, and the mode of another."""
    if not hasattr(os, "fchown"):
        return
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (former.st_uid, former.st_gid):
        try:
            os.fchown(descriptor, former.st_uid, former.st_gid)
        except OSError:
            logger.info("the new file belongs to another user than the old one")
    os.fchmod(descriptor, stat.S_IMODE(former.st_mode))


def _outlet(path: Path) -> BinaryIO | None:
    """What to write to if that cannot be replaced: a device, a pipe, or one of the process's own streams."""
    absolute = str(path.absolute())
    own = _DESCRIPTOR.fullmatch(absolute)
    number = int(own[1]) if own else _STREAMS.get(absolute)
    if number is not None:
        if number == 1 and sys.stdout is not None:
            sys.stdout.flush()
        return os.fdopen(os.dup(number), "wb")  # shares its place in the file
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    if stat.S_ISBLK(mode):
        raise FileError(f"{named(path)} is a disk; give a file on it")
    return _pipe(path) if stat.S_ISFIFO(mode) else path.open("wb")


def _pipe(path: Path) -> BinaryIO:
    """A pipe to write to, once somebody reads it; opened as a file it would wait for that for ever."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise FileError(f"{named(path)} is a pipe that nobody reads; read it, or give a file") from None
            time.sleep(0.02)
        else:
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "wb")


def _written_through(file: BinaryIO) -> int:
    """Wait until the disk has it: a rename that outruns the data would leave an empty file. Returns the size."""
    file.flush()
    os.fsync(file.fileno())
    return os.fstat(file.fileno()).st_size


def _flush_folder(written: Path) -> None:
    """Wait until the disk has the new name; if folders cannot be opened (Windows), renames are journalled anyway."""
    try:
        descriptor = os.open(written.parent, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise FileError(
            f"{named(written)} is written, but may be lost if the power fails: {error.strerror or error}"
        ) from None
    finally:
        os.close(descriptor)

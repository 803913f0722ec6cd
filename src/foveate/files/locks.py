"""Locks that a process holds on open files, and that end with it, however it ends."""

import os
from collections.abc import Iterable
from pathlib import Path
from re import compile as pattern
from re import escape

from foveate.log import logger

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"
"""How the name of a file ends while it is being written."""


def lock(descriptor: int) -> bool:
    """Take the lock on an open file; False if somebody else has it. Without locks in the system, nobody has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network file systems
        logger.info("files are not locked: %s", error)
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one at `path`: it may have been deleted or replaced meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def remove_partials(folder: Path, names: Iterable[str]) -> None:
    """Delete what killed processes left of files called `names` in `folder`; what others still write is left alone."""
    own = pattern(rf"\.({'|'.join(map(escape, names))})\.[0-9a-f]{{8}}{escape(PARTIAL)}")
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if own.fullmatch(entry.name)]
    except OSError:
        return
    for path in found:
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        try:
            if is_unused(descriptor):
                path.unlink(missing_ok=True)
                logger.info("deleted %s, which a killed process had left", path)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def is_unused(descriptor: int) -> bool:
    """Whether nobody holds the lock on an open file; if that cannot be known, somebody may."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

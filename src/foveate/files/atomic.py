"""Writing a file completely or not at all: a temporary file beside it, fsync, rename."""

import os
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from foveate.errors import FileError
from foveate.log import logger
from foveate.text import named


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Replace `path` atomically with the concatenated `parts`; missing folders are made, except behind a link.

    Whatever goes wrong and whenever, `path` holds either all of its old content or all of `parts`.

    Args:
        path: the file; if it is a link, the file that it points to.
        parts: its bytes.

    Raises:
        FileError: it cannot be written (disk full, no permission, a link to nowhere); the old file is untouched.
    """
    target = path.resolve()
    if not target.name:
        raise FileError(f"{named(path)} is a folder; give a file in it")
    temporary = target.with_name(f".{target.name}.{token_hex(4)}.partial")
    for link in (path, *path.parents):
        if link.is_symlink() and not link.resolve().exists() and not (link == path and target.parent.is_dir()):
            raise FileError(
                f"{named(path)} cannot be written: {named(link)} is a link into a folder that does not exist; make "
                f"{named(link.resolve())} or remove the link"
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_through(temporary, parts)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(target.parent)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror or error}. What was there before is untouched"
        ) from None
    logger.info("wrote %s, %d bytes", path, sum(map(len, parts)))


def _write_through(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    """Write and wait until the disk has it: a rename that outruns the data would leave an empty file."""
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Wait until the disk has the new name; if folders cannot be opened (Windows), renames are journalled anyway."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

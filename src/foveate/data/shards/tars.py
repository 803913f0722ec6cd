"""Tar files, written plainly and read member by member in memory; nothing that is in one is ever written to disk."""

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from foveate.errors import FileError
from foveate.text import printable

LARGEST_SAMPLE = 1 << 30
"""The most bytes of a member that is read."""

_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """A file in a tar: its key and extension, as WebDataset tells them apart, and its bytes with their place."""

    key: str
    extension: str
    offset: int
    content: bytes


def members(file: BinaryIO, shard: str) -> Iterator[Member]:
    """The regular files in a tar, in order; hidden ones and those whose keys begin and end with __ are passed over.

    Args:
        file: the tar, open for reading.
        shard: what sentences call it.

    Raises:
        FileError: it is not a plain tar, is cut short or damaged, or has a member with a name that leads elsewhere or
            with more bytes than a sample.
    """
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                tar.members = []  # type: ignore[attr-defined] # or it would remember each
                _check(info, total, shard)
                key, extension = _parted(info.name)
                base = key.rpartition("/")[2]
                if not info.isreg() or not base or base[:2] == base[-2:] == "__":
                    continue
                file.seek(info.offset_data)
                yield Member(key, extension, info.offset_data, file.read(info.size))
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):  # the module takes whatever is no header for the end
                raise FileError(f"{shard} is cut short or damaged at byte {tar.offset:,}; write or copy it again")
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        if file.seek(0) == 0 and file.read(2) == b"\x1f\x8b":
            raise FileError(f"{shard} is compressed, but shards are read in pieces; gunzip it") from None
        raise FileError(f"{shard} is no plain tar file, or is cut short ({error}); write or copy it again") from None


def _check(info: tarfile.TarInfo, total: int, shard: str) -> None:
    name = printable(info.name)
    if info.name.startswith(("/", "\\")) or ".." in info.name.replace("\\", "/").split("/"):
        raise FileError(
            f'{shard} has a member called "{name}", which leads out of the folder; nothing is written there, but such '
            "a file is not trusted: write it again with plain names"
        )
    if info.size > LARGEST_SAMPLE:
        raise FileError(f"{shard}: {name} claims {info.size:,} bytes; at most {LARGEST_SAMPLE:,} of a sample are read")
    if info.issparse():
        raise FileError(f"{shard}: {name} is a sparse file, whose bytes lie apart; write the tar without --sparse")
    if info.isreg() and info.offset_data + info.size > total:
        raise FileError(f"{shard} is cut short: {name} ends behind its {total:,} bytes; write or copy it again")


def _parted(name: str) -> tuple[str, str]:
    """The key and the extension of a member: the first dot of its name parts them.

    >>> _parted("cats/0001.seg.PNG")
    ('cats/0001', 'seg.png')
    """
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


class TarWriter:
    """A tar that grows sample by sample, the same for the same samples; it has its name when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_name(f".{path.name}.partial")
        self._file = self._partial.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def size_with(self, *sizes: int) -> int:
        """The bytes of the whole file if members of these sizes were the last."""
        blocks = sum(1 + -(-size // _BLOCK) for size in sizes) + 2
        return -(-(int(self._tar.offset) + blocks * _BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE

    def add(self, name: str, content: bytes | memoryview) -> int:
        """Append a member; returns where its bytes begin."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o644
        begin = self._tar.offset + _BLOCK
        self._tar.addfile(info, io.BytesIO(content))
        return int(begin)

    def finish(self) -> int:
        """Write the end and give the file its name; returns its bytes."""
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        self._partial.replace(self._path)
        return size

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

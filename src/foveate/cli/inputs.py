"""What `predict` is given: files, folders, patterns and standard input, as samples one by one."""

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from foveate.data.arrays import ARRAY_SUFFIX, is_array_file, samples_in
from foveate.data.folders import files_within, natural_key
from foveate.data.images import SUFFIXES
from foveate.errors import FileError
from foveate.layers import Shape
from foveate.text import named

STANDARD_INPUT = "-"
LARGEST_INPUT = 1 << 30
"""The most bytes of a file on standard input."""

LONGEST_LINE = 1 << 16
"""The most bytes of a path on standard input."""

_BEGINNINGS = (
    *(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\x93NUMPY", b"PK\x03\x04"),
    *(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b"\n\r\t "),
)
"""How files of images and arrays begin; a list of paths begins otherwise."""

_OF_ARRAYS = (b"\x93NUMPY", b"PK\x03\x04")
_PATTERN = set("*?[")


@dataclass(frozen=True)
class Sample:
    """One sample: what it is called, and its file or its array."""

    name: str
    content: Any


@dataclass
class Inputs:
    """The samples that were named on the command line.

    Args:
        given: files, folders, patterns, "-" for standard input.
        shape: of a sample as the network takes it; a .npy file of N such samples gives N.
        folder: for a file that comes on standard input.
        report: is told why something gives no sample: its name and the sentence.
        note: is told what is left out on purpose.
    """

    given: Iterable[str]
    shape: Shape
    folder: Path
    report: Callable[[str, str], None]
    note: Callable[[str], None]
    count: int | None = field(default=None, init=False)
    """How many samples there are, if that is known without reading standard input or arrays."""
    failed: bool = field(default=False, init=False)
    """Whether something gave no sample."""

    def __post_init__(self) -> None:
        self.given = list(self.given)
        self._listed: list[Path] | None = None
        if STANDARD_INPUT not in self.given:
            self._listed = [path for words in self.given for path in self._paths(words)]
            if not any(is_array_file(path) for path in self._listed):
                self.count = len(self._listed)

    def __iter__(self) -> Iterator[Sample]:
        """Each sample, read or listed when its turn comes."""
        if self._listed is not None:
            for path in self._listed:
                yield from self._samples(path, str(path))
            return
        for words in self.given:
            if words == STANDARD_INPUT:
                yield from self._from_standard_input(_standard_input())
            else:
                for path in self._paths(words):
                    yield from self._samples(path, str(path))

    def _samples(self, path: Path, name: str) -> Iterator[Sample]:
        """The sample in a file, or each of those in a .npy file that holds several."""
        rows = samples_in(path, self.shape) if is_array_file(path) else None
        if rows is None:
            yield Sample(name, path)
        else:
            yield from (Sample(f"{name}[{number}]", row) for number, row in enumerate(rows))

    def _paths(self, words: str) -> Iterator[Path]:
        """The files that an argument means; one that is not there is handed on, to be reported in its turn."""
        path = Path(words)
        if path.is_dir():
            yield from self._in_folder(path)
        elif _PATTERN & set(words) and not os.path.lexists(path):
            found = glob.glob(words, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
            for each in sorted(found, key=natural_key) or [words]:
                yield from self._in_folder(Path(each)) if Path(each).is_dir() else [Path(each)]
        else:
            yield path

    def _in_folder(self, folder: Path) -> Iterator[Path]:
        """The images in a folder and below it, or the arrays if the network takes no images."""
        takes_images = len(self.shape) == 3 and self.shape[0] in (1, 3)
        suffixes = (*SUFFIXES, ARRAY_SUFFIX) if takes_images else (ARRAY_SUFFIX,)
        files, skipped = files_within(folder)
        found = [path for path in files if path.suffix.lower() in suffixes]
        yield from found
        for path, reason in skipped.items():
            self._fail(path, f"{named(path)} {reason}")
        kind = "images" if takes_images else f"{ARRAY_SUFFIX} files"
        if not found:
            self._fail(folder, f"the folder {named(folder)} has no {kind}")
        elif len(found) < len(files):
            left = f"{len(files) - len(found):,} of {len(files):,} files"
            self.note(f"{left} in {named(folder)} left out, because their names are not those of {kind}")

    def _fail(self, path: Path, sentence: str) -> None:
        self.failed = True
        self.report(str(path), sentence)

    def _from_standard_input(self, stream: BinaryIO) -> Iterator[Sample]:
        """The image or the array that comes, or what the paths that come mean."""
        head = _head(stream)
        if head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp":
            path = self.folder / ("input.npy" if head.startswith(_OF_ARRAYS) else "input")
            _save(head, stream, path)
            yield from self._samples(path, STANDARD_INPUT)
            return
        separator = b"\0" if b"\0" in head else b"\n"
        for line in _lines(head, stream, separator):
            words = os.fsdecode(line if separator == b"\0" else line.removesuffix(b"\r"))
            for path in self._paths(words) if words else ():
                yield from self._samples(path, str(path))


def _standard_input() -> BinaryIO:
    stream: BinaryIO = sys.stdin.buffer
    return stream


def _head(stream: BinaryIO) -> bytes:
    """What comes first: enough to tell a file from a list, but no more than is there already."""
    read = getattr(stream, "read1", stream.read)
    head = b""
    while len(head) < 16 and b"\n" not in head and (piece := read(4096)):
        head += piece
    return head


def _save(head: bytes, stream: BinaryIO, path: Path) -> None:
    with path.open("wb") as file:
        left = LARGEST_INPUT - file.write(head)
        while piece := stream.read(1 << 20):
            left -= file.write(piece)
            if left < 0:
                raise FileError(f"standard input has more than {LARGEST_INPUT:,} bytes, but one file was expected")


def _lines(head: bytes, stream: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """The pieces between separators, each as soon as it is there."""
    read = getattr(stream, "read1", stream.read)
    rest = b""
    while head:
        *lines, rest = (rest + head).split(separator)
        yield from lines
        if len(rest) > LONGEST_LINE:
            raise FileError(
                "standard input is neither an image, nor a .npy file, nor a list of paths, one on each line"
            )
        head = read(1 << 16)
    yield rest

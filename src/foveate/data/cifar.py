"""CIFAR-10 and CIFAR-100: 60,000 colour 32x32 pictures (Krizhevsky, 2009), from their binary or their Python files.

The Python files are pickles, which are read without running them.
"""

import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast, final

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset
from foveate.data.downloads import from_publisher
from foveate.data.idx import opened, read_up_to
from foveate.data.published import Published
from foveate.errors import FileError
from foveate.opening import open_regular
from foveate.pickled import Called, Named, read_pickle
from foveate.text import named, printable

LARGEST_FILE = 256 << 20
"""The most bytes of a file, or of what an archive unpacks to."""

MOST_MEMBERS = 1000
"""The most files in an archive."""

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_BINARY = ".bin"
_RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_FROM_BUFFER = ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")
"""What a pickled array of NumPy names: with protocol 2 to 4, and with 5."""


@dataclass(frozen=True)
class Batch:
    """A file of a CIFAR dataset, with the SHA-256 of its Python form and of its binary one (its records)."""

    name: str
    training: bool
    count: int
    python: str
    binary: str


@final
@dataclass(frozen=True, kw_only=True)
class CifarSet(Published):
    """A dataset in one of CIFAR's four forms: the binary or the Python files, in an archive or unpacked.

    Args:
        batches: the files.
        archives: SHA-256 of the binary and of the Python archive, by their names.
        labels: what the Python files call the labels, in the order of the bytes that begin a binary record; the last
            is the class.
        publishers: addresses of folders with the archives.
    """

    batches: tuple[Batch, ...]
    archives: Mapping[str, str]
    labels: tuple[str, ...]
    publishers: tuple[str, ...] = ("https://www.cs.toronto.edu/~kriz",)

    def ways(self) -> Mapping[str, Callable[[Path], None]]:
        """From the publisher."""
        return {"download": self.download}

    def download(self, folder: Path, **options: Any) -> None:
        """Fetch the binary archive, which is the smaller one."""
        name = next(iter(self.archives))
        files = {name: self.archives[name]}
        from_publisher(folder, files, self.publishers, _checksum_of, most=LARGEST_FILE, **options)

    def lacking(self, folder: Path) -> str:
        """What `folder`, which may be an archive, lacks; empty if it has all files of one form."""
        return "" if folder.is_file() else super().lacking(folder)

    def is_at(self, folder: Path) -> bool:
        """Whether `folder` has this dataset, or is one of its archives."""
        return bool(self.held(folder)) or (folder.is_file() and folder.name in self.archives)

    def read(self, folder: Path) -> tuple[Dataset, Dataset]:
        """The training and the test samples, each file written to its place as soon as it is read."""
        counts = {part: sum(each.count for each in self.batches if each.training is part) for part in (True, False)}
        inputs = {part: np.empty((count, *_SHAPE), np.uint8) for part, count in counts.items()}
        labels = {part: np.empty(count, np.int64) for part, count in counts.items()}
        missing = {each.name for each in self.batches}
        for path, batch, content in self._contents(folder):
            records = self._records(path, batch, content)
            first = sum(each.count for each in self._before(batch))
            place = slice(first, first + batch.count)
            inputs[batch.training][place] = records[:, len(self.labels) :].reshape(-1, *_SHAPE)
            labels[batch.training][place] = records[:, len(self.labels) - 1]
            missing.discard(batch.name)
        if missing:
            raise FileError(f"{named(folder)} lacks {', '.join(sorted(missing))} of {self.title}; get it again")
        train, test = (Dataset(inputs[part], labels[part], self.classes) for part in (True, False))
        return train, test

    def _before(self, batch: Batch) -> Iterator[Batch]:
        """The files whose samples come before those of `batch`."""
        for each in self.batches:
            if each.name == batch.name:
                return
            if each.training is batch.training:
                yield each

    def _contents(self, folder: Path) -> Iterator[tuple[str, Batch, bytearray]]:
        """Each file: what to call it, which it is, and its content; its name tells a binary one."""
        known = {f"{each.name}{ending}": each for each in self.batches for ending in ("", _BINARY)}
        files = {folder.name: folder} if folder.is_file() else self.held(folder)
        for name, path in files.items():
            if name in known:
                yield str(path), known[name], _content(path)
            else:
                yield from ((f"{path}/{name}", known[name], each) for name, each in members(path, set(known)))

    def _records(self, path: str, batch: Batch, content: bytearray) -> NDArray[np.uint8]:
        """A file's records, once they are known to be right."""
        binary = path.endswith(_BINARY)
        width = len(self.labels) + _PIXELS
        records = binary_records(content, path, width) if binary else python_records(content, path, self.labels)
        if len(records) != batch.count:
            raise FileError(
                f"{named(path)} holds {len(records):,} images, but {self.title} has {batch.count:,} there; get it again"
            )
        found = sha256(content).hexdigest()
        # A Python file that was written anew is known by the records that it holds.
        if found not in (batch.python, batch.binary) and sha256(records.data).hexdigest() != batch.binary:
            wanted = batch.binary if binary else batch.python
            raise FileError(
                f"{named(path)} has the SHA-256 {found}, but {self.title}'s is {wanted}: it is damaged, or another "
                "dataset; get it again"
            )
        return records


def binary_records(content: bytes | bytearray, path: str, width: int) -> NDArray[np.uint8]:
    """The records of a binary file, (N, width): a byte for each label, then red, green and blue, row by row.

    Raises:
        FileError: it does not hold whole records.
    """
    if not content or len(content) % width:
        raise FileError(
            f"{named(path)} has {len(content):,} bytes, which is not a number of records of {width:,} bytes; get it "
            "again"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def python_records(content: bytes | bytearray, path: str, labels: tuple[str, ...]) -> NDArray[np.uint8]:
    """The records of a Python file, as a binary one has them.

    Raises:
        FileError: it is not a pickle of a dict with "data", (N, 3072) bytes, and lists of N labels called `labels`.
    """
    try:
        found = read_pickle(BytesIO(content))
    except Exception as error:  # whatever a changed byte causes
        words = printable(error) or type(error).__name__
        raise FileError(f"{named(path)} is not a pickle that can be read ({words}); get it again") from None
    entries = {_text(name): value for name, value in found.items()} if isinstance(found, dict) else {}
    if not {"data", *labels} <= entries.keys():
        held = ", ".join(printable(name) for name in list(entries)[:5]) or "no batch"
        raise FileError(f"{named(path)} holds {held}, not data and {', '.join(labels)}; get it again")
    pixels = _pixels(entries["data"])
    if pixels is None:
        raise FileError(f"{named(path)} has no images of N x {_PIXELS} bytes; get it again")
    records = np.empty((len(pixels), len(labels) + _PIXELS), np.uint8)
    records[:, len(labels) :] = pixels
    for column, name in enumerate(labels):
        values = entries[name]
        plain = isinstance(values, list) and all(type(each) is int and 0 <= each < 256 for each in values)
        if not plain or len(values) != len(pixels):
            raise FileError(f"{named(path)} has no {name} from 0 to 255 for each of its {len(pixels):,} images")
        records[:, column] = values
    return records


def _pixels(array: Any) -> NDArray[np.uint8] | None:
    """The bytes (N, 3072) of a NumPy array as a pickle describes it, or None if it is something else."""
    match array:
        case Called(Named(path), _, (_, shape, kind, columns, content)) if path in _RECONSTRUCT:
            pass
        case Called(Named(path), (content, kind, shape, order)) if path in _FROM_BUFFER:
            columns = order == "F"
        case _:
            return None
    match kind, shape:
        case Called(Named("numpy dtype"), ("u1", *_)), (int() as count, int() as width) if width == _PIXELS:
            held = content.encode("latin-1") if isinstance(content, str) else content
            if isinstance(held, bytes | bytearray) and 0 < len(held) == count * width:
                return np.frombuffer(held, np.uint8).reshape(count, width, order="F" if columns is True else "C")
    return None


def _text(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)


def members(path: Path, names: set[str]) -> Iterator[tuple[str, bytearray]]:
    """The files of these names in a tar archive, gzipped or not, wherever they are in it; nothing is unpacked to disk.

    Raises:
        FileError: it is not such an archive, is damaged, or unpacks to too much.
    """
    with opened(path, "a gzipped tar archive") as file:
        limited = _Limited(file, path)
        try:
            with tarfile.open(fileobj=cast("BinaryIO", limited), mode="r|") as archive:
                for number, member in enumerate(archive):
                    if number == MOST_MEMBERS:
                        raise FileError(f"{named(path)} has more than {MOST_MEMBERS} files; CIFAR's archives have 8")
                    name = member.name.rpartition("/")[2]
                    if name not in names or not member.isreg() or member.issparse():
                        continue
                    content = archive.extractfile(member)
                    if content is not None:
                        yield name, read_up_to(cast("BinaryIO", content), LARGEST_FILE)
        except (FileError, OSError, EOFError, zlib.error):
            raise
        except Exception as error:  # tarfile raises many types on damaged headers
            words = printable(error) or type(error).__name__
            raise FileError(f"{named(path)} is not a tar archive that can be read ({words}); get it again") from None


class _Limited:
    """An open file that gives `LARGEST_FILE` bytes at most: headers of an archive may ask for any number."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path, self._count = file, path, 0

    def read(self, size: int) -> bytes:
        """As for any file; a FileError beyond the limit."""
        left = LARGEST_FILE - self._count
        piece = bytes(read_up_to(self._file, min(size, left + 1)))
        self._count += len(piece)
        if self._count > LARGEST_FILE:
            raise FileError(
                f"{named(self._path)} unpacks to more than {LARGEST_FILE:,} bytes; no more are read: get it again"
            )
        return piece


def _content(path: Path) -> bytearray:
    try:
        with open_regular(path, LARGEST_FILE) as file:
            return read_up_to(file, LARGEST_FILE)
    except OSError as error:
        raise FileError(f"{named(path)} cannot be read: {error.strerror or error}") from None


def _checksum_of(path: Path) -> str:
    return sha256(_content(path)).hexdigest()

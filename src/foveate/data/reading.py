"""Image files examined and decoded by several threads, in a fixed order whatever their number."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.guarded import MOST_BEFORE_SIZE, MOST_FOR_PIXEL
from foveate.data.image_cache import KEPT_FROM, Known, Pack, Passing, limit
from foveate.data.images import DamagedImageError, read_pixels, read_size
from foveate.data.resizing import Resizing
from foveate.engines.machine import threads_within_quota, usable_cpus
from foveate.errors import DataError, FileError
from foveate.geometry import format_sizes
from foveate.layers import Shape
from foveate.opening import open_regular
from foveate.progress import watched
from foveate.text import named

Item = TypeVar("Item")
Result = TypeVar("Result")

COPIED_UP_TO = 256 << 20
"""Bytes of decoded images that are copied from packs into memory rather than kept a second time."""

_ATTEMPTS = 2
_PIECE = 1 << 20
_AHEAD = 4
"""Results that may wait for each thread."""


@dataclass(frozen=True)
class Facts:
    """What an image file's header says and the hash of its content; or why it cannot be used."""

    content: str = ""
    channels: int = 0
    height: int = 0
    width: int = 0
    error: str = ""


def in_order(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """work(item) for each item in order, by `threads` threads a little ahead; by none, when its turn comes.

    >>> list(in_order(lambda number: number * number, range(4), threads=2))
    [0, 1, 4, 9]
    """
    if threads < 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "foveate-reading") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def data_threads(given: int | None) -> int:
    """How many threads read images: as many as given, or one for each core."""
    return threads_within_quota(len(usable_cpus())) if given is None else given


def examine(path: Path) -> Facts:
    """The facts of the image in `path`."""
    try:
        channels, height, width = read_size(path)
        content = _hashed(path, MOST_BEFORE_SIZE + MOST_FOR_PIXEL * height * width)
    except FileError as error:
        return Facts(error=str(error))
    except OSError as error:
        return Facts(error=f"{named(path)} cannot be read: {error.strerror}")
    return Facts(content, channels, height, width)


def stamp(path: Path) -> list[int]:
    """What changes with a file; empty if it has gone."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _hashed(path: Path, most: int | None = None) -> str:
    content = blake2b(digest_size=8)
    with open_regular(path, most) as file:
        while piece := file.read(_PIECE):
            content.update(piece)
    return content.hexdigest()


def _is_still(path: Path, content: str, before: list[int]) -> bool:
    """Whether a file has had this content since it had the stamp `before`."""
    try:
        return _hashed(path) == content and stamp(path) == before
    except (OSError, FileError):
        return False


def _read(path: Path, content: str, channels: int, resizing: Resizing) -> NDArray[np.uint8] | str:
    """The pixels of the file with this content, or why there are none; read again if something happened to it."""
    for _ in range(_ATTEMPTS):
        before = stamp(path)
        row: NDArray[np.uint8] | str
        try:
            row = read_pixels(path, channels, resizing)
        except DamagedImageError as error:
            row = str(error).removeprefix(f"{named(path)} ")
        except FileError as error:
            return Passing(str(error).removeprefix(f"{named(path)} "))
        if _is_still(path, content, before):
            return row
    return Passing("has changed while it was read")


def decoded(
    paths: Sequence[Path], contents: Sequence[str], shape: Shape, resizing: Resizing, threads: int, known: Known
) -> Iterator[NDArray[np.uint8] | str]:
    """The pixels of each image, or the reason why it cannot be read; what is known already is not decoded again."""

    def work(place: int) -> NDArray[np.uint8] | str:
        row = known.row(contents[place])
        if row is not None:
            return row
        return _read(paths[place], contents[place], shape[0], resizing)

    yield from in_order(work, range(len(paths)), threads)


@dataclass(frozen=True)
class Reading:
    """Image files to be decoded to one shape.

    `contents` has the hash of each file's content; `progress` shows a bar if it takes over two seconds.
    """

    paths: Sequence[Path]
    contents: Sequence[str]
    shape: Shape
    resizing: Resizing
    threads: int
    progress: bool

    def all(self, cache: bool | None) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """The pixels of the files that can be read, in order, and why the others cannot, by their places.

        Args:
            cache: whether to keep them on disk; None keeps what is worth it.

        Raises:
            DataError: they fit neither on disk nor in memory.
        """
        pack = Pack(self.contents, self.shape, self.resizing) if self._is_kept(cache) else None
        if pack is None:
            return self._in_memory(Known({}, {}))
        kept = pack.mapped()
        if kept is None and self._bytes <= COPIED_UP_TO and (known := pack.known()).has_all(self.contents):
            return self._in_memory(known)  # a part of a larger pack, such as the test images
        if kept is None and pack.has_room():
            reasons = pack.write(self._rows(pack.known()))
            written = None if reasons is None else pack.mapped()
            if reasons is not None and written is not None:
                return written[0], self._told(reasons)
        if kept is None:
            return self._in_memory(pack.known())
        rows, bad = kept
        return rows, self._told({place: bad[each] for place, each in enumerate(self.contents) if each in bad})

    @property
    def _bytes(self) -> int:
        return len(self.paths) * prod(self.shape)

    def _is_kept(self, cache: bool | None) -> bool:
        if cache is not None or not limit():
            return bool(cache and limit())
        if self._bytes >= KEPT_FROM:
            return True
        return sum(path.stat().st_size for path in self.paths if path.exists()) >= KEPT_FROM

    def _rows(self, known: Known) -> Iterator[NDArray[np.uint8] | str]:
        rows = decoded(self.paths, self.contents, self.shape, self.resizing, self.threads, known)
        yield from watched(rows, len(self.paths), "reading images", progress=self.progress)

    def _in_memory(self, known: Known) -> tuple[NDArray[np.uint8], dict[int, str]]:
        try:
            inputs = np.empty((len(self.paths), *self.shape), np.uint8)
        except (MemoryError, ValueError):
            raise DataError(
                f"{len(self.paths)} images of {format_sizes(self.shape)} fit neither into memory nor into the cache of "
                f"{limit() / 1e9:g} GB (FOVEATE_CACHE_GB); give a smaller size"
            ) from None
        count, reasons = 0, {}
        for place, row in enumerate(self._rows(known)):
            if isinstance(row, str):
                reasons[place] = row
            else:
                inputs[count] = row
                count += 1
        return inputs[:count], self._told(reasons)

    def _told(self, reasons: dict[int, str]) -> dict[int, str]:
        """The reasons as sentences: the same content may have another name by now."""
        return {
            place: str(reason) if named(self.paths[place]) in reason else f"{named(self.paths[place])} {reason}"
            for place, reason in reasons.items()
        }

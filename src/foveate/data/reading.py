"""Image files examined and decoded by several threads, in a fixed order whatever their number."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.guarded import MOST_BEFORE_SIZE, MOST_FOR_PIXEL
from foveate.data.images import read_pixels, read_size
from foveate.data.resizing import Resizing
from foveate.engines.machine import threads_within_quota, usable_cpus
from foveate.errors import FileError
from foveate.layers import Shape
from foveate.opening import open_regular
from foveate.text import named

Item = TypeVar("Item")
Result = TypeVar("Result")

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
        with open_regular(path, MOST_BEFORE_SIZE + MOST_FOR_PIXEL * height * width) as file:
            content = blake2b(digest_size=8)
            while piece := file.read(_PIECE):
                content.update(piece)
    except FileError as error:
        return Facts(error=str(error))
    except OSError as error:
        return Facts(error=f"{named(path)} cannot be read: {error.strerror}")
    return Facts(content.hexdigest(), channels, height, width)


def decode(
    paths: Sequence[Path], shape: Shape, resizing: Resizing, out: NDArray[np.uint8], threads: int
) -> Iterator[str]:
    """Decode the images into `out`, one after another; of one that cannot be read, the reason, else nothing.

    One that cannot be read takes no place in `out`.
    """

    def work(path: Path) -> NDArray[np.uint8] | str:
        try:
            return read_pixels(path, shape[0], resizing)
        except FileError as error:
            return str(error)

    row = 0
    for result in in_order(work, paths, threads):
        if not isinstance(result, str):
            out[row] = result
            row += 1
        yield result if isinstance(result, str) else ""

"""Preparing the next batches in a background thread while the engine computes; the order is kept."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prefetch(
    prepare: Callable[[Item], Prepared], items: Iterable[Item], *, ahead: int = 2
) -> Generator[Prepared, None, None]:
    """prepare(item) for each item in order, at most `ahead` items in advance.

    An error in `prepare` is raised where its item would have come. Close the generator to stop early.

    >>> list(prefetch(lambda number: number * number, range(4)))
    [0, 1, 4, 9]
    """
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(1, "foveate-prefetch") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(prepare, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

"""The processes that train one network together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Group:
    """One of `size` processes, by its `rank` from 0; every process calls the same functions in the same order."""

    rank: int = 0
    size: int = 1

    def all_reduce(self, tensor: Any) -> None:
        """Replace the engine's tensor by the sum of those of all processes."""

    def total(self, numbers: Sequence[float]) -> list[float]:
        """The sums of each of these numbers over all processes."""
        return list(numbers)


ALONE = Group()
"""A process that trains alone."""

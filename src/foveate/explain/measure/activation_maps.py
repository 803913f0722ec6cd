"""Activation maps as arrays: the strongest channels, and the element examined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import Node, Region

Channels: TypeAlias = "Literal['strongest'] | Sequence[int] | None"
"""Channels by number, or "strongest"; None for all, or for the strongest if there are too many."""


def strongest_channels(maps: ArrayLike, count: int) -> NDArray[np.int64]:
    """The `count` channels of maps (C, *spatial) with the largest activation anywhere, largest first.

    >>> strongest_channels([[0, 1], [5, 0], [2, 2]], 2).tolist()
    [1, 2]
    """
    values = np.asarray(maps)
    if values.ndim < 1 or count < 1:
        raise DataError(f"asked for {count} channels of {format_sizes(values.shape) or 'a number'}; ask for at least 1")
    peaks = values.reshape(len(values), -1).max(axis=1)
    return np.argsort(-peaks, kind="stable")[:count]


@dataclass(frozen=True)
class Focus:
    """One element of the maps with its value, the displayed input (C, *spatial), and the box that it sees."""

    picture: FloatArray
    region: Region
    element: tuple[int, ...]
    value: float

    @property
    def sees_all(self) -> bool:
        """Whether the box is the whole input."""
        return tuple(map(len, self.region.clipped)) == self.picture.shape[1:]

    @property
    def sentence(self) -> str:
        """Which element it is, and what it sees."""
        axes = {1: ("position",), 2: ("row", "column"), 3: ("depth", "row", "column")}.get(len(self.element) - 1, ())
        place = "".join(f", {axis} {number}" for axis, number in zip(axes, self.element[1:], strict=True))
        words = f"The marked element, channel {self.element[0]}{place}, is {self.value:.3g} and sees "
        box, sizes = format_sizes([*map(len, self.region.clipped)]), format_sizes(self.picture.shape[1:])
        if self.sees_all:
            return f"{words}the whole input."
        if not all(map(len, self.region.clipped)):
            return f"{words}nothing but padding."
        marked, dashed = ("shaded", "") if self.picture.ndim < 3 else ("framed", ", dashed")
        more = ""
        if self.region.clipped != self.region.unclipped:
            more = f" ({format_sizes([*map(len, self.region.unclipped)])} with padding{dashed})"
        return f"{words}the {marked} {box} of the input's {sizes} positions{more}."


def shown_channels(maps: FloatArray, channels: Channels, most: int, asked: int | None) -> tuple[list[int], str]:
    """The channels to draw, including that of an element asked for, and a description of the choice."""
    total = len(maps)
    if most < 1:
        raise DataError(f"most is {most}; draw at least 1 channel")
    if channels is None and (total <= most or maps.ndim == 1):
        return list(range(total)), f"all {total} channels"
    if channels is None or isinstance(channels, str):
        if channels not in (None, "strongest"):
            raise DataError(f'channels is "{channels}"; give "strongest", numbers, or None for all')
        strongest = strongest_channels(maps, most).tolist()
        if asked is None or asked in strongest:
            return strongest, f"the {len(strongest)} of {total} channels with the largest activation"
        rest = strongest[:-1]
        return [asked, *rest], f"channel {asked}, and the {len(rest)} of {total} with the largest activation"
    numbers = [int(channel) for channel in channels]
    wrong = [channel for channel in numbers if not 0 <= channel < total]
    if wrong:
        raise DataError(f"there is no channel {wrong[0]}: the {total} channels are numbered 0 to {total - 1}")
    if not numbers:
        raise DataError("channels is empty; give at least one number, or None for all")
    numbers = numbers if asked is None or asked in numbers else [asked, *numbers]
    return numbers, f"{len(numbers)} of {total} channels"


def element_index(node: Node, maps: FloatArray, element: Sequence[int]) -> tuple[int, ...]:
    """The index of the element asked for."""
    index = tuple(int(number) for number in element)
    if len(index) != maps.ndim or any(not 0 <= i < size for i, size in zip(index, maps.shape, strict=True)):
        raise DataError(
            f"{node.name} has no element {index}: its maps are {format_sizes(maps.shape)}; give (channel, *position), "
            "each counted from 0"
        )
    return index


def largest_element(maps: FloatArray, shown: Sequence[int]) -> tuple[int, ...]:
    """The index of the largest activation in the channels shown."""
    channel, *position = np.unravel_index(maps[list(shown)].argmax(), (len(shown), *maps.shape[1:]))
    return (shown[int(channel)], *map(int, position))

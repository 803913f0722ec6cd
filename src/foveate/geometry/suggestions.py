"""Strides, paddings and input sizes near the given ones that make a window fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from foveate.geometry.windows import Window


@dataclass(frozen=True)
class Suggestions:
    """Small changes that make the division exact, nearest first; each alone is enough."""

    strides: tuple[int, ...]
    symmetric_paddings: tuple[int, ...]
    asymmetric_paddings: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]

    def sentence(self) -> str:
        """The changes in words, for the end of an error or a report."""
        ways = []
        if self.strides:
            ways.append("stride " + _alternatives(self.strides))
        if self.symmetric_paddings:
            ways.append("padding " + _alternatives(self.symmetric_paddings))
        elif self.asymmetric_paddings:
            ways.append("padding " + _alternatives(self.asymmetric_paddings) + " (begin, end)")
        if self.sizes:
            ways.append("an input of " + _alternatives(self.sizes))
        return ", or ".join(ways)


def suggest(
    size: int, window: Window, *, limit: int = 2, padding_limit: int = 1, largest_padding: int | None = None
) -> Suggestions:
    """Strides, paddings and input sizes near the given ones that fit; at most `limit` of each.

    `padding_limit` is the limit for paddings, and `largest_padding` the most that the layer accepts on each side.

    >>> suggest(7, Window(3, stride=3)).sentence()
    'stride 1 or 2, or padding 1, or an input of 6 or 9'
    """
    free = size - window.effective_size
    most = window.effective_size + window.stride - 1
    if largest_padding is not None:
        most = min(most, largest_padding)
    present = sum(window.padding) // 2
    symmetric = fitting_paddings(size, window, most, asymmetric=False)
    asymmetric = fitting_paddings(size, window, most, asymmetric=True)
    padded = free + sum(window.padding)
    below = padded % window.stride or window.stride
    sizes = [s for s in (size - below, size - padded % window.stride + window.stride) if s >= 1 and s != size]
    return Suggestions(
        strides=tuple(fitting_strides(padded, window.stride, limit)[::-1]),
        symmetric_paddings=tuple(p for p, _ in _closest(symmetric, present, padding_limit)),
        asymmetric_paddings=_closest(asymmetric, present, padding_limit),
        sizes=tuple(s for s in sizes if s - window.effective_size + sum(window.padding) >= 0)[:limit],
    )


def fitting_strides(free: int, stride: int, limit: int) -> list[int]:
    """The largest `limit` strides below `stride` that divide `free`, the window's room to move: W - F_eff + 2P.

    >>> fitting_strides(12, 8, 3)
    [6, 4, 3]
    """
    if free <= 0:
        return list(range(max(1, stride - limit), stride))[::-1] if free == 0 else []
    small = [d for d in range(1, isqrt(free) + 1) if free % d == 0]
    return sorted({s for d in small for s in (d, free // d) if s < stride})[::-1][:limit]


def fitting_paddings(size: int, window: Window, most: int, *, asymmetric: bool) -> range:
    """Every P up to `most` for which padding (P, P), or (P, P + 1) if `asymmetric`, makes the division exact.

    W - F_eff + 2P must be a multiple of S: for an even S and an odd W - F_eff no P will do, for S = 4 every other one.

    >>> fitting_paddings(32, Window(5, stride=2), 4, asymmetric=False)
    range(0, 0)
    >>> list(fitting_paddings(32, Window(5, stride=2), 4, asymmetric=True))
    [0, 1, 2, 3]
    """
    free, stride = size - window.effective_size + asymmetric, window.stride
    least = max(0, -(free // 2))
    if stride % 2:
        step, first = stride, -free * (stride + 1) // 2 % stride
    elif free % 2:
        return range(0)
    else:
        step, first = stride // 2, -free // 2 % (stride // 2)
    first += -(-max(0, least - first) // step) * step
    return range(first, max(first, most + (not asymmetric)), step)


def _closest(paddings: range, present: int, limit: int) -> tuple[tuple[int, int], ...]:
    """At most `limit` pairs of a padding and the next number, those nearest to `present` first."""
    if not paddings:
        return ()
    at = min(max(0, (present - paddings.start) // paddings.step), len(paddings) - 1)
    around = paddings[max(0, at - limit) : at + limit + 1]
    return tuple((p, p + 1) for p in sorted(around, key=lambda p: abs(p - present))[:limit])


def _alternatives(values: Sequence[object]) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]

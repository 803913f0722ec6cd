"""What convolution and pooling share: the sliding windows of a layer over its input."""

from collections.abc import Sequence
from math import isqrt

from foveate.errors import ShapeError
from foveate.geometry import Window, fit, format_sizes, formula, output_size, same_padding
from foveate.layers.base import Shape, axis_letters
from foveate.layers.options import Padding

_MOST_LISTED = 24
"""Divisors that an error lists."""


def resolve_windows(
    spatial: Sequence[int],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
) -> tuple[Window, ...]:
    """The window of each axis, with "same" turned into (begin, end) for these `spatial` sizes."""
    windows = tuple(
        Window(size, step, dilation=gap) for size, step, gap in zip(kernel_size, stride, dilation, strict=True)
    )
    if padding == "same":
        padding = tuple(same_padding(size, window) for size, window in zip(spatial, windows, strict=True))
    return tuple(
        Window(window.kernel_size, window.stride, pair, window.dilation)
        for window, pair in zip(windows, padding, strict=True)
    )


def describe_windows(
    kernel_size: Sequence[int], stride: Sequence[int], padding: Padding, dilation: Sequence[int] = (1,)
) -> str:
    """The window in words, leaving out what is at its default: '3x3, stride 2, padding 1'."""
    words = [format_sizes(kernel_size)]
    if any(step != 1 for step in stride):
        words.append(f"stride {_shortest(stride)}")
    if padding == "same":
        words.append("padding same")
    elif any(pair != (0, 0) for pair in padding):
        words.append("padding " + _shortest([p[0] if p[0] == p[1] else p for p in padding]))
    if any(gap != 1 for gap in dilation):
        words.append(f"dilation {_shortest(dilation)}")
    return ", ".join(words)


def window_sizes(spatial: Shape, windows: Sequence[Window], *, ceil_mode: bool = False) -> Shape:
    """Output size of each axis, or a ShapeError where the window is longer than the padded input."""
    for size, window in zip(spatial, windows, strict=True):
        if output_size(size, window, ceil_mode=ceil_mode) < 1:
            raise ShapeError(_too_long(spatial, size, window))
    return tuple(output_size(size, window, ceil_mode=ceil_mode) for size, window in zip(spatial, windows, strict=True))


def derive_sizes(spatial: Shape, windows: Sequence[Window], made: Shape) -> tuple[str, ...]:
    """The size formula with the numbers put in, once for axes that are alike.

    >>> derive_sizes((7, 7), (Window(3, stride=3),) * 2, (2, 2))
    ('H and W: `(7 - 3 + 2*0)/3 + 1 = 2.33`, rounded down: 2 (remainder 1)',)
    """
    return by_axis([_derived(*axis) for axis in zip(spatial, windows, made, strict=True)])


def by_axis(words: Sequence[str]) -> tuple[str, ...]:
    """The words for each axis after its letter, equal ones together.

    >>> by_axis(["one", "two", "one"])
    ('D and W: one', 'H: two')
    """
    letters = axis_letters(len(words))
    return tuple(
        " and ".join(letter for letter, other in zip(letters, words, strict=True) if other == each) + f": {each}"
        for each in dict.fromkeys(words)
    )


def _derived(size: int, window: Window, made: int) -> str:
    placed = fit(size, window)
    words = f"`{formula(size, window)} = "
    if placed.fits:
        return f"{words}{made}`"
    rounded = "up, by ceil_mode" if made > placed.output else "down"
    return f"{words}{float(placed.exact_output):.2f}`, rounded {rounded}: {made} (remainder {placed.remainder})"


def divisors(number: int) -> str:
    """The divisors of `number`, as errors list them: of very many the first and the last.

    >>> divisors(12)
    '1, 2, 3, 4, 6, 12'
    """
    small = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    found = list(map(str, [*small, *(number // d for d in reversed(small) if d * d < number)]))
    return ", ".join(found if len(found) <= _MOST_LISTED else [*found[: _MOST_LISTED - 2], "...", found[-1]])


def _too_long(spatial: Shape, size: int, window: Window) -> str:
    padded = size + sum(window.padding)
    need = -(-(window.effective_size - size) // 2)
    largest = (padded - 1) // window.dilation + 1
    span = (
        f"{window.effective_size}"
        if window.dilation == 1
        else (f"{window.dilation}*({window.kernel_size} - 1) + 1 = {window.effective_size}")
    )
    return (
        f"does not fit its {format_sizes(spatial)} input: the window spans {span}, but the padded input is only "
        f"{size} + {window.padding[0]} + {window.padding[1]} = {padded} long. "
        f"Fits: kernel_size {largest}, or padding {need}, or an input of at least "
        f"{size + window.effective_size - padded}"
    )


def _shortest(values: Sequence[object]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(str(value) for value in values)

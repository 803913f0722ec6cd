"""What convolution and pooling share: the sliding windows of a layer over its input."""

from collections.abc import Iterator, Sequence
from math import isqrt

from foveate.errors import ShapeError
from foveate.geometry import Window, fit, format_sizes, formula, input_of, output_size, same_padding
from foveate.layers.advice import Way, those_that_work
from foveate.layers.base import Layer, Shape, axis_letters
from foveate.layers.options import Padding

_MOST_LISTED = 24
"""How many divisors an error lists."""


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
    """The window in words, without options at their defaults: '3x3, stride 2, padding 1'."""
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


def window_sizes(layer: Layer, input_shape: Shape, windows: Sequence[Window], *, ceil_mode: bool = False) -> Shape:
    """Output size of each axis, or a ShapeError if a window of `layer` is longer than the padded input."""
    axes = list(zip(input_shape[1:], windows, strict=True))
    sizes = tuple(output_size(*axis, ceil_mode=ceil_mode) for axis in axes)
    for made, axis in zip(sizes, axes, strict=True):
        if made < 1:
            ways = those_that_work(layer, _ways_to_fit(input_shape, windows))
            raise ShapeError(_too_long(input_shape[1:], *axis) + (f" Fits: {ways}" if ways else ""))
    return sizes


def derive_sizes(spatial: Shape, windows: Sequence[Window], made: Shape) -> tuple[str, ...]:
    """The size formula with the numbers filled in, once for axes that are alike.

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
    """The divisors of `number`, as errors list them: only the first few and the last if there are many.

    >>> divisors(12)
    '1, 2, 3, 4, 6, 12'
    """
    small = [d for d in range(1, isqrt(number) + 1) if number % d == 0]
    found = list(map(str, [*small, *(number // d for d in reversed(small) if d * d < number)]))
    return ", ".join(found if len(found) <= _MOST_LISTED else [*found[: _MOST_LISTED - 2], "...", found[-1]])


def _too_long(spatial: Shape, size: int, window: Window) -> str:
    padded = size + sum(window.padding)
    span = (
        f"{window.effective_size}"
        if window.dilation == 1
        else (f"{window.dilation}*({window.kernel_size} - 1) + 1 = {window.effective_size}")
    )
    return (
        f"does not fit its {input_of(spatial)}: the window spans {span}, but the padded input is only "
        f"{size} + {window.padding[0]} + {window.padding[1]} = {padded} long."
    )


def _ways_to_fit(input_shape: Shape, windows: Sequence[Window]) -> Iterator[Way]:
    """A smaller kernel, more padding, or a larger input, the same for all axes if one number will do."""
    axes = list(zip(input_shape[1:], windows, strict=True))
    kernel = min((size + sum(window.padding) - 1) // window.dilation + 1 for size, window in axes)
    yield Way(f"kernel_size {kernel}", input_shape, {"kernel_size": kernel})
    padding = max(-(-(window.effective_size - size) // 2) for size, window in axes)
    yield Way(f"padding {padding}", input_shape, {"padding": padding})
    lengths = [window.effective_size - sum(window.padding) for _, window in axes]
    larger = [max(size, length) for (size, _), length in zip(axes, lengths, strict=True)]
    short = [length for (size, _), length in zip(axes, lengths, strict=True) if length > size]
    least = str(short[0]) if len(short) == 1 or len({*larger}) == 1 else format_sizes(larger)
    yield Way(f"an input of at least {least}", (input_shape[0], *larger))


def _shortest(values: Sequence[object]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(str(value) for value in values)

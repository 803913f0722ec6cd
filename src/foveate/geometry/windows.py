"""The arithmetic of windows: output sizes, what fits, padding. Integers only; each rule is written once, here.

Along one axis a window of F taps, D apart, spans F_eff = D(F - 1) + 1 positions. Moved in steps of S over W positions
with P_begin and P_end added at the borders, it makes

    floor((W - F_eff + P_begin + P_end) / S) + 1

outputs. The division may leave a remainder, and with it positions at the far end that no window covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

LARGEST_SIZE = 2**31 - 1
"""The longest axis allowed: the compiled kernels count in 32 bits."""

LARGEST_COUNT = 2**47
"""The most elements allowed in an array: half of what a 64-bit processor can address, in float32."""


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: `kernel_size` taps, `dilation` apart, moved by `stride`."""

    kernel_size: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1

    @property
    def effective_size(self) -> int:
        """Positions from the first tap to the last: D(F - 1) + 1.

        >>> Window(3, dilation=2).effective_size
        5
        """
        return self.dilation * (self.kernel_size - 1) + 1


@dataclass(frozen=True)
class Fit:
    """How a window fits an axis.

    `exact_output` is the size before flooring, `remainder` that of the division, `dropped` the real positions at
    the ends that none of the `output` windows sees (padding is not counted).
    """

    output: int
    exact_output: Fraction
    remainder: int
    dropped: int

    @property
    def fits(self) -> bool:
        """Whether the division is exact."""
        return self.remainder == 0


def fit(size: int, window: Window) -> Fit:
    """Place `window` on `size` positions; `output` is below 1 if the padded input is shorter than the window.

    >>> fit(7, Window(3, stride=3)).fits
    False
    >>> fit(224, Window(7, stride=2, padding=(3, 3)))
    Fit(output=112, exact_output=Fraction(225, 2), remainder=1, dropped=0)
    """
    free = size - window.effective_size + sum(window.padding)
    output, remainder = divmod(free, window.stride)
    return Fit(
        output=output + 1,
        exact_output=Fraction(free, window.stride) + 1,
        remainder=remainder,
        dropped=unseen(size, window, output + 1).dropped if free >= 0 else 0,
    )


def output_size(size: int, window: Window, *, ceil_mode: bool = False) -> int:
    """Outputs of `window` over `size` positions; 0 or less if the window is longer than the padded input.

    With `ceil_mode` the last, incomplete window counts too, provided that it starts within the input or its left
    padding (PyTorch's rule).

    >>> output_size(32, Window(5, padding=(2, 2)))
    32
    >>> output_size(7, Window(3, stride=3), ceil_mode=True)
    3
    """
    placed = fit(size, window)
    if not ceil_mode or placed.fits:
        return placed.output
    last_start = placed.output * window.stride
    return placed.output + (1 if last_start < size + window.padding[0] else 0)


@dataclass(frozen=True)
class Unseen:
    """Real positions of an axis that no window sees: at its two ends, and between windows."""

    begin: int = 0
    end: int = 0
    skipped: int = 0

    @property
    def dropped(self) -> int:
        """Positions lost at the borders."""
        return self.begin + self.end


def unseen(size: int, window: Window, outputs: int) -> Unseen:
    """What `outputs` windows leave out of `size` positions, without listing them.

    >>> unseen(57, Window(1, stride=2), 29)
    Unseen(begin=0, end=0, skipped=28)
    >>> unseen(9, Window(2, stride=3), 3).dropped
    1
    """
    if window.dilation == 1 and window.kernel_size >= window.stride:
        seen_to = (outputs - 1) * window.stride - window.padding[0] + window.kernel_size
        return Unseen(end=max(0, min(size, size - seen_to)))
    first, last, count = size, -1, 0
    for start, step, length in _progressions(window, outputs):
        low = max(0, -(start // step))
        high = min(length - 1, (size - 1 - start) // step)
        if low <= high:
            first, last = min(first, start + low * step), max(last, start + high * step)
            count += high - low + 1
    if not count:
        return Unseen(end=size)
    return Unseen(first, size - 1 - last, last - first + 1 - count)


def _progressions(window: Window, outputs: int) -> list[tuple[int, int, int]]:
    """The positions o S + k D - P that windows see, as a few disjoint (start, step, length).

    Taps k and k + S/g meet the same residues of S (g divides both S and D), a row of D/g windows apart; windows o and
    o + D/g likewise. So one loop over the shorter side is enough, whatever the numbers.
    """
    taps, step, gap, begin = window.kernel_size, window.stride, window.dilation, window.padding[0]
    common = gcd(step, gap)
    cycle, row = step // common, gap // common
    if taps <= cycle or outputs <= row:
        if taps <= outputs:
            return [(k * gap - begin, step, outputs) for k in range(taps)]
        return [(o * step - begin, gap, taps) for o in range(outputs)]
    if cycle <= row:
        return [(k * gap - begin, step, outputs + (taps - 1 - k) // cycle * row) for k in range(cycle)]
    return [(o * step - begin, gap, taps + (outputs - 1 - o) // row * cycle) for o in range(row)]


def formula(size: int, window: Window) -> str:
    """The size formula with the numbers filled in: '(7 - 3 + 2*0)/3 + 1'."""
    begin, end = window.padding
    padding = f"2*{begin}" if begin == end else f"{begin} + {end}"
    return f"({size} - {window.effective_size} + {padding})/{window.stride} + 1"


def sees_only_padding(size: int, window: Window, outputs: int) -> int | None:
    """The first of `outputs` positions at which no tap of `window` meets the input, or None.

    >>> sees_only_padding(1, Window(2, padding=(2, 2), dilation=3), 2)
    0
    """
    before_input = -(-window.padding[0] // window.stride)
    if window.dilation <= size and window.dilation * (window.kernel_size - 1) >= window.padding[0]:
        before_input = 0
    for position in [*range(min(before_input, outputs)), outputs - 1]:
        start = position * window.stride - window.padding[0]
        first_inside = max(0, -(start // window.dilation))
        if first_inside >= window.kernel_size or start + first_inside * window.dilation >= size:
            return int(position)
    return None


def transposed_output_size(size: int, window: Window, output_padding: int = 0) -> int:
    """The size that `window` convolves to `size`: (W - 1)S - P_begin - P_end + F_eff + output padding.

    >>> transposed_output_size(16, Window(4, stride=2, padding=(1, 1)))
    32
    """
    return (size - 1) * window.stride - sum(window.padding) + window.effective_size + output_padding


def adaptive_bins(size: int, outputs: int) -> tuple[tuple[int, int], ...]:
    """The (begin, end) of each of `outputs` bins over `size` positions: floor(i W / O) to ceil((i + 1) W / O).

    >>> adaptive_bins(7, 3)
    ((0, 3), (2, 5), (4, 7))
    """
    return tuple((i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs))


def same_padding(size: int, window: Window) -> tuple[int, int]:
    """Padding that makes the output ceil(W / S); an odd position goes at the end.

    >>> same_padding(32, Window(5, stride=2))
    (1, 2)
    """
    outputs = -(-size // window.stride)
    total = max(0, (outputs - 1) * window.stride + window.effective_size - size)
    return total // 2, total - total // 2


def input_of(sizes: Sequence[int]) -> str:
    """An input by its sizes, in words that follow "its".

    >>> input_of((7, 7)), input_of((6,))
    ('7x7 input', 'input of length 6')
    """
    return f"input of length {sizes[0]}" if len(sizes) == 1 else f"{format_sizes(sizes)} input"


def format_sizes(sizes: Sequence[int]) -> str:
    """Sizes in the usual notation.

    >>> format_sizes((8, 7, 7))
    '8x7x7'
    """
    return "x".join(str(size) for size in sizes)

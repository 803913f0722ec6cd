"""The arithmetic of windows: output sizes, what fits, padding. Integers only; every rule exists once, here.

Along one axis a window of F taps, D apart, spans F_eff = D(F - 1) + 1 positions. Moved in steps of S over W positions
with P_begin and P_end added at the borders, it yields

    floor((W - F_eff + P_begin + P_end) / S) + 1

outputs. The division may leave a remainder: positions at the far end that no window covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

LARGEST_SIZE = 2**31 - 1
"""No axis may be longer: the compiled kernels count in 32 bits."""


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
    """How a window falls on an axis.

    `exact_output` is the size before flooring, `remainder` what the division leaves, `dropped` the real positions at
    the far end that no window covers (padding is not counted).
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
    """Place `window` on `size` positions; `output` is below 1 when the padded input is shorter than the window.

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
        dropped=max(0, remainder - window.padding[1]) if free >= 0 else 0,
    )


def output_size(size: int, window: Window, *, ceil_mode: bool = False) -> int:
    """Outputs of `window` over `size` positions; 0 or less when the window is longer than the padded input.

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


def sees_only_padding(size: int, window: Window, outputs: int) -> int | None:
    """The first of `outputs` positions at which no tap of `window` meets the input, or None.

    >>> sees_only_padding(1, Window(2, padding=(2, 2), dilation=3), 2)
    0
    """
    before_input = -(-window.padding[0] // window.stride)
    for position in [*range(min(before_input, outputs)), outputs - 1]:
        start = position * window.stride - window.padding[0]
        first_inside = max(0, -(start // window.dilation))
        if first_inside >= window.kernel_size or start + first_inside * window.dilation >= size:
            return int(position)
    return None


def transposed_output_size(size: int, window: Window, output_padding: int = 0) -> int:
    """Size whose convolution with `window` gives `size`: (W - 1)S - P_begin - P_end + F_eff + output padding.

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
    """Padding for which the output is ceil(W / S); an odd position goes to the end.

    >>> same_padding(32, Window(5, stride=2))
    (1, 2)
    """
    outputs = -(-size // window.stride)
    total = max(0, (outputs - 1) * window.stride + window.effective_size - size)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Suggestions:
    """Small changes that make the division exact, nearest first; each alone is enough."""

    strides: tuple[int, ...]
    symmetric_paddings: tuple[int, ...]
    asymmetric_paddings: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]

    def sentence(self) -> str:
        """The changes in words, as an error or a report ends with them."""
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


def suggest(size: int, window: Window, *, limit: int = 2, largest_padding: int | None = None) -> Suggestions:
    """Strides, paddings and input sizes near the given ones that fit; at most `limit` of each.

    `largest_padding` is the most that the layer accepts on a side.

    >>> suggest(7, Window(3, stride=3)).sentence()
    'stride 1 or 2, or padding 1, or an input of 6 or 9'
    """
    free = size - window.effective_size
    strides = [s for s in range(1, window.stride) if (free + sum(window.padding)) % s == 0]
    paddings = window.effective_size + window.stride
    if largest_padding is not None:
        paddings = min(paddings, largest_padding + 1)
    symmetric = [p for p in range(paddings) if free + 2 * p >= 0 and (free + 2 * p) % window.stride == 0]
    asymmetric = [
        (p, p + 1) for p in range(paddings - 1) if free + 2 * p + 1 >= 0 and (free + 2 * p + 1) % window.stride == 0
    ]
    sizes = [
        s
        for s in range(max(1, size - window.stride), size + window.stride + 1)
        if s != size
        and s - window.effective_size + sum(window.padding) >= 0
        and (s - window.effective_size + sum(window.padding)) % window.stride == 0
    ]
    present = sum(window.padding) // 2
    return Suggestions(
        strides=tuple(sorted(strides, key=lambda s: window.stride - s)[:limit][::-1]),
        symmetric_paddings=tuple(sorted(symmetric, key=lambda p: abs(p - present))[:1]),
        asymmetric_paddings=tuple(sorted(asymmetric, key=lambda p: abs(p[0] - present))[:1]),
        sizes=tuple(sorted(sorted(sizes, key=lambda s: abs(s - size))[:limit])),
    )


def format_sizes(sizes: Sequence[int]) -> str:
    """Sizes as people write them.

    >>> format_sizes((8, 7, 7))
    '8x7x7'
    """
    return "x".join(str(size) for size in sizes)


def _alternatives(values: Sequence[object]) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]

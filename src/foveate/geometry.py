"""The arithmetic of windows: output sizes, what fits, padding. Integers only; every rule exists once, here.

Along one axis a window of F taps, D apart, spans F_eff = D(F - 1) + 1 positions. Moved in steps of S over W positions
with P_begin and P_end added at the borders, it yields

    floor((W - F_eff + P_begin + P_end) / S) + 1

outputs. The division may leave a remainder: positions at the far end that no window covers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, gcd, isqrt, lcm

LARGEST_SIZE = 2**31 - 1
"""No axis may be longer: the compiled kernels count in 32 bits."""

LARGEST_COUNT = 2**47
"""No array may have more elements: half of what a 64-bit processor can address, in float32."""


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
    if window.dilation <= size and window.dilation * (window.kernel_size - 1) >= window.padding[0]:
        before_input = 0
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


def suggest(
    size: int, window: Window, *, limit: int = 2, padding_limit: int = 1, largest_padding: int | None = None
) -> Suggestions:
    """Strides, paddings and input sizes near the given ones that fit; at most `limit` of each.

    `padding_limit` is the same for paddings, and `largest_padding` the most that the layer accepts on a side.

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
    """The largest `limit` strides below `stride` that divide what is `free` for the window to move: W - F_eff + P's.

    >>> fitting_strides(12, 8, 3)
    [6, 4, 3]
    """
    if free <= 0:
        return list(range(max(1, stride - limit), stride))[::-1] if free == 0 else []
    small = [d for d in range(1, isqrt(free) + 1) if free % d == 0]
    return sorted({s for d in small for s in (d, free // d) if s < stride})[::-1][:limit]


def fitting_paddings(size: int, window: Window, most: int, *, asymmetric: bool) -> range:
    """Every P up to `most` for which padding (P, P), or (P, P + 1) if `asymmetric`, makes the division exact.

    W - F_eff + 2P must be a multiple of S: no P does for an even S and an odd W - F_eff, every other one for S = 4.

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
    """At most `limit` of `paddings`, the nearest to `present` first, each with the next number."""
    if not paddings:
        return ()
    at = min(max(0, (present - paddings.start) // paddings.step), len(paddings) - 1)
    around = paddings[max(0, at - limit) : at + limit + 1]
    return tuple((p, p + 1) for p in sorted(around, key=lambda p: abs(p - present))[:limit])


@dataclass(frozen=True)
class Reach:
    """Which inputs each output of a layer sees along one axis, as if both went on for ever.

    Outputs repeat with a period: output m * period + f sees the inputs m * `advance` + t for each t of `taps[f]`, and
    the period is the number of `taps`. A window has period 1 and advances by its stride.
    """

    advance: int
    taps: tuple[tuple[int, ...], ...]

    @property
    def period(self) -> int:
        """Outputs after which the pattern repeats."""
        return len(self.taps)


def window_reach(window: Window) -> Reach:
    """Output o of a window sees the inputs o S + k D - P_begin.

    >>> window_reach(Window(3, stride=2, padding=(1, 1)))
    Reach(advance=2, taps=((-1, 0, 1),))
    """
    return Reach(window.stride, (tuple(k * window.dilation - window.padding[0] for k in range(window.kernel_size)),))


def transposed_reach(window: Window) -> Reach:
    """Output o of a transposed convolution sees the inputs (o + P_begin - k D) / S that are whole.

    >>> transposed_reach(Window(3, stride=2, padding=(1, 1)))
    Reach(advance=1, taps=((0,), (0, 1)))
    """
    taps = []
    for output in range(window.stride):
        places = [output + window.padding[0] - k * window.dilation for k in range(window.kernel_size)]
        taps.append(tuple(sorted(place // window.stride for place in places if place % window.stride == 0)))
    return Reach(1, tuple(taps))


def nearest_reach(size: int, outputs: int) -> Reach:
    """Output o of nearest-neighbour resizing sees the input floor(o W / W').

    >>> nearest_reach(4, 8)
    Reach(advance=1, taps=((0,), (0,)))
    """
    ratio = Fraction(size, outputs)
    return Reach(ratio.numerator, tuple((int(o * ratio),) for o in range(ratio.denominator)))


def linear_reach(size: int, outputs: int) -> Reach:
    """Output o of linear resizing sees the inputs less than 1 away from (o + 1/2) W / W' - 1/2.

    >>> linear_reach(4, 8)
    Reach(advance=1, taps=((-1, 0), (0, 1)))
    """
    ratio = Fraction(size, outputs)
    taps = []
    for output in range(ratio.denominator):
        place = (output + Fraction(1, 2)) * ratio - Fraction(1, 2)
        taps.append((floor(place),) if place.denominator == 1 else (floor(place), floor(place) + 1))
    return Reach(ratio.numerator, tuple(taps))


def adaptive_reach(size: int, outputs: int) -> Reach:
    """Output o of adaptive pooling sees the inputs from floor(o W / W') to ceil((o + 1) W / W') - 1.

    >>> adaptive_reach(5, 2)
    Reach(advance=5, taps=((0, 1, 2), (2, 3, 4)))
    """
    ratio = Fraction(size, outputs)
    bins = adaptive_bins(ratio.numerator, ratio.denominator)
    return Reach(ratio.numerator, tuple(tuple(range(*ends)) for ends in bins))


def shift_reach(begin: int) -> Reach:
    """Output o after `begin` further positions at the start sees the input o - begin; 0 is the identity."""
    return Reach(1, ((-begin,),))


def positions_seen(outputs: int, reach: Reach, size: int) -> int:
    """The inputs, of `size` positions, that a set of outputs sees; sets are the bits of an int, bit p for position p.

    >>> bin(positions_seen(0b10, window_reach(Window(3, stride=2, padding=(1, 1), dilation=2)), 5))
    '0b1010'
    """
    digits = f"{outputs:b}"[::-1]
    seen = 0
    for phase, taps in enumerate(reach.taps):
        chosen = digits[phase :: reach.period][::-1]
        spread = int(("0" * (reach.advance - 1)).join(chosen), 2) if chosen else 0
        for tap in taps:
            seen |= spread << tap if tap >= 0 else spread >> -tap
    return seen & ((1 << size) - 1)


def fold_padding(seen: int, size: int, padding: tuple[int, int], mode: str) -> int:
    """The real positions behind a set of padded ones: padding that mirrors, repeats or goes round copies some.

    >>> bin(fold_padding(0b0000011, 3, (2, 2), "reflect")), bin(fold_padding(0b0000011, 3, (2, 2), "zeros"))
    ('0b110', '0b0')
    """
    begin, end = padding
    real = seen >> begin & ((1 << size) - 1)
    if mode == "zeros":
        return real
    for place in (*range(-begin, 0), *range(size, size + end)):
        if seen >> (place + begin) & 1:
            inside = min(max(place, 0), size - 1)
            mirrored = 2 * inside - place
            real |= 1 << {"replicate": inside, "reflect": mirrored, "circular": place % size}[mode]
    return real


@dataclass(frozen=True)
class Field:
    """A receptive field along one axis: which inputs of the network each output of a layer sees.

    Output m * period + f sees the inputs from m * `advance` + first to m * `advance` + last, where (first, last) is
    `spans[f]`, or nothing where that is None. Without upsampling the period is 1. Borders are not looked at: positions
    below 0 or past the end are padding. `advance` 0 means that all outputs see the same.
    """

    advance: int
    spans: tuple[tuple[int, int] | None, ...]

    @property
    def period(self) -> int:
        """Outputs after which the pattern repeats."""
        return len(self.spans)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many inputs each output of a period spans."""
        return tuple(0 if span is None else span[1] - span[0] + 1 for span in self.spans)

    @property
    def size(self) -> int:
        """The most inputs that an output spans."""
        return max(self.sizes)

    @property
    def jump(self) -> Fraction:
        """Inputs between what neighbouring outputs see."""
        return Fraction(self.advance, self.period)

    @property
    def first_centre(self) -> Fraction:
        """Centre of what output 0 sees; the mean over a period where outputs differ.

        >>> see_through(IDENTITY_FIELD, window_reach(Window(4, stride=2, padding=(1, 1)))).first_centre
        Fraction(1, 2)
        """
        centres = [
            Fraction(span[0] + span[1], 2) - phase * self.jump
            for phase, span in enumerate(self.spans)
            if span is not None
        ]
        return sum(centres, Fraction(0)) / max(1, len(centres))

    def span(self, output: int) -> tuple[int, int] | None:
        """(first, last) input that `output` sees, padding included."""
        periods, phase = divmod(output, self.period)
        span = self.spans[phase]
        return None if span is None else (span[0] + periods * self.advance, span[1] + periods * self.advance)


IDENTITY_FIELD = Field(1, ((0, 0),))
"""What an input sees of itself."""


def see_through(field: Field, reach: Reach) -> Field:
    """The field of a layer with `reach` on top of a layer with `field`.

    For windows this is the usual recursion: size + (F_eff - 1) jump, jump * S, start - P jump.

    >>> once = see_through(IDENTITY_FIELD, window_reach(Window(3, stride=2)))
    >>> see_through(once, window_reach(Window(3))).size, once.jump
    (7, Fraction(2, 1))
    """
    if field.advance == 0:
        return field
    repeats = field.period // gcd(field.period, reach.advance)
    spans = []
    for output in range(reach.period * repeats):
        periods, phase = divmod(output, reach.period)
        taps = reach.taps[phase]
        if field.period == 1:
            taps = taps[:1] + taps[-1:]
        spans.append(_hull(field.span(periods * reach.advance + tap) for tap in taps))
    return _shortest_period(Field(field.advance * (reach.advance * repeats // field.period), tuple(spans)))


def see_everything(fields: Sequence[Field], outputs: int, size: int) -> Field:
    """The field of what sees all `outputs` of layers with `fields`, within an input of `size` positions."""
    ends = [field.span(output) for field in fields for output in _extremes(field, outputs)]
    first, last = _hull(ends) or (0, -1)
    return Field(0, ((max(0, first), min(size - 1, last)),))


def join_fields(fields: Sequence[Field]) -> tuple[Field, ...]:
    """The field of branches that are joined: one where their jumps and centres agree, else one for each alignment.

    >>> narrow, wide = (see_through(IDENTITY_FIELD, window_reach(Window(k, padding=(k // 2,) * 2))) for k in (3, 5))
    >>> join_fields([narrow, wide])
    (Field(advance=1, spans=((-2, 2),)),)
    >>> len(join_fields([narrow, see_through(IDENTITY_FIELD, window_reach(Window(2)))]))
    2
    """
    joined: list[Field] = []
    for field in dict.fromkeys(fields):
        for index, other in enumerate(joined):
            if (other.jump, other.first_centre) == (field.jump, field.first_centre):
                joined[index] = _wider(other, field)
                break
        else:
            joined.append(field)
    return tuple(joined)


def _wider(one: Field, other: Field) -> Field:
    period = lcm(one.period, other.period)
    spans = tuple(_hull([one.span(output), other.span(output)]) for output in range(period))
    return _shortest_period(Field(one.advance * (period // one.period), spans))


def _shortest_period(field: Field) -> Field:
    """The same field with as few spans as describe it."""
    for period in range(1, field.period):
        if field.period % period or field.advance * period % field.period:
            continue
        shorter = Field(field.advance * period // field.period, field.spans[:period])
        if all(shorter.span(output) == span for output, span in enumerate(field.spans)):
            return shorter
    return field


def _extremes(field: Field, outputs: int) -> Iterable[int]:
    """Outputs among which are those that see the first and the last input."""
    return {*range(min(field.period, outputs)), *range(max(0, outputs - field.period), outputs)}


def _hull(spans: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    there = [span for span in spans if span is not None]
    return (min(first for first, _ in there), max(last for _, last in there)) if there else None


def format_sizes(sizes: Sequence[int]) -> str:
    """Sizes as people write them.

    >>> format_sizes((8, 7, 7))
    '8x7x7'
    """
    return "x".join(str(size) for size in sizes)


def _alternatives(values: Sequence[object]) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]

"""What each output of a layer sees of its input along one axis, and so of the network's input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from math import gcd, lcm
from typing import TypeAlias

from foveate.geometry.windows import Unseen, Window, adaptive_bins


class Extent(Enum):
    """What a layer says of an axis instead of a `Reach`."""

    EVERYTHING = "everything"
    """Each output depends on all positions."""

    UNKNOWN = "unknown"
    """The layer does not say which positions its outputs depend on."""


@dataclass(frozen=True)
class Reach:
    """Which inputs each output of a layer sees along one axis, as if both axes were infinite.

    Outputs repeat with a period: output m * period + f sees the inputs m * `advance` + t for each t of `taps[f]`, and
    the period is the number of `taps`. A window has period 1 and advances by its stride. Long rows of taps are ranges,
    which take no memory.

    Past the borders nothing is seen, unless `border` says which positions are copied there: "reflect", "replicate" or
    "circular". `window` is what slides: over the input or, if transposed, over the output.
    """

    advance: int
    taps: tuple[Sequence[int], ...]
    border: str = "zeros"
    window: Window | None = field(default=None, repr=False)

    @property
    def period(self) -> int:
        """Outputs after which the pattern repeats."""
        return len(self.taps)

    def unstrided(self) -> "Reach":
        """The same reach with a window that moves by 1, and without upsampling.

        >>> transposed_reach(Window(3, stride=2, padding=(1, 1))).unstrided().taps
        ((-1, 0, 1),)
        """
        if self.period == 1:
            return replace(self, advance=1)
        if self.window is None:
            return shift_reach(0)
        return transposed_reach(replace(self.window, stride=1))


AxisReach: TypeAlias = Reach | Extent
"""Everything that a layer can say of one axis of an input."""


def window_reach(window: Window, border: str = "zeros") -> Reach:
    """The reach of a window: output o sees the inputs o S + k D - P_begin.

    >>> [list(taps) for taps in window_reach(Window(3, stride=2, padding=(1, 1))).taps]
    [[-1, 0, 1]]
    """
    begin = -window.padding[0]
    taps = range(begin, begin + window.kernel_size * window.dilation, window.dilation)
    return Reach(window.stride, (taps,), border, window)


def transposed_reach(window: Window) -> Reach:
    """The reach of a transposed convolution: output o sees the inputs (o + P_begin - k D) / S that are whole.

    >>> transposed_reach(Window(3, stride=2, padding=(1, 1))).taps
    ((0,), (0, 1))
    """
    taps: list[list[int]] = [[] for _ in range(window.stride)]
    for k in reversed(range(window.kernel_size)):  # each tap is in one output of a period, so few where there are many
        before, output = divmod(k * window.dilation - window.padding[0], window.stride)
        taps[output].append(-before)
    return Reach(1, tuple(map(tuple, taps)), window=window)


def nearest_reach(size: int, outputs: int) -> Reach:
    """The reach of nearest-neighbour resizing: output o sees the input floor(o W / W').

    >>> nearest_reach(4, 8).taps
    ((0,), (0,))
    """
    advance, period = Fraction(size, outputs).as_integer_ratio()
    return Reach(advance, tuple((output * advance // period,) for output in range(period)))


def linear_reach(size: int, outputs: int) -> Reach:
    """The reach of linear resizing: output o sees the inputs less than 1 away from (o + 1/2) W / W' - 1/2.

    >>> linear_reach(4, 8).taps
    ((-1, 0), (0, 1))
    """
    advance, period = Fraction(size, outputs).as_integer_ratio()
    taps = []
    for output in range(period):
        place, between = divmod((2 * output + 1) * advance - period, 2 * period)
        taps.append((place, place + 1) if between else (place,))
    return Reach(advance, tuple(taps))


def aligned_reach(size: int, outputs: int) -> Reach:
    """Output o of linear resizing with corners aligned sees the inputs less than 1 away from o (W - 1) / (W' - 1).

    >>> aligned_reach(3, 5).taps
    ((0,), (0, 1))
    """
    if min(size, outputs) == 1:  # every output is the first position
        return Reach(1, ((0,),) * outputs)
    advance, period = Fraction(size - 1, outputs - 1).as_integer_ratio()
    places = (divmod(output * advance, period) for output in range(period))
    return Reach(advance, tuple((place, place + 1) if between else (place,) for place, between in places))


def adaptive_reach(size: int, outputs: int) -> Reach:
    """The reach of adaptive pooling: output o sees the inputs from floor(o W / W') to ceil((o + 1) W / W') - 1.

    >>> [list(taps) for taps in adaptive_reach(5, 2).taps]
    [[0, 1, 2], [2, 3, 4]]
    """
    ratio = Fraction(size, outputs)
    bins = adaptive_bins(ratio.numerator, ratio.denominator)
    return Reach(ratio.numerator, tuple(range(*ends) for ends in bins))


def shift_reach(begin: int) -> Reach:
    """The reach after adding `begin` positions at the start: output o sees the input o - begin; 0 is the identity."""
    return Reach(1, ((-begin,),))


def positions_seen(outputs: int, reach: Reach, size: int) -> int:
    """The inputs, out of `size` positions, that a set of outputs sees; sets are ints, bit p standing for position p.

    >>> bin(positions_seen(0b10, window_reach(Window(3, stride=2, padding=(1, 1), dilation=2)), 5))
    '0b1010'
    """
    digits = f"{outputs:b}"[::-1]
    before = max(0, -min((tap for taps in reach.taps for tap in taps), default=0))
    seen = 0
    for phase, taps in enumerate(reach.taps):
        chosen = digits[phase :: reach.period][::-1]
        spread = int(("0" * (reach.advance - 1)).join(chosen), 2) if chosen else 0
        for tap in taps:
            seen |= spread << (before + tap)
    return fold_padding(seen, size, (before, max(0, seen.bit_length() - before - size)), reach.border)


def unseen_through(size: int, reach: Reach, outputs: int) -> Unseen:
    """What `outputs` positions leave out of `size` inputs, by listing what they see.

    >>> unseen_through(9, window_reach(Window(1, stride=3, padding=(1, 0)), "reflect"), 4)
    Unseen(begin=1, end=0, skipped=4)
    """
    seen = positions_seen((1 << outputs) - 1, reach, size)
    if not seen:
        return Unseen(end=size)
    begin, end = (seen & -seen).bit_length() - 1, size - seen.bit_length()
    return Unseen(begin, end, size - begin - end - seen.bit_count())


def fold_padding(seen: int, size: int, padding: tuple[int, int], mode: str) -> int:
    """The real positions behind a set of padded ones: padding that mirrors, repeats or wraps around copies some.

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
    `spans[f]`, or nothing if that is None. Without upsampling the period is 1. Borders are disregarded: positions
    below 0 or past the end are padding. `advance` 0 means that all outputs see the same. If `known` is False, the
    span is only an upper bound: a layer on the way does not say what it reaches.
    """

    advance: int
    spans: tuple[tuple[int, int] | None, ...]
    known: bool = field(default=True, repr=False)

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
        """Distance in inputs between what neighbouring outputs see."""
        return Fraction(self.advance, self.period)

    @property
    def first_centre(self) -> Fraction:
        """Centre of what output 0 sees; the mean over a period if outputs differ.

        >>> see_through(IDENTITY_FIELD, window_reach(Window(4, stride=2, padding=(1, 1)))).first_centre
        Fraction(1, 2)
        """
        there = [(phase, *span) for phase, span in enumerate(self.spans) if span is not None]
        ends = sum(first + last for _, first, last in there)
        return (Fraction(ends, 2) - sum(phase for phase, *_ in there) * self.jump) / max(1, len(there))

    def span(self, output: int) -> tuple[int, int] | None:
        """(first, last) input that `output` sees, padding included."""
        periods, phase = divmod(output, self.period)
        span = self.spans[phase]
        return None if span is None else (span[0] + periods * self.advance, span[1] + periods * self.advance)


IDENTITY_FIELD = Field(1, ((0, 0),))
"""The field of an input, which sees itself."""


def unknown_field(size: int) -> Field:
    """The field behind a layer that does not say what it reaches of an input of `size` positions."""
    return Field(0, ((0, size - 1),), known=False)


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
            taps = (*taps[:1], *taps[-1:])
        spans.append(_hull(field.span(periods * reach.advance + tap) for tap in taps))
    return _shortest_period(Field(field.advance * (reach.advance * repeats // field.period), tuple(spans)))


def see_everything(fields: Sequence[Field], outputs: int, size: int) -> Field:
    """The field of a layer that sees all `outputs` of layers with `fields`, within an input of `size` positions."""
    if not all(field.known for field in fields):
        return unknown_field(size)
    ends = [field.span(output) for field in fields for output in _extremes(field.period, outputs)]
    first, last = _hull(ends) or (0, -1)
    return Field(0, ((max(0, first), min(size - 1, last)),))


def join_fields(fields: Sequence[Field], outputs: int, size: int) -> tuple[Field, ...]:
    """The union of branches of `outputs` positions: one field, or one for each jump if their jumps differ.

    If one of them sees everything, or an unknown part of the `size` inputs, so does the union.

    >>> left, right = (see_through(IDENTITY_FIELD, window_reach(Window(5, padding=p))) for p in ((4, 0), (0, 4)))
    >>> join_fields([left, right], 20, 20)
    (Field(advance=1, spans=((-4, 4),)),)
    """
    if any(field.advance == 0 for field in fields):
        return (see_everything(fields, outputs, size),)
    joined: dict[Fraction, Field] = {}
    for branch in dict.fromkeys(fields):
        joined[branch.jump] = _wider(joined[branch.jump], branch) if branch.jump in joined else branch
    return tuple(joined.values())


def size_of_union(fields: Sequence[Field], outputs: int) -> int:
    """The most inputs that one of `outputs` positions spans through all of `fields` together."""
    # Within a phase the union's ends are straight lines or bend outwards, so it is longest at the first or last.
    period = lcm(*(field.period for field in fields))
    hulls = (_hull(field.span(output) for field in fields) for output in _extremes(period, outputs))
    return max((last - first + 1 for first, last in filter(None, hulls)), default=0)


def _wider(one: Field, other: Field) -> Field:
    period = lcm(one.period, other.period)
    spans = tuple(_hull([one.span(output), other.span(output)]) for output in range(period))
    return _shortest_period(Field(one.advance * (period // one.period), spans))


def _shortest_period(field: Field) -> Field:
    """The same field described with as few spans as possible."""
    for period in range(1, field.period):
        if field.period % period or field.advance * period % field.period:
            continue
        shorter = Field(field.advance * period // field.period, field.spans[:period])
        if all(shorter.span(output) == span for output, span in enumerate(field.spans)):
            return shorter
    return field


def _extremes(period: int, outputs: int) -> Iterable[int]:
    """Outputs that include those that see the first and the last input."""
    return {*range(min(period, outputs)), *range(max(0, outputs - period), outputs)}


def _hull(spans: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    there = [span for span in spans if span is not None]
    return (min(first for first, _ in there), max(last for _, last in there)) if there else None

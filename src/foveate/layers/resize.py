"""Resizing to any size: Resize, and the weights with which each output is made of neighbouring positions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import floor, prod
from typing import Any, ClassVar, TypeAlias, final

from foveate.errors import LayerError, ShapeError
from foveate.geometry import LARGEST_SIZE, AxisReach, Reach, aligned_reach, format_sizes, linear_reach, nearest_reach
from foveate.layers.base import SPATIAL_LETTERS, Cost, Layer, Shape
from foveate.layers.options import Ints, one_of, per_axis, positive_int

MODES = ("nearest", "nearest-exact", "linear", "cubic")

Taps: TypeAlias = tuple[tuple[int, tuple[float, ...]], ...]
"""For each output of an axis its first position with a weight, and the weights from there on."""

CUBIC, CUBIC_ANTIALIASED = -0.75, -0.5
"""The number that makes a cubic function one of a family: PyTorch's two."""


@final
@dataclass(frozen=True)
class Resize(Layer):
    """Any number of positions on each spatial axis, by copies or by weighted means of neighbours.

        "nearest":       y[i] = x[floor(i W / W')]
        "nearest-exact": y[i] = x[floor((i + 1/2) W / W')]
        "linear":        y[i] between the two neighbours of (i + 1/2) W / W' - 1/2
        "cubic":         y[i] by the four neighbours, with PyTorch's coefficient -0.75

    Input (C, ...) with 1 to 3 spatial axes, one after the other; "linear" and "cubic" over two are PyTorch's bilinear
    and bicubic. Unlike Upsample it takes any factor: then the place of y[i] is (i + 1/2) / factor - 1/2, and i / factor
    of the nearest.

    Args:
        size: W', an int or one for each spatial axis.
        scale: a factor, or one for each spatial axis, used instead of `size`: W' = floor(W factor).
        mode: "nearest", "nearest-exact", "linear" or "cubic".
        align_corners: for "linear" and "cubic": y[i] lies at i (W - 1) / (W' - 1), so that the corners stay.
        antialias: for "linear" and "cubic" to a smaller size: the mean is over as many neighbours as lie between two
            outputs, as Pillow resizes images.

    Raises:
        LayerError: neither or both of size and scale are given, one is not positive, or the mode is unknown or has no
            such option.

    >>> Resize(scale=1.5, mode="cubic").output_shape([(8, 7, 7)])
    (8, 10, 10)
    """

    label: ClassVar[str] = "resize"
    keeps_signal: ClassVar[bool] = True

    size: Ints | None = None
    scale: float | Sequence[float] | None = None
    mode: str = "linear"
    align_corners: bool = False
    antialias: bool = False

    def __post_init__(self) -> None:
        if (self.scale is None) == (self.size is None):
            given = "neither is" if self.scale is None else "both are"
            raise self.refuse(f"give either size or scale; {given} given. Resize(scale=0.5) halves every spatial axis")
        if isinstance(self.size, Sequence) and not isinstance(self.size, str):
            object.__setattr__(self, "size", per_axis(self.size, len(self.size), "size", "Resize"))
        elif self.size is not None:
            positive_int(self.size, "size", "Resize")
        object.__setattr__(self, "scale", _factors(self.scale))
        one_of(self.mode, MODES, "mode", "Resize")
        if (self.align_corners or self.antialias) and "nearest" in self.mode:
            raise self.refuse(f'"{self.mode}" copies, so there are no corners to align and nothing to smooth')
        if self.align_corners and self.antialias:
            raise self.refuse("corners are aligned, and neighbours averaged, by either option, not by both")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(C, *sizes), each floor(size * scale), or `size`."""
        self.check_inputs(input_shapes)
        channels, *spatial = input_shapes[0]
        if len(spatial) not in SPATIAL_LETTERS:
            raise ShapeError(
                f"needs an input with 1 to 3 spatial axes after its channels, but gets {format_sizes(input_shapes[0])}"
            )
        wanted = _of_each(self.size if self.scale is None else self.scale, len(spatial), input_shapes[0])
        sizes = wanted if self.scale is None else [floor(n * factor) for n, factor in zip(spatial, wanted, strict=True)]
        if not all(1 <= size <= LARGEST_SIZE for size in sizes):
            made, way_out = format_sizes(tuple(map(int, sizes))), "larger" if min(sizes) < 1 else "smaller"
            raise ShapeError(f"makes {made} of its {format_sizes(input_shapes[0])} input; give a {way_out} scale")
        return channels, *map(int, sizes)

    def taps(self, shape: Shape) -> tuple[Taps, ...]:
        """The weights along each spatial axis of an input of `shape`."""
        outputs = self.output_shape([shape])[1:]
        factors = (None,) * len(outputs) if self.scale is None else _of_each(self.scale, len(outputs), shape)
        return tuple(
            axis_taps(size, count, factor, self.mode, self.align_corners, self.antialias)
            for size, count, factor in zip(shape[1:], outputs, factors, strict=True)
        )

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The positions with a weight."""
        outputs = self.output_shape(input_shapes)[1:]
        sizes, taps = input_shapes[0][1:], self.taps(input_shapes[0])
        return (tuple(_reach(self, *axis) for axis in zip(sizes, outputs, taps, strict=True)),)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Nothing for copies, else a multiplication and an addition for each weight along each axis in turn."""
        shape = list(input_shapes[0])
        flops = 0
        for axis, taps in enumerate(self.taps(input_shapes[0]), start=1):
            shape[axis] = sum(len(weights) for _, weights in taps)
            flops += 2 * prod(shape)
            shape[axis] = len(taps)
        return Cost(flops=0 if "nearest" in self.mode else flops)

    def describe(self) -> str:
        """For example 'Resize to 7x7, linear' or 'Resize x1.5, cubic'."""
        words = _words(self.size if self.scale is None else self.scale)
        options = f"{', corners aligned' * self.align_corners}{', antialiased' * self.antialias}"
        return f"Resize {'to ' if self.scale is None else 'x'}{words}, {self.mode}{options}"


def _words(wanted: Any) -> str:
    return "x".join(f"{number:g}" for number in (wanted if isinstance(wanted, Sequence) else (wanted,)))


def _factors(scale: Any) -> Any:
    """A factor or several, checked; None stays None."""
    factors = (scale,) if isinstance(scale, int | float) else scale
    if scale is None:
        return None
    if not isinstance(factors, Sequence) or any(isinstance(f, bool | str) or not 0 < f < 1e6 for f in factors):
        raise LayerError(f"Resize: scale is {scale!r}; give a positive factor, or one for each spatial axis")
    return scale if isinstance(scale, int | float) else tuple(scale)


def _of_each(wanted: Any, axes: int, shape: Shape) -> tuple[float, ...]:
    """The size or the factor of each spatial axis."""
    values = tuple(wanted) if isinstance(wanted, Sequence) else (wanted,) * axes
    if len(values) != axes:
        there = "1 spatial axis" if axes == 1 else f"{axes} spatial axes"
        raise ShapeError(
            f"has {len(values)} numbers, {values}, for the {there} of its input {format_sizes(shape)}; give one"
            + (f", or {axes}" if axes > 1 else "")
        )
    return values


def _reach(layer: Resize, size: int, outputs: int, taps: Taps) -> AxisReach:
    if layer.scale is None and layer.mode == "nearest":
        return nearest_reach(size, outputs)
    if layer.scale is None and layer.mode in ("linear", "cubic") and not layer.antialias:
        between = (aligned_reach if layer.align_corners else linear_reach)(size, outputs)
        around = tuple(range(p[0] - 1, p[-1] + 2) if len(p) > 1 else p for p in between.taps)
        return between if layer.mode == "linear" else replace(between, taps=around)
    return Reach(size, tuple(range(first, first + len(weights)) for first, weights in taps))


@lru_cache(maxsize=256)
def axis_taps(size: int, outputs: int, factor: float | None, mode: str, align_corners: bool, antialias: bool) -> Taps:
    """For each of `outputs` positions the weights of `size` others; without a factor it is outputs / size.

    >>> axis_taps(2, 3, None, "linear", True, False)
    ((0, (1.0,)), (0, (0.5, 0.5)), (1, (1.0,)))
    """
    step = size / outputs if factor is None else 1 / factor
    if mode in ("nearest", "nearest-exact"):
        return tuple((_copied(i, size, outputs, factor, half=mode == "nearest-exact"), (1.0,)) for i in range(outputs))
    if antialias:
        return tuple(_smoothed(i, size, step, mode) for i in range(outputs))
    if align_corners:
        places = [i * (size - 1) / max(1, outputs - 1) for i in range(outputs)]
    else:
        places = [(i + 0.5) * step - 0.5 for i in range(outputs)]
    return tuple(_linear(max(0.0, p), size) if mode == "linear" else _cubic(p, size) for p in places)


def _copied(output: int, size: int, outputs: int, factor: float | None, *, half: bool) -> int:
    """The position that is copied; without a factor in whole numbers, which are exact."""
    if factor is None:
        place = (2 * output + 1) * size // (2 * outputs) if half else output * size // outputs
    else:
        place = floor((output + 0.5 * half) / factor)
    return min(place, size - 1)


def _linear(place: float, size: int) -> tuple[int, tuple[float, ...]]:
    lower = min(floor(place), size - 1)
    return _trimmed(lower, [1 - (place - lower), place - lower], size)


def _cubic(place: float, size: int) -> tuple[int, tuple[float, ...]]:
    lower = floor(place)
    away = place - lower
    return _trimmed(lower - 1, [_curve(abs(away - k), CUBIC) for k in (-1, 0, 1, 2)], size)


def _smoothed(output: int, size: int, step: float, mode: str) -> tuple[int, tuple[float, ...]]:
    """Weights that fall from the centre on, over as many positions as lie between two outputs; their sum is 1."""
    wide = max(1.0, step)
    centre, support = step * (output + 0.5), wide * (1 if mode == "linear" else 2)
    first, last = max(0, int(centre - support + 0.5)), min(size, int(centre + support + 0.5))
    away = [abs(position - centre + 0.5) / wide for position in range(first, last)]
    weights = [max(0.0, 1 - a) if mode == "linear" else _curve(a, CUBIC_ANTIALIASED) for a in away]
    total = sum(weights)
    return _trimmed(first, [weight / total for weight in weights], size)


def _curve(x: float, a: float) -> float:
    """The cubic function of the distance from an output to a position."""
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def _trimmed(first: int, weights: Sequence[float], size: int) -> tuple[int, tuple[float, ...]]:
    """The weights of positions that are there, those beyond the ends given to the ends; no zeros around."""
    total: dict[int, float] = {}
    for position, weight in enumerate(weights, start=first):
        inside = min(max(position, 0), size - 1)
        total[inside] = total.get(inside, 0.0) + weight
    with_weight = [position for position, weight in total.items() if weight] or [min(max(first, 0), size - 1)]
    begin, end = min(with_weight), max(with_weight) + 1
    return begin, tuple(total.get(position, 0.0) for position in range(begin, end))

"""ONNX's Resize as weights along each axis: which positions every output is made of, in all of its modes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.interop.walk import NotTakenError

Weights = NDArray[np.float64]
"""(outputs, inputs): each row holds the weights of one output."""


TIE = 1e-6
"""How far from halfway onnxruntime still rounds as at halfway."""


@dataclass(frozen=True)
class Sampling:
    """How an axis is resized: the options of the operator, and for "tf_crop_and_resize" the part that is taken."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    excludes_outside: bool = False
    antialias: bool = False
    part: tuple[float, float] = (0.0, 1.0)

    def place(self, output: int, size: int, outputs: int, scale: float) -> float:
        """Where an output lies among the inputs. What is copied hangs on the last digit: float32, as runtimes do."""
        number: Any = np.float32 if self.mode == "nearest" or self.coordinates == "tf_crop_and_resize" else np.float64
        at, factor, whole, last = number(output), number(scale), number(size), number(size - 1)
        begin, end = map(number, self.part)
        half = number(0.5)
        steps = number(max(outputs - 1, 1))
        places: dict[str, Callable[[], Any]] = {
            "half_pixel": lambda: (at + half) / factor - half,
            "pytorch_half_pixel": lambda: (at + half) / factor - half if outputs > 1 else 0.0,
            "asymmetric": lambda: at / factor,
            "align_corners": lambda: at * last / steps,
            "half_pixel_symmetric": lambda: number(  # the last sum in double precision
                float(whole * half * (1 - number(outputs) / (factor * whole))) + (output + 0.5) / float(factor) - 0.5
            ),
            "tf_crop_and_resize": lambda: (
                begin * last + at * (end - begin) * last / steps if outputs > 1 else half * (begin + end) * last
            ),
        }
        if self.coordinates not in places:
            raise NotTakenError(f'its coordinates are "{self.coordinates}"')
        return float(places[self.coordinates]())

    def weights(self, size: int, outputs: int, scale: float) -> tuple[Weights, NDArray[np.bool_]]:
        """The weights of an axis, and which outputs lie outside and get another number altogether."""
        table = np.zeros((outputs, size))
        outside = np.zeros(outputs, np.bool_)
        for output in range(outputs):
            place = self.place(output, size, outputs, scale)
            if self.coordinates == "tf_crop_and_resize" and not 0 <= place <= size - 1:
                outside[output] = True
                continue
            for position, weight in self._taps(place, min(scale, 1.0) if self.antialias else 1.0, size):
                table[output, position] += weight
        return table, outside

    def _taps(self, place: float, scale: float, size: int) -> list[tuple[int, float]]:
        if self.mode == "nearest":
            return [(min(max(_ROUNDINGS[self._rounding()](place), 0), size - 1), 1.0)]
        reach = 1 if self.mode == "linear" else 2
        curve = _triangle if self.mode == "linear" else self._curve
        first = floor(place) + floor(-reach / scale) + 1
        last = floor(place) + ceil(reach / scale)
        taps = [(position, curve(abs(place - position) * scale)) for position in range(first, last + 1)]
        if self.excludes_outside:
            taps = [(position, weight) for position, weight in taps if 0 <= position < size]
        total = sum(weight for _, weight in taps) if self.excludes_outside or self.antialias else 1.0
        return [(min(max(position, 0), size - 1), weight / total) for position, weight in taps]

    def _rounding(self) -> str:
        if self.rounding not in _ROUNDINGS:
            raise NotTakenError(f'it rounds by "{self.rounding}"')
        return self.rounding

    def _curve(self, x: float) -> float:
        """The cubic function of the distance."""
        a = self.cubic
        if x <= 1:
            return ((a + 2) * x - (a + 3)) * x * x + 1
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1 - x)


_ROUNDINGS: dict[str, Callable[[float], int]] = {
    "round_prefer_floor": lambda place: ceil(place - 0.5 - TIE),
    "round_prefer_ceil": lambda place: floor(place + 0.5 + TIE),
    "floor": floor,
    "ceil": ceil,
}


def sizes_of(
    full: Sequence[int], axes: Sequence[int], scales: Sequence[float], sizes: Sequence[int], policy: str
) -> tuple[list[int], list[float]]:
    """The size and scale of each axis of the result. Runtimes multiply in float32, in which 10 times 0.7 is 7."""
    made, factors = list(full), [1.0] * len(full)
    if scales:
        for axis, scale in zip(axes, scales, strict=True):
            with np.errstate(over="ignore"):
                made[axis] = floor(np.float32(full[axis]) * np.float32(scale))
            factors[axis] = float(scale)
        return made, factors
    ratios = [size / full[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy != "stretch":
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        sizes = [floor(ratio * full[axis] + 0.5) for axis in axes]
        ratios = [ratio] * len(axes)
    for axis, size, ratio in zip(axes, sizes, ratios, strict=True):
        made[axis], factors[axis] = int(size), ratio
    return made, factors

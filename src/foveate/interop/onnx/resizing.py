"""ONNX's Resize as weights along each axis: which positions every output is made of, in all of its modes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from foveate.interop.walk import NotTakenError

Weights = NDArray[np.float64]
"""(outputs, inputs): each row holds the weights of one output."""


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
        """Where an output lies among the inputs."""
        centred = (output + 0.5) / scale - 0.5
        begin, end = self.part
        places: dict[str, Callable[[], float]] = {
            "half_pixel": lambda: centred,
            "pytorch_half_pixel": lambda: centred if outputs > 1 else 0.0,
            "asymmetric": lambda: output / scale,
            "align_corners": lambda: output * (size - 1) / (outputs - 1) if outputs > 1 else 0.0,
            "half_pixel_symmetric": lambda: size / 2 * (1 - outputs / (scale * size)) + centred,
            "tf_crop_and_resize": lambda: (size - 1) * (
                begin + output * (end - begin) / (outputs - 1) if outputs > 1 else 0.5 * (begin + end)
            ),
        }  # fmt: skip
        if self.coordinates not in places:
            raise NotTakenError(f'its coordinates are "{self.coordinates}"')
        return places[self.coordinates]()

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
    "round_prefer_floor": lambda place: ceil(place - 0.5),
    "round_prefer_ceil": lambda place: floor(place + 0.5),
    "floor": floor,
    "ceil": ceil,
}


def sizes_of(
    full: Sequence[int], axes: Sequence[int], scales: Sequence[float], sizes: Sequence[int], policy: str
) -> tuple[list[int], list[float]]:
    """The size and scale of each axis of the result."""
    made, factors = list(full), [1.0] * len(full)
    if scales:
        for axis, scale in zip(axes, scales, strict=True):
            made[axis], factors[axis] = floor(full[axis] * scale), float(scale)
        return made, factors
    ratios = [size / full[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy != "stretch":
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        sizes = [floor(ratio * full[axis] + 0.5) for axis in axes]
        ratios = [ratio] * len(axes)
    for axis, size, ratio in zip(axes, sizes, ratios, strict=True):
        made[axis], factors[axis] = int(size), ratio
    return made, factors

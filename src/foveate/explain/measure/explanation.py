"""What a method says of one image, as an array with a note."""

from dataclasses import dataclass

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result


@dataclass(frozen=True)
class Explanation(Result):
    """A method's `map` (C, *spatial) or (*spatial of a layer) for one image, what is `noted` below it, or why not.

    `only_for` is whether the method means only what speaks for the class, as Grad-CAM does; the map keeps its sign.
    `whole` is what a value that explains all of the score would be; without it a map has only a scale of its own.
    """

    map: FloatArray | None
    noted: str = ""
    only_for: bool = False
    whole: float = 0.0

    def meant(self, values: FloatArray) -> FloatArray:
        """What the method means of its map: all of it, or only what is positive."""
        return np.maximum(values, 0) if self.only_for else values


NEARLY_NOTHING = 0.1
"""A map with fewer positive places than this share, or less than this share of its weight above zero, is told of."""


def emptiness(signed: FloatArray, *, silent: bool) -> str:
    """A sentence where a signed Grad-CAM has nothing, or next to nothing, that speaks for the class; else nothing.

    Args:
        signed: the map before its ReLU.
        silent: whether all activations of the layer are 0.

    >>> emptiness(np.array([[0.0, -1.0], [-2.0, 0.0]]), silent=False)
    'empty: the layer speaks only against the class'
    """
    if not signed.any():
        return (
            "empty: the layer is silent, all its activations are 0"
            if silent
            else ("empty: the gradient of the class is 0 in this layer")
        )
    positive = np.maximum(signed, 0)
    places = int((positive > 0.05 * np.abs(signed).max()).sum())
    if not positive.any():
        return "empty: the layer speaks only against the class"
    if positive.sum() < NEARLY_NOTHING * np.abs(signed).sum():
        return f"nearly empty: {100 * positive.sum() / np.abs(signed).sum():.0f} % of the map speak for the class"
    if places < NEARLY_NOTHING * signed.size:
        return f"nearly empty: {places} of {signed.size} places speak for the class"
    return ""


def magnitude(attribution: FloatArray) -> FloatArray:
    """The largest magnitude over the channels of (C, *spatial)."""
    size: FloatArray = np.abs(attribution).max(axis=0)
    return size


def with_channels(attribution: FloatArray, shown: FloatArray) -> FloatArray:
    """(C, *spatial) of an attribution of one image `shown`, with one channel where it has none."""
    return attribution if attribution.ndim == shown.ndim else attribution[None]

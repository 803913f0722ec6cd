"""What a method says about one image, as an array with a note."""

from dataclasses import dataclass

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result


@dataclass(frozen=True)
class Explanation(Result):
    """A method's `map` (C, *spatial) or (*spatial of a layer) for one image, and what is `noted` below it, or why there
    is no map.

    `only_for` is whether the method counts only evidence for the class, as Grad-CAM does; the map keeps its sign.
    `whole` is the value that would explain the whole score; without it a map has only its own scale.
    """

    map: FloatArray | None
    noted: str = ""
    only_for: bool = False
    whole: float = 0.0

    def meant(self, values: FloatArray) -> FloatArray:
        """The part of its map that the method counts: all of it, or only positive values."""
        return np.maximum(values, 0) if self.only_for else values


NEARLY_NOTHING = 0.1
"""A map with a smaller fraction of positive places, or of its weight above zero, gets a note."""


def emptiness(signed: FloatArray, *, silent: bool) -> str:
    """A sentence if a signed Grad-CAM has no, or hardly any, evidence for the class; otherwise empty.

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
        return f"nearly empty: {100 * positive.sum() / np.abs(signed).sum():.0f} % of the map speaks for the class"
    if places < NEARLY_NOTHING * signed.size:
        return f"nearly empty: {places} of {signed.size} places speak for the class"
    return ""


def magnitude(attribution: FloatArray) -> FloatArray:
    """The largest magnitude over the channels of (C, *spatial)."""
    size: FloatArray = np.abs(attribution).max(axis=0)
    return size


def with_channels(attribution: FloatArray, shown: FloatArray) -> FloatArray:
    """The attribution of one image `shown` as (C, *spatial), with one channel if it has none."""
    return attribution if attribution.ndim == shown.ndim else attribution[None]

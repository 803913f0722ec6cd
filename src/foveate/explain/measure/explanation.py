"""What a method says of one image, as an array with a note."""

from dataclasses import dataclass

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result


@dataclass(frozen=True)
class Explanation(Result):
    """A method's `map` (C, *spatial) or (*spatial of a layer) for one image, what is `noted` below it, or why not."""

    map: FloatArray | None
    noted: str = ""


def magnitude(attribution: FloatArray) -> FloatArray:
    """The largest magnitude over the channels of (C, *spatial)."""
    size: FloatArray = np.abs(attribution).max(axis=0)
    return size


def with_channels(attribution: FloatArray, shown: FloatArray) -> FloatArray:
    """(C, *spatial) of an attribution of one image `shown`, with one channel where it has none."""
    return attribution if attribution.ndim == shown.ndim else attribution[None]

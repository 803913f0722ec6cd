"""Receptive fields as boxes and numbers: theoretical ones, and the effective one within them."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.measure.result import Result
from foveate.graph import Region

Position: TypeAlias = tuple[int, ...]
"""One number for each spatial axis."""

PART = 0.95
"""The fraction of the energy that defines the size of an effective field."""


@dataclass(frozen=True)
class TheoreticalField(Result):
    """The box of the input that one element of a layer can depend on.

    `position` is the element's in the layer; `region.unclipped` extends into the padding, `region.clipped` holds the
    real positions.
    """

    layer: str
    position: Position
    region: Region

    @property
    def size(self) -> tuple[int, ...]:
        """The size of the whole box, padding included."""
        return tuple(len(axis) for axis in self.region.unclipped)

    @property
    def clipped_size(self) -> tuple[int, ...]:
        """The size of its part within the input."""
        return tuple(len(axis) for axis in self.region.clipped)


@dataclass(frozen=True)
class EffectiveField(Result):
    """How much one element of a layer depends on each input position; `energy` (*spatial) adds up to 1."""

    field: TheoreticalField
    energy: FloatArray

    def share(self, part: float = PART) -> float:
        """The fraction of the theoretical box that holds `part` of the energy: the fewest positions, largest first."""
        inside = self.energy[self.field.region.slices].ravel()
        held = np.cumsum(np.sort(inside)[::-1])
        needed = int(np.searchsorted(held, part * held[-1] * (1 - 1e-12))) + 1
        return needed / inside.size

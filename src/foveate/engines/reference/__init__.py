"""The reference engine. Importing it fills the table of definitions."""

from foveate.engines.reference import (
    activations,
    arithmetic,
    combining,
    convolution,
    losses,
    matrices,
    movement,
    normalization,
    pooling,
    reduction,
    resampling,
    sample_normalization,
    structure,
)
from foveate.engines.reference.engine import ReferenceEngine

__all__ = [
    "ReferenceEngine",
    "activations",
    "arithmetic",
    "combining",
    "convolution",
    "losses",
    "matrices",
    "movement",
    "normalization",
    "pooling",
    "reduction",
    "resampling",
    "sample_normalization",
    "structure",
]

"""The reference engine. Importing it fills the table of definitions."""

from foveate.engines.reference import (
    activations,
    convolution,
    losses,
    normalization,
    pooling,
    resampling,
    sample_normalization,
    structure,
)
from foveate.engines.reference.engine import ReferenceEngine

__all__ = [
    "ReferenceEngine",
    "activations",
    "convolution",
    "losses",
    "normalization",
    "pooling",
    "resampling",
    "sample_normalization",
    "structure",
]

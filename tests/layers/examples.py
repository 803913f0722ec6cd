"""Layers of every type with many options: those whose arithmetic is compared with PyTorch, and a few beside.

A new layer needs no line here. What is added are options that no arithmetic shows, such as how weights start.
"""

import foveate as fv
from foveate.layers import Layer
from tests.engines.cases import ALL_CASES

EXAMPLES: list[Layer] = list(
    dict.fromkeys(
        [
            *(case.layer for case in ALL_CASES.values()),
            fv.Conv2d(4, 3, initializer="he", frozen=True),
            fv.ConvTranspose3d(4, 3, initializer="xavier", frozen=True),
            fv.Linear(7, initializer="zeros", frozen=True),
            fv.BatchNorm2d(momentum=0.2, affine=False, frozen=True),
        ]
    )
)
EXAMPLE_OF = {type(layer): layer for layer in EXAMPLES}
"""One for each type."""

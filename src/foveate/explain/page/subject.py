"""What a page is about, in the form its chapters need."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveate.data import Dataset, Splits
from foveate.data.preprocessing import ImageLike
from foveate.errors import DataError
from foveate.explain.measure.words import element_noun, input_noun
from foveate.explain.page.drawing import Drawing, write_drawing
from foveate.explain.page.html import Picture
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MACS = 2e12
"""The most multiply-accumulates for a figure made by many passes; larger networks get fewer passes."""


@dataclass(frozen=True)
class Subject:
    """What a page is about: a model, one image, a class to ask about, and perhaps data.

    `image` is whatever `Model.predict` takes; `target` an index; figures are written into `folder`. `sample_rate` is a
    signal's, in Hz, if it is known.
    """

    model: Model
    image: ImageLike
    target: int
    data: Splits | None
    folder: Path
    sample_rate: float | None = None

    @cached_property
    def noun(self) -> str:
        """What one input is called: an image, a signal, a volume."""
        return input_noun(len(self.model.graph.input_shape) - 1)

    @cached_property
    def elements(self) -> str:
        """What its positions are called: pixels, samples, voxels."""
        return element_noun(len(self.model.graph.input_shape) - 1) + "s"

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass."""
        return sum(node.cost.macs for node in self.model.graph.nodes)

    def draw(self, name: str, plot: "Callable[[], Figure]", alt: str, caption: str = "") -> Picture:
        """A figure in both themes."""
        return write_drawing(Drawing(name, plot, alt, caption), self.folder)

    def needed(self, what: str) -> Splits:
        """The data, or a DataError that says how to give some."""
        if self.data is None:
            raise DataError(
                f"{what} needs more {self.noun}s to look at; give --data with a dataset's name or a folder (in "
                "Python data=Splits(...))"
            )
        return self.data

    def passes(self, most: int, least: int) -> int:
        """How many forward passes a figure may take."""
        return max(least, min(most, int(MOST_MACS / max(self.macs, 1))))


def evenly_chosen(dataset: Dataset, most: int) -> Dataset:
    """At most `most` samples, evenly spread over the dataset."""
    if len(dataset) <= most:
        return dataset
    return dataset.subset(np.linspace(0, len(dataset) - 1, most).round().astype(np.int64))

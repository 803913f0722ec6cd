"""One layer in its place in a network, with its shapes and windows resolved once."""

from dataclasses import dataclass
from functools import cached_property

from foveate.geometry import AxisReach, Unseen, Window
from foveate.layers import Cost, Layer, Shape


@dataclass(frozen=True)
class Node:
    """A layer in its place.

    `name` is a dotted path such as "stage1.0.conv1"; `inputs` name nodes or graph inputs; nodes with the same
    `parameters` key share parameters and statistics.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    parameters: str
    input_shapes: tuple[Shape, ...]
    output_shape: Shape

    @property
    def cost(self) -> Cost:
        """Arithmetic for one sample."""
        return self.layer.cost(self.input_shapes)

    @cached_property
    def windows(self) -> tuple[Window, ...] | None:
        """The sliding window of each spatial axis with its padding resolved, or None if nothing slides."""
        return self.layer.windows(self.input_shapes)

    @cached_property
    def reaches(self) -> tuple[tuple[AxisReach, ...], ...]:
        """What each output position depends on, for every spatial axis of every input."""
        return self.layer.reaches(self.input_shapes)

    @cached_property
    def unseen(self) -> tuple[Unseen, ...]:
        """The real positions of each axis that no window sees; empty if nothing slides."""
        return self.layer.unseen(self.input_shapes)

    @property
    def dropped(self) -> tuple[int, ...]:
        """How many positions at the two ends of each axis no window sees; empty if nothing slides."""
        return tuple(axis.dropped for axis in self.unseen)

    @property
    def skipped(self) -> tuple[int, ...]:
        """How many positions on each axis lie between windows, seen by none; empty if nothing slides."""
        return tuple(axis.skipped for axis in self.unseen)

    def __str__(self) -> str:
        return f"{self.name} ({self.layer.describe()})"

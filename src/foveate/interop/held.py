"""What represents a PyTorch tensor while its graph is converted: a value, and what is still to be done to it.

Operations that only view memory differently (views, padding before a convolution, every second position) wait
for the operation that follows them, which often has an option for them.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

from foveate.graph.builder import Value
from foveate.layers import Shape

Pairs: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Border:
    """Padding of the spatial axes, for the next window to absorb."""

    pairs: Pairs
    mode: str = "zeros"


@dataclass(frozen=True)
class Held:
    """A tensor without its batch axis.

    `shape` is PyTorch's; if the value's differs, a reshape is pending. `border` and `steps` may be pending too;
    `groups` are those of channels that were transposed and will be joined again; `order` says which axis of the value
    each of PyTorch's axes was before they were moved, and possibly flattened.
    """

    value: Value
    shape: Shape
    border: Border | None = None
    steps: tuple[int, ...] | None = None
    groups: int | None = None
    order: tuple[int, ...] | None = None

    @property
    def waits(self) -> bool:
        """Whether something other than a reshape is pending."""
        return self.order is not None or self.waits_for_window

    @property
    def waits_for_window(self) -> bool:
        """Whether something is pending that must come before another elementwise operation."""
        return self.border is not None or self.steps is not None or self.groups is not None

    def then(self, value: Value) -> "Held":
        """What another layer made of the value, number by number."""
        return replace(self, value=value)

    def seen_as(self, shape: Shape) -> "Held":
        """The same values in another shape."""
        return replace(self, shape=shape)


def held(value: Value) -> Held:
    """A value with nothing pending."""
    return Held(value, value.shape)

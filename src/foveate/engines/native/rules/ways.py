"""The ways to compute a product: what each direction must offer."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.request import Request
from foveate.graph import Node


@dataclass(frozen=True, eq=False)
class Multiplied:
    """A product's output, and what it read: the input, with its border if that is made of copies."""

    output: Array
    source: Array


class Way(ABC):  # noqa: B024 (each direction adds its abstract method)
    """One way to compute a direction."""

    def accepts(self, group: Group, request: Request) -> bool:
        """Whether this way can compute it, and should."""
        return True


class ToOutput(Way):
    """Forward."""

    @abstractmethod
    def forward(self, ledger: Ledger, group: Group) -> Multiplied:
        """Add the steps."""


class ToWeights(Way):
    """Back to weights and bias."""

    @abstractmethod
    def backward(self, ledger: Ledger, node: Node, source: Array, gradient: Array) -> None:
        """Add the steps, and write the gradients."""


class ToData(Way):
    """Back to the input."""

    @abstractmethod
    def backward(self, ledger: Ledger, node: Node, gradient: Array) -> Array:
        """Add the steps; returns the input's gradient."""

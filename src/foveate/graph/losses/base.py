"""The base of every loss: a frozen description that says which outputs and targets it compares. No arrays here."""

from collections.abc import Iterable
from dataclasses import fields
from math import inf
from typing import Any, ClassVar, Literal, TypeAlias

from foveate.calls import Called, is_number
from foveate.errors import EngineError, LayerError
from foveate.layers import Layer, LogSoftmax, Shape, Sigmoid, Softmax

TargetKind: TypeAlias = Literal["classes", "distributions", "probabilities", "numbers"]
"""What an output (K, *positions) of one sample is compared with.

    "classes"         the index of a class at each position: (*positions), whole numbers from 0 to K - 1
    "distributions"   soft labels, the fraction of each class at each position: (K, *positions), from 0 to 1
    "probabilities"   a number from 0 to 1 for each output: (K, *positions)
    "numbers"         any finite number for each output: (K, *positions)
"""


class Loss(metaclass=Called):
    """Base of every loss: a frozen dataclass of options that says what it compares.

    Derive from it for a loss of your own, and teach it to the engines with `foveate.engines.register_loss`.
    """

    targets: ClassVar[tuple[TargetKind, ...]] = ("numbers",)
    """The kinds of targets that it takes; if it takes both "classes" and "distributions", whole numbers are classes."""

    applies: ClassVar[Literal["softmax", "sigmoid"] | None] = None
    """The layer that it applies itself, so the network must end before it."""

    @property
    def ignored(self) -> int | None:
        """The index that means "no class here" among the targets, or None if all count."""
        return None

    def check_output(self, output: str, shape: Shape, layer: Layer | None) -> None:
        """Refuse a network's output that the loss cannot compare.

        Args:
            output: its name.
            shape: its shape for one sample, (K, *positions).
            layer: the layer that computes it, or None if it is an input.

        Raises:
            EngineError: it ends with a layer that the loss applies itself, or its number of classes does not fit the
                options.
        """
        if self.applies is not None and isinstance(layer, Softmax | LogSoftmax | Sigmoid):
            raise EngineError(
                f"{type(self).__name__} applies the {self.applies} itself, but the network's output {output} is "
                f"already a {type(layer).__name__}: remove {output}, so that the loss gets logits"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data: the type's name and its options, except those that are None.

        >>> from foveate import Huber
        >>> Huber(2.0).to_json()
        {'type': 'Huber', 'delta': 2.0}
        """
        options = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"type": type(self).__name__} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in options.items()
            if value is not None
        }

    def refuse(self, sentence: str) -> LayerError:
        """A LayerError that begins with this loss's type."""
        return LayerError(f"{type(self).__name__}: {sentence}")


def weights_of(loss: Loss, name: str, given: Iterable[float]) -> tuple[float, ...]:
    """Weights as a tuple of floats, or a LayerError if they cannot be weights."""
    try:
        weights = tuple(float(weight) for weight in given)
    except (TypeError, ValueError):
        raise loss.refuse(f"{name} is {given!r}; it must be a sequence of numbers, one for each class") from None
    if not weights or not all(0 <= weight < inf for weight in weights) or not any(weights):
        raise loss.refuse(f"{name} is {weights}; none may be negative or infinite, and not all may be zero")
    return weights


def check_positive(loss: Loss, name: str, value: float) -> None:
    """Refuse a number that is not positive and finite."""
    if not is_number(value):
        raise loss.refuse(f"{name} is {value!r}; it must be a number")
    if not 0 < value < inf:
        raise loss.refuse(f"{name} is {value}; it must be positive and finite")


def check_index(loss: Loss, name: str, value: int | None) -> None:
    """Refuse a value that is neither a whole number nor None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise loss.refuse(f"{name} is {value!r}; it must be an int (255 and -100 are usual), or None")

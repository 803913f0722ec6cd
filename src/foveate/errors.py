"""Every error that foveate raises on purpose: a sentence with the numbers and a way out."""

from collections.abc import Sequence
from typing import Any

from foveate.text import printable

LONGEST_SENTENCE = 10_000
"""The most characters in a line of a message; numbers and names from a file may have millions."""


class FoveateError(Exception):
    """Base of all errors that foveate raises on purpose; its message is meant to be read.

    If a network could not be built completely, `partial` is the graph as far as it was built, `place` the layer that
    stopped it, and `changes` are changes that make the network build, each tried on all of it; `change.build()` returns
    its graph.
    """

    def __init__(self, message: object = "") -> None:
        """`message` may quote untrusted files: endless lines are cut, and none can forge what is on the screen."""
        super().__init__("\n".join(printable(line, LONGEST_SENTENCE) for line in str(message).split("\n")))

    partial: Any = None
    place: Any = None
    changes: Sequence[Any] = ()


class LayerError(FoveateError):
    """A layer's hyper-parameter is wrong by itself, before any input is known."""


class ShapeError(FoveateError):
    """A layer does not fit its input, or an array does not fit its place."""


class GraphError(FoveateError):
    """Names, inputs or outputs of a network do not form a graph."""


class EngineError(FoveateError):
    """An engine cannot compile or run what it was asked to."""


class DataError(FoveateError):
    """Images, labels or arrays cannot be used as they are."""


class FileError(FoveateError):
    """A file is missing, truncated, of another kind or of another version."""


class TrainingError(FoveateError):
    """Training cannot start or continue."""


class CallError(FoveateError, TypeError):
    """A function or class is called with arguments that it does not take."""


class GradientError(FoveateError, AssertionError):
    """A layer's backward pass is not the derivative of its forward pass, or a loss's gradient not that of its value."""

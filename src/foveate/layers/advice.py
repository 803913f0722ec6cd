"""Ways out that errors offer: each has been tried before it is said."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from foveate.errors import FoveateError
from foveate.layers.base import Layer, Shape

_trying: ContextVar[bool] = ContextVar("trying", default=False)
"""Whether a way is being tried: what fails meanwhile is not read, and needs no ways of its own."""


@dataclass(frozen=True)
class Way:
    """Other options of a layer, or another input, with the words for it."""

    words: str
    input_shape: Shape
    options: Mapping[str, Any] = field(default_factory=dict)


def those_that_work(layer: Layer, ways: Iterable[Way]) -> str:
    """The words of the ways with which `layer` takes its input, joined by "or"; empty where none does."""
    if _trying.get():
        return ""
    token = _trying.set(True)
    try:
        return ", or ".join(way.words for way in ways if _works(layer, way))
    finally:
        _trying.reset(token)


def _works(layer: Layer, way: Way) -> bool:
    try:
        layer.with_options(**way.options).output_shape([way.input_shape])
    except FoveateError:
        return False
    return True

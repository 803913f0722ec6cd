"""Remedies that errors suggest: each has been tried before it is offered."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from foveate.errors import FoveateError
from foveate.layers.base import Layer, Shape

_trying: ContextVar[bool] = ContextVar("trying", default=False)
"""Whether a remedy is being tried: an error raised meanwhile is never read, and needs no remedies of its own."""


@dataclass(frozen=True)
class Way:
    """Other options for a layer, or another input, and the words that suggest them."""

    words: str
    input_shape: Shape
    options: Mapping[str, Any] = field(default_factory=dict)


def those_that_work(layer: Layer, ways: Iterable[Way]) -> str:
    """The words of the ways that let `layer` take its input, joined by "or"; empty if none does."""
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

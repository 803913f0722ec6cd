"""Remedies that errors suggest: each has been tried before it is offered."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from foveate.errors import FoveateError
from foveate.layers.base import Layer, Shape

_trying: ContextVar[bool] = ContextVar("trying", default=False)
"""Whether a remedy is being tried: an error raised meanwhile is never read, and needs no remedies of its own."""

_strict: ContextVar[object] = ContextVar("strict", default=False)
"""What a remedy must see of its input: True for the borders, "all" for every position."""


@contextmanager
def strictly(strict: object) -> Iterator[None]:
    """Within the block only remedies are offered that a network built with `strict` accepts."""
    token = _strict.set(strict)
    try:
        yield
    finally:
        _strict.reset(token)


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
        changed = layer.with_options(**way.options)
        changed.output_shape([way.input_shape])
        unseen = changed.unseen([way.input_shape]) if _strict.get() else ()
    except FoveateError:
        return False
    return not any(axis.dropped or (_strict.get() == "all" and axis.skipped) for axis in unseen)

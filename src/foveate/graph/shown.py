"""How notebooks and consoles show networks, models and results: a few words, or a table."""

from collections.abc import Mapping, Sequence
from html import escape
from math import prod

from foveate.geometry import format_sizes
from foveate.graph.nodes import Nodes
from foveate.layers import Parameter
from foveate.text import number_words

MOST_SHOWN = 6
"""How many blocks of a `Sequential` are listed by name."""


def network_words(graph: Nodes) -> str:
    """A network in a few words.

    >>> from foveate import Flatten, Linear, Sequential
    >>> print(network_words(Sequential(Flatten(), Linear(3)).build((1, 8, 8))))
    network: input 1x8x8, 2 layers, 195 parameters, output 3
    """
    inputs = ", ".join(format_sizes(shape) for shape in graph.inputs.values())
    outputs = ", ".join(format_sizes(graph.shapes[name]) for name in graph.outputs)
    count, parameters = len(graph.nodes), sum(map(_size, graph.parameters.values()))
    layers = f"{count:,} layer{'s' * (count != 1)}"
    return f"{graph.name}: input {inputs}, {layers}, {parameters:,} parameters, output {outputs}"


def listed(words: Sequence[str]) -> str:
    """All of the words if they are few, or the first and the last of many.

    >>> listed(["a", "b"]), listed(list("abcdefgh"))
    ('a, b', 'a, b, c, ... 8 in all, h')
    """
    if len(words) <= MOST_SHOWN:
        return ", ".join(words)
    return f"{', '.join(words[:3])}, ... {len(words)} in all, {words[-1]}"


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with words shown as they are and numbers right-aligned."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def number_rows(numbers: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """Names and numbers, for a table of two columns."""
    return [(name, number_words(value)) for name, value in numbers.items()]


def _cell(value: object) -> str:
    number = isinstance(value, int | float)
    text = "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
    return f'<td style="text-align: {"right" if number else "left"}">{escape(text)}</td>'


def _size(parameter: Parameter) -> int:
    return prod(parameter.shape)

"""Sizes as they are typed: 3x32x32, 5x3, 1,2."""

import re
from collections.abc import Sequence
from typing import Any

import typer

from foveate.graph.joining import channels_last

SIGN = "\u00d7"
"""The multiplication sign, as other programs print sizes and as they are pasted."""


def parse_shape(text: str | None, option: str) -> tuple[int, ...]:
    """C x L, C x H x W or C x D x H x W."""
    if text is None:
        raise typer.BadParameter(f"{option} is missing; write sizes joined by x, channels first: 3x32x32")
    sizes = _ints(text, option, "write sizes joined by x, channels first: 3x32x32")
    if not 2 <= len(sizes) <= 4:
        axes = "1 axis" if len(sizes) == 1 else f"{len(sizes)} axes"
        raise typer.BadParameter(
            f'{option} is "{text}", which has {axes}; channels and 1 to 3 spatial axes are needed: 1x8000, 3x32x32 or '
            "1x16x64x64"
        )
    if min(sizes) < 1:
        raise typer.BadParameter(f'{option} is "{text}"; every size must be at least 1')
    if hint := channels_last(sizes, surely=True):
        typer.echo(f"foveate: {hint}", err=True)
    return sizes


def parse_sizes(text: str | None, option: str) -> tuple[int, ...] | None:
    """Sizes of any number of axes; None if nothing is given."""
    return None if text is None else _ints(text, option, "write sizes joined by x, channels first: 3x32x32")


def parse_inputs(texts: Sequence[str] | None, option: str) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
    """The sizes of the only input, or those of several by their names, as NAME=3x32x32; None if nothing is given."""
    named = {name: sizes for name, equals, sizes in (text.rpartition("=") for text in texts or ()) if equals}
    if not texts:
        return None
    if not named and len(texts) == 1:
        return parse_sizes(texts[0], option)
    if len(named) < len(texts):
        raise typer.BadParameter(f"{option} is given {len(texts)} times; give each input once, by its name: x=3x32x32")
    return {name: parse_sizes(sizes, option) or () for name, sizes in named.items()}


def parse_numbers(text: str, option: str) -> int | tuple[int, ...]:
    """One int for all axes, or one for each."""
    numbers = _ints(text, option, "write an int, or one for each axis joined by x: 5x3")
    return numbers[0] if len(numbers) == 1 else numbers


def parse_padding(text: str, axes: int) -> Any:
    """An int or (begin, end) pair for all axes, or one for each; or a word."""
    if text in ("same", "valid"):
        return text
    hint = "write an int (2), one for each axis (2x1), begin and end (1,2), same or valid"
    items = []
    for part in text.lower().replace("(", "").replace(")", "").replace(" ", "").replace(SIGN, "x").split("x"):
        numbers = _ints(part.replace(",", "x"), "--padding", hint, whole=text)
        if len(numbers) > 2:
            raise typer.BadParameter(f'--padding is "{text}"; {hint}')
        items.append(numbers if len(numbers) == 2 else numbers[0])
    return tuple(items * axes) if len(items) == 1 else tuple(items)


def typed_sizes(text: str) -> list[str]:
    r"""The words between the signs, each of which is x, X or the multiplication sign.

    >>> typed_sizes("3x32\u00d732")
    ['3', '32', '32']
    """
    return text.strip().lower().replace(SIGN, "x").split("x")


def _ints(text: str, option: str, hint: str, whole: str | None = None) -> tuple[int, ...]:
    parts = typed_sizes(text)
    if not all(re.fullmatch(r"[-+]?[0-9]{1,20}", part.strip()) for part in parts):
        raise typer.BadParameter(f'{option} is "{text if whole is None else whole}"; {hint}')
    return tuple(map(int, parts))

"""Checks hyper-parameters and brings them to one form as they come in: an int becomes a tuple, once."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from foveate.errors import LayerError, ShapeError
from foveate.geometry import LARGEST_SIZE, format_sizes

Ints: TypeAlias = int | Sequence[int]
"""One int for every spatial axis, or one for each."""

PaddingOption: TypeAlias = int | Literal["same", "valid"] | Sequence[int | tuple[int, int]]
"""Padding as a user writes it: an int, one per axis, (begin, end) pairs per axis, "same" or "valid"."""

Padding: TypeAlias = Literal["same"] | tuple[tuple[int, int], ...]
"""Padding as layers hold it: (begin, end) for each axis, or "same", which depends on the input."""

INITIALIZERS = ("auto", "he", "xavier", "zeros", "ones")

INFERRED = "input channels are inferred: write {owner}(), and give options by name"
"""The reply to PyTorch's order of arguments, which begins with the input channels."""

FILTERS_FIRST = (
    "input channels are inferred, so only out_channels and kernel_size can be given without a name. Leave the first "
    "number out, and name what follows: {owner}(..., stride=2)"
)

_PADDING_FORMS = "give an int, or for each of the {axes} axes an int or a (begin, end) pair"


def positive_int(value: object, name: str, owner: str) -> int:
    """`value` if it is an int of at least 1, else a LayerError that names it."""
    return _int_from(value, 1, name, owner)


def per_axis(value: Ints, axes: int, name: str, owner: str, *, least: int = 1) -> tuple[int, ...]:
    """One int of at least `least` for each of `axes` axes.

    >>> per_axis(3, 2, "kernel_size", "Conv2d")
    (3, 3)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return (_int_from(value, least, name, owner),) * axes
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise LayerError(f"{owner}: {name} is {value!r}; give an int, or {axes} of them, one for each spatial axis")
    if len(value) != axes:
        there, more = _are_axes(axes), f" or {axes}" if axes > 1 else ""
        raise LayerError(f"{owner}: {name} has {len(value)} values, but there {there}; give one int{more}")
    return tuple(_int_from(item, least, name, owner) for item in value)


def ints(value: object, name: str, owner: str) -> tuple[int, ...]:
    """`value` as a tuple of ints, whatever sequence it comes in; one int is a tuple of one."""
    given = (value,) if isinstance(value, int) else value
    if not isinstance(given, Sequence) or any(not isinstance(n, int) or isinstance(n, bool) for n in given):
        raise LayerError(f"{owner}: {name} is {value!r}; give ints in a tuple")
    return tuple(given)


def axis_number(axis: int, shape: Sequence[int]) -> int:
    """An axis of a sample of `shape` counted from the first, or a ShapeError that says which there are.

    >>> axis_number(-1, (3, 8, 9))
    2
    """
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(
            f"is over axis {axis} of its input {format_sizes(shape)}, which has the axes 0 to {len(shape) - 1}, "
            "channels first, without the batch"
        )
    return axis % len(shape)


def padding_pairs(value: PaddingOption, axes: int, owner: str) -> Padding:
    """Padding as (begin, end) for each axis; "same" stays a word, because it depends on the input.

    >>> padding_pairs(((1, 2), 0), 2, "Conv2d")
    ((1, 2), (0, 0))
    """
    if value == "same":
        return "same"
    if value == "valid":
        return ((0, 0),) * axes
    if isinstance(value, str):
        raise LayerError(f'{owner}: padding is "{value}"; the words are "same" and "valid", or give ints')
    if isinstance(value, int):
        return tuple((size, size) for size in per_axis(value, axes, "padding", owner, least=0))
    if not isinstance(value, Sequence) or len(value) != axes:
        raise LayerError(f"{owner}: padding is {value!r}; {_PADDING_FORMS.format(axes=axes)}")
    return tuple(_pair(item, axes, owner) for item in value)


def initializer_name(value: str, owner: str) -> str:
    """`value` if an initializer has that name, else a LayerError that lists them."""
    if value not in INITIALIZERS:
        raise LayerError(f'{owner}: there is no initializer "{value}"; choose one of {", ".join(INITIALIZERS)}')
    return value


def one_of(value: str, choices: Sequence[str], name: str, owner: str) -> str:
    """`value` if it is one of `choices`, else a LayerError that lists them."""
    if value not in choices:
        words = ", ".join(f'"{choice}"' for choice in choices)
        raise LayerError(f"{owner}: {name} is {value!r}; it must be one of {words}")
    return value


def no_surplus(surplus: Sequence[object], owner: str, sentence: str = INFERRED) -> None:
    """Refuse surplus positional arguments; `sentence` says why, with the layer's name filled in."""
    if surplus:
        raise LayerError(f"{owner}: {sentence.format(owner=owner)}")


def _int_from(value: object, least: int, name: str, owner: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise LayerError(f"{owner}: {name} is {value!r}; it must be an int of at least {least}")
    if value < least:
        raise LayerError(f"{owner}: {name} is {value}; it must be at least {least}")
    if value > LARGEST_SIZE:
        raise LayerError(f"{owner}: {name} is {value}; it must be at most {LARGEST_SIZE}")
    return value


def _pair(item: object, axes: int, owner: str) -> tuple[int, int]:
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2:
        return _int_from(item[0], 0, "padding", owner), _int_from(item[1], 0, "padding", owner)
    if isinstance(item, Sequence):
        raise LayerError(f"{owner}: padding has {item!r} for one axis; {_PADDING_FORMS.format(axes=axes)}")
    size = _int_from(item, 0, "padding", owner)
    return size, size


def _are_axes(axes: int) -> str:
    return "is 1 spatial axis" if axes == 1 else f"are {axes} spatial axes"

"""Names of classes, labels and values: checked once, so that tables, files and pages can print them."""

from typing import Any

from foveate.errors import DataError
from foveate.text import can_be_printed

LONGEST_NAME = 200
"""The most characters in a name; the longest of ImageNet's has 131."""


def check_names(names: Any, noun: str, plural: str, *, least: int = 1) -> tuple[str, ...]:
    """`names` as a tuple of distinct, printable strings.

    Args:
        names: any sequence of strings.
        noun: what one of them names, for errors.
        plural: what several of them name.
        least: how many there must be.

    Raises:
        DataError: there are too few, or one is not a string, empty, too long, not printable, or repeated.

    >>> check_names(["cat", "dog"], "class", "classes")
    ('cat', 'dog')
    """
    try:
        listed = () if isinstance(names, str | bytes) else tuple(names)
    except TypeError:
        listed = ()
    if not listed or not all(isinstance(name, str) for name in listed):
        raise DataError(f"{plural} are {_short(names)}; give the name of each {noun}, as a tuple of strings")
    if len(listed) < least:
        raise DataError(f"{plural} are {_short(listed)}, only {len(listed)}; give at least {least} names")
    for place, name in enumerate(listed):
        _check_name(name, f"{noun} {place}")
    if len(set(listed)) < len(listed):
        raise DataError(f'two {plural} are called "{_first_twice(listed)}"; give each its own name')
    return tuple(str(name) for name in listed)


def listed(names: tuple[str, ...]) -> str:
    """The first three names, and how many there are.

    >>> listed(("a", "b", "c", "d"))
    'a, b, c, ... 4 in all'
    """
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown}, ... {len(names):,} in all"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "output"), counted(1000, "class name")
    ('1 output', '1,000 class names')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def there_are(names: tuple[str, ...], noun: str, plural: str | None = None) -> str:
    """How many names there are, and the first of them.

    >>> there_are(("cat", "dog"), "class name")
    'there are 2 class names (cat, dog)'
    """
    return f"there {'is' if len(names) == 1 else 'are'} {counted(len(names), noun, plural)} ({listed(names)})"


def _check_name(name: str, what: str) -> None:
    if not name.strip():
        raise DataError(f"{what} has an empty name; give it at least one letter")
    if len(name) > LONGEST_NAME:
        raise DataError(
            f"the name of {what} has {len(name):,} characters ({name[:20]!r}...); give it at most {LONGEST_NAME}"
        )
    if not can_be_printed(name):
        raise DataError(
            f"{what} is called {name!r}, which cannot be printed; it may have letters, digits and signs only"
        )


def _first_twice(names: tuple[str, ...]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."

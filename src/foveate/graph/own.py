"""Schedules and optimisers as plain data, and what those of one's own must be."""

import json
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from foveate.errors import TrainingError
from foveate.text import printable


def described(value: Any) -> dict[str, Any]:
    """A frozen description as plain data: the name of its class and its options.

    An option that is newer than the first files is left out at its default, so that those still say the same.

    Raises:
        TrainingError: an option is not plain data.
    """
    known = [each for each in fields(value) if not is_new_at_default(each, getattr(value, each.name))]
    plain = {"type": type(value).__name__, **{each.name: getattr(value, each.name) for each in known}}
    for name, option in plain.items():
        try:
            json.dumps(option)
        except (TypeError, ValueError):
            raise TrainingError(
                f"{type(value).__name__}: {name} is {printable(repr(option))}, which no file can hold; make it of "
                "numbers, text, True, False, None, and tuples of them"
            ) from None
    return plain


def check_own(value: object, base: type, example: str) -> None:
    """Refuse a description of one's own that is not a frozen dataclass with options that files can hold.

    Args:
        value: an instance of `base`.
        base: what it derives from.
        example: the method that it must define.

    Raises:
        TrainingError: it is something else; the message says what to write.
    """
    made = type(value)
    parameters = getattr(made, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen or not is_dataclass(value):
        raise TrainingError(
            f"{made.__name__} must be a frozen dataclass derived from foveate.{base.__name__}: @dataclass(frozen=True)"
        )
    if getattr(made, example) is getattr(base, example):
        raise TrainingError(f"{made.__name__} has no {example}(); every {base.__name__.lower()} must define it")
    described(value)


def is_new_at_default(option: "Field[Any]", value: object) -> bool:
    """Whether an option is newer than the first files, which do not have it, and says what held before."""
    return "since" in option.metadata and option.default is not MISSING and value == option.default

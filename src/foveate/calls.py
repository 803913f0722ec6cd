"""Calls whose arguments do not fit, explained in a sentence: what is given twice, missing, unknown or not a number."""

import inspect
import os
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from errno import ENAMETOOLONG
from functools import cache, wraps
from numbers import Integral, Rational, Real
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from foveate.errors import CallError, FileError
from foveate.text import named, printable

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

_IN_ORDER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _undefined(cls: type, methods: Sequence[str]) -> str:
    """What a class lacks before there can be instances of it."""
    for base in cls.__mro__[1:]:
        if set(methods) <= getattr(base, "__abstractmethods__", frozenset()):
            return f"{cls.__name__} derives from {base.__name__} and must define {', '.join(methods)}"
    return f"{cls.__name__} is a base to derive from; a derived class must define {', '.join(methods)}"


class Called(ABCMeta):
    """Metaclass of classes whose options are checked: if they do not fit, a CallError says why.

    `call_hints` of a class say what to write instead of other libraries' options; the hint for "" is given if there
    are too many positional values.
    """

    call_hints: Mapping[str, str] = {}

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Make an instance."""
        try:
            made = super().__call__(*args, **options)
        except TypeError as error:
            if missing := sorted(cls.__abstractmethods__):
                raise CallError(_undefined(cls, missing)) from None
            sentence = misfit(cls.__name__, inspect.signature(cls), args, options, cls.call_hints)
            if sentence is None or isinstance(error, CallError):
                raise
        except ValueError as error:
            sentence = _array_for_one(cls.__name__, inspect.signature(cls), args, options, error)
            if sentence is None:
                raise
        else:
            sentence = _no_switch(cls, made) or _no_real_number(cls, made)
            if sentence is None:
                return made
        raise CallError(sentence)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The signature of `__init__`, which `inspect` would not find behind `__call__`."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])


@cache
def _options_of(made: type, kind: type) -> tuple[str, ...]:
    """The names of the options that are of one kind, such as those that are True or False."""
    words = (kind, kind.__name__)
    return tuple(each.name for each in fields(made) if each.type in words) if is_dataclass(made) else ()


def _no_switch(made: type, instance: object) -> str | None:
    """A sentence about a switch that is neither True nor False, or None."""
    for name in _options_of(made, bool):
        value = getattr(instance, name)
        if not isinstance(value, bool):
            return f"{made.__name__}: {name} is {printable(repr(value))}; it must be True or False"
    return None


def _no_real_number(made: type, instance: object) -> str | None:
    """A sentence about a number that is something else, or None."""
    for name in _options_of(made, float):
        value = getattr(instance, name)
        if not is_number(value):
            return f"{made.__name__}: {name} is {printable(repr(value))}; it must be a number"
        if isinstance(value, int) and abs(value) >= 2**63:  # which NumPy and C++ take for an object
            shown = f"an int of {value.bit_length():,} bits"
            return f"{made.__name__}: {name} is {shown}; give one of at most 63, or a float"
    return None


def _array_for_one(
    name: str, signature: inspect.Signature, args: Sequence[Any], options: Mapping[str, Any], error: ValueError
) -> str | None:
    """A sentence about an array where one value belongs, if that is what NumPy complains of."""
    if "truth value of an array" not in str(error):
        return None
    in_order = [each.name for each in signature.parameters.values() if each.kind in _IN_ORDER]
    for option, value in {**dict(zip(in_order, args, strict=False)), **options}.items():
        wanted = str(signature.parameters[option].annotation) if option in signature.parameters else ""
        if hasattr(value, "shape") and not any(word in wanted for word in ("Array", "Images", "Any")):
            shape = "x".join(map(str, value.shape))
            return f"{name}: {option} is an array of {shape}; give one value, or a tuple of ints if it takes several"
    return None


def called(**hints: str) -> Callable[[Callable[Given, Returned]], Callable[Given, Returned]]:
    """Make wrong calls of a function or method raise a CallError; hints as for `Called`, with `_` standing for ""."""
    told = {"" if name == "_" else name: hint for name, hint in hints.items()}

    def decorate(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
        signature = inspect.signature(function)
        method = next(iter(signature.parameters), "") == "self"
        if method:
            signature = signature.replace(parameters=list(signature.parameters.values())[1:])

        @wraps(function)
        def call(*args: Given.args, **options: Given.kwargs) -> Returned:
            sentence = None
            try:
                return function(*args, **options)
            except TypeError as error:
                if not isinstance(error, CallError):
                    sentence = misfit(function.__name__, signature, args[method:], options, told)
                if sentence is None:
                    raise
            except ValueError as error:
                sentence = _array_for_one(function.__name__, signature, args[method:], options, error)
                if sentence is None:
                    raise
            raise CallError(sentence)

        return call

    return decorate


def misfit(
    name: str,
    signature: inspect.Signature,
    args: Sequence[Any],
    options: Mapping[str, Any],
    hints: Mapping[str, str],
) -> str | None:
    """What is wrong with a call of `name`, or None if its arguments fit."""
    parameters = signature.parameters
    in_order = [each.name for each in parameters.values() if each.kind in _IN_ORDER]
    named = [each.name for each in parameters.values() if each.kind not in _ANY_NUMBER]
    for option in options:
        if option not in named:
            return f"{name}: there is no option {option}{_instead(option, named, hints)}"
    twice = [option for option in in_order[: len(args)] if option in options]
    if twice:
        value = args[in_order.index(twice[0])]
        return f"{name}: {twice[0]} is given twice, as {value!r} without a name and by name{_hint('', hints)}"
    if len(args) > len(in_order) and not any(each.kind is each.VAR_POSITIONAL for each in parameters.values()):
        alone = f"only {' and '.join(in_order)} can" if in_order else "nothing can"
        others = [option for option in named if option not in in_order]
        rest = f"; by name it takes {', '.join(others)}" if others else ""
        return f"{name}: {alone} be given without a name, but there is {args[len(in_order)]!r}{rest}{_hint('', hints)}"
    given = {*in_order[: len(args)], *options}
    missing = [
        option for option in named if parameters[option].default is inspect.Parameter.empty and option not in given
    ]
    if missing:
        return f"{name}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    return _no_number(name, parameters, {**dict(zip(in_order, args, strict=False)), **options})


def is_number(value: object) -> bool:
    """Whether this is an int or a float of Python or NumPy, and not a bool or a fraction."""
    fraction = isinstance(value, Rational) and not isinstance(value, Integral)
    return isinstance(value, Real) and not isinstance(value, bool) and not fraction


def kind(value: object) -> str:
    """What something is, with its article.

    >>> kind(3), kind("a")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"


def path_from(value: object, name: str, other: str = "") -> Path:
    """The path as given, or a CallError if it is something else; `other` says what else it may be.

    Raises:
        FileError: no file can have that path: it is too long, or has a character that paths do not have.
    """
    if not isinstance(value, str | PathLike):
        raise CallError(f"{name} is {printable(repr(value))}; give a path{other}")
    path = Path(value)
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            raise FileError(f"{named(path)} is too long for the name of a file; give a shorter one") from None
    except ValueError:  # a NUL, or half a character
        raise FileError(f"{named(path)} has a character that no file's name can have; leave it out") from None
    return path


def _no_number(name: str, parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> str | None:
    for option, value in given.items():
        wanted = parameters[option].annotation if option in parameters else None
        if (wanted is float and not is_number(value)) or (
            wanted == float | None and value is not None and not is_number(value)
        ):
            return f"{name}: {option} is {value!r}; it must be a number"
    return None


def _instead(option: str, named: Sequence[str], hints: Mapping[str, str]) -> str:
    if option in hints:
        return _hint(option, hints)
    from difflib import get_close_matches

    near = get_close_matches(option, named, n=1)
    known = f"; there are {', '.join(named)}" if named else "; it has none"
    return f". Nearest: {near[0]}" if near else known


def _hint(option: str, hints: Mapping[str, str]) -> str:
    return f": {hints[option]}" if option in hints else ""

"""`--config`: the options of a command in a TOML file, which the command line overrides; and a run's own such file."""

import tomllib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from foveate.errors import FileError
from foveate.opening import open_regular
from foveate.text import named, printable

if TYPE_CHECKING:
    from foveate.training import Progress

_LARGEST = 1 << 20
"""The most bytes of a configuration."""

_KINDS: Mapping[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
}
"""By the type of an option: the types of TOML that fit, and what to call them; any other option is text."""

_TEXT = (str, int), "text, in quotes"
"""A number will do, as in size = 224."""

_NOT_SAVED = ("config", "extend", "find-learning-rate", "json", "log", "overwrite", "resume", "tensorboard")
"""Options that do not say how to train."""


def _read(context: typer.Context, path: Path | None) -> Path | None:
    """Let the options in the file at `path` be those of the command, unless they are typed."""
    if path is not None:
        context.default_map = _checked(context, path, _table(path))
    return path


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_read,
        is_eager=True,
        help="TOML file with any of these options, such as the run.toml of a run; what is typed wins.",
    ),
]


def _table(path: Path) -> dict[str, Any]:
    """What a TOML file holds."""
    try:
        with open_regular(path, _LARGEST) as file:
            return tomllib.loads(file.read().decode("utf-8"))
    except OSError as error:
        raise FileError(f"{named(path)} cannot be read as a configuration: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise FileError(f"{named(path)} is not text in UTF-8, as TOML is") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else printable(error)
        raise FileError(f"{named(path)} is not TOML: {reason}. A line looks like this: epochs = 20") from None


def _checked(context: typer.Context, path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of the command's parameters, each of its type."""
    known = {key: param for param in context.command.params if (key := _key(param)) not in ("config", "help")}
    types = get_type_hints(context.command.callback)
    found: dict[str, Any] = {}
    for given, value in table.items():
        key = given.replace("_", "-")
        if key not in known:
            raise FileError(_unknown(path, given, value, list(known)))
        param = known[key]
        if param.name in found:
            raise FileError(f"{named(path)}: {key} is given twice, with a dash and with an underscore; leave one out")
        try:
            found[param.name] = _fitting(value, types[param.name])
            param.process_value(context, found[param.name])
        except _MisfitError as error:
            raise FileError(f"{named(path)}: {given} is {error}") from None
        except Exception as error:
            if not hasattr(error, "format_message"):  # the command line's own, whatever library that is from
                raise
            reason = str(error.format_message()).partition(": ")[2].removeprefix("Value error, ")
            raise FileError(f"{named(path)}: {given} is {printable(toml_value(value), 60)}: {reason}") from None
    return found


class _MisfitError(Exception):
    """A value has another type than its option."""


def _key(param: Any) -> str:
    """What a parameter is called in a file: as on the command line, without the dashes in front."""
    long = [name for name in param.opts if name.startswith("--")]
    return str(long[0].removeprefix("--") if long else param.name)


def _unknown(path: Path, given: str, value: Any, known: list[str]) -> str:
    from foveate.graph import nearest

    name = printable(given, 60)
    if isinstance(value, dict):
        return f"{named(path)}: [{name}] is a table, but options have none; write each on a line: epochs = 20"
    return f"{named(path)}: there is no option {name}.{nearest(given.replace('_', '-'), known)}"


def _fitting(value: Any, hint: Any) -> Any:
    """`value` as an option of this type takes it."""
    wanted = next((each for each in get_args(hint) if NoneType in get_args(hint) and each is not NoneType), hint)
    if get_origin(wanted) is list:
        return [_fitting(each, str) for each in (value if isinstance(value, list) else [value])]
    types, words = _KINDS.get(wanted, _TEXT)
    if not isinstance(value, types) or (isinstance(value, bool) and wanted is not bool):
        kind = "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a date or a time"
        shown = printable(toml_value(value), 60) if isinstance(value, str | int | float) else kind
        raise _MisfitError(f"{shown}; it must be {words}")
    return value if wanted in _KINDS else str(value)


def resolved(context: typer.Context, **chosen: Any) -> dict[str, Any]:
    """The options of this run by their names in a file: as typed, or from a file, or `chosen` by parameters' names."""
    values = {_key(param): chosen.get(param.name, context.params.get(param.name)) for param in context.command.params}
    plain = {key: _plain(value) for key, value in values.items() if key not in _NOT_SAVED}
    return {key: value for key, value in plain.items() if value not in (None, [])}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = value.value if isinstance(value, Enum) else value
    return str(value) if isinstance(value, Path) else value


def as_toml(options: Mapping[str, Any]) -> str:
    """Options as the lines of a TOML file.

    >>> print(as_toml({"dataset": "my photos", "epochs": 20, "freeze": ["conv*"]}), end="")
    dataset = "my photos"
    epochs = 20
    freeze = ["conv*"]
    """
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in options.items())


def toml_value(value: Any) -> str:
    r"""A value as TOML writes it.

    >>> print(toml_value('a "name"'), toml_value(True), toml_value(1e-05), toml_value([0.5, 2]))
    "a \"name\"" true 1e-05 [0.5, 2]
    """
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(words: str) -> str:
    """Text between quotes; half characters, of file names that are not Unicode, become question marks."""
    from json import dumps

    whole = words.encode("utf-8", errors="replace").decode("utf-8")
    return dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def run_file(path: Path, options: Mapping[str, Any]) -> bytes:
    """The content of the file at `path` that a run leaves behind."""
    from foveate import __version__

    head = f"# How foveate {__version__} trained. The same again: foveate train --config {path.name} --out FOLDER\n"
    return (head + as_toml(options)).encode("utf-8")


def save_at_start(progress: "Progress", files: Mapping[Path, bytes]) -> "Progress":
    """Let `progress` also write the files when training begins, after all that may refuse the run."""
    from foveate.files import write_atomically

    start = progress.start

    def started(epochs: int, steps: int, done: int) -> None:
        for path, content in files.items():
            write_atomically(path, content)
        start(epochs, steps, done)

    progress.start = started  # type: ignore[method-assign]
    return progress


def typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"

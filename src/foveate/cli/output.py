"""What the commands share: JSON on standard output, errors and warnings as one sentence on standard error."""

import json
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from io import TextIOWrapper
from math import isfinite
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from foveate.errors import FoveateError
from foveate.text import broken, named, printable


class Commands(TyperGroup):
    """Commands whose errors end as one sentence and exit status 1, never as a traceback."""

    def get_params(self, ctx: Any) -> Any:
        """The options; switches show no type."""
        return _plain_switches(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; its switches show no type either."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and not isinstance(command, Commands):
            _plain_switches(command.get_params(ctx))
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (FoveateError, OSError) as error:
            typer.echo(wrapped(f"foveate: {_sentence(error)}", sys.stderr), err=True)
            _offer_changes(error)
        except MemoryError:
            typer.echo(f"foveate: there is not enough memory; {self._smaller(ctx)}", err=True)
        raise typer.Exit(1)

    def _smaller(self, ctx: Any) -> str:
        """What the command that is running can do with less memory."""
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        options = [name for param in (command.params if command is not None else ()) for name in param.opts]
        lever = next((name for name in ("--batch-size", "--size") if name in options), None)
        return "close other programs, or use a machine with more" if lever is None else f"try a smaller {lever}"


def _sentence(error: FoveateError | OSError) -> str:
    """What went wrong; the system's own errors name their file first."""
    if isinstance(error, FoveateError) or error.filename is None:
        return str(error) if isinstance(error, FoveateError) else printable(error)
    return f"{named(error.filename)}: {printable(error.strerror)}"


def end_without_output(error: OSError) -> NoReturn:
    """End with the reason why standard output takes no more, unless its reader has left."""
    # Python would try to empty the old one at its end.
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    told = isinstance(error.__context__, SystemExit) and error.__context__.code
    if not told and not isinstance(error, BrokenPipeError):
        typer.echo(f"foveate: {printable(error)}", err=True)
    raise SystemExit(1)


def wrapped(words: str, stream: TextIO) -> str:
    """Sentences wrapped between words for a terminal, which would break them within words; unchanged for anything
    else."""
    if not stream.isatty():
        return words
    return broken(words, max(20, get_terminal_size((80, 24)).columns))


def table(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Rows as lines, each column as wide as its longest word; the first `left` are flush left, the others right.

    >>> table([("layer", "MACs"), ("conv1", "1,000,000")], 1)
    ['layer       MACs', 'conv1  1,000,000']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{'<' if place < left else '>'}{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _plain_switches(params: Any) -> Any:
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


def _offer_changes(error: Exception) -> None:
    """Say which changes would let the refused network be built."""
    if isinstance(error, FoveateError) and error.changes:
        from foveate.graph.analysis.repair import offer

        typer.echo(offer(error.changes), err=True)


class EngineName(StrEnum):
    """The engines by their names."""

    NATIVE = "native"
    TORCH = "torch"
    REFERENCE = "reference"


class PrecisionName(StrEnum):
    """The precisions of the torch engine."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    BF16 = "bf16"


LARGEST = 2**31 - 1
"""The limit of every count that is typed; no kernel counts further."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
EngineOption = Annotated[EngineName | None, typer.Option(help="Engine to use (default: fastest available).")]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="Where the torch engine runs: cuda, cuda:1, mps or cpu (default: a GPU if it finds one)."),
]
PrecisionOption = Annotated[
    PrecisionName | None,
    typer.Option(help="Products of the torch engine in float32 (default), tf32 or bf16; parameters stay in float32."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads on the CPU (default: all cores).")]


def print_json(data: Any) -> None:
    """One JSON document on standard output; numbers that are not finite, which JSON lacks, are null."""
    typer.echo(json.dumps(_finite(data), indent=2, allow_nan=False))


def print_json_line(data: Any) -> None:
    """One JSON document on a line of its own; otherwise as `print_json`."""
    typer.echo(json.dumps(_finite(data), allow_nan=False))


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _finite(each) for name, each in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(each) for each in data]
    return None if isinstance(data, float) and not isfinite(data) else data


def bias_word(count: int) -> str:
    """What this many biases are called."""
    return "bias" if count == 1 else "biases"


def with_biases(count: int) -> str:
    """What a layer has besides its weights: ' + 10 biases', or ', no biases'."""
    return f" + {count:,} {bias_word(count)}" if count else ", no biases"


def chosen_engine(engine: EngineName | None, device: str | None, precision: PrecisionName | None = None) -> str | None:
    """The engine for `get_engine`; a device and a precision are the torch engine's."""
    if device is None and precision is None:
        if engine is None:
            _tell_of_gpu()
        return None if engine is None else engine.value
    if engine not in (None, EngineName.TORCH):
        option = "--precision" if device is None else "--device"
        raise typer.BadParameter(f"{option} is for the torch engine, and --engine is {engine}; leave one of them out")
    place = "" if device is None else f":{device}"
    return f"{EngineName.TORCH}{place}" + ("" if precision is None else f"+{precision}")


def _tell_of_gpu() -> None:
    """Say that there is a GPU, once on this machine, if PyTorch is there to use it."""
    from foveate.data.published import cache
    from foveate.engines.choice import gpu, torch_version

    told = cache() / "told-of-gpu"
    if gpu() is None or torch_version() is None or told.exists():
        return
    typer.echo("This machine has a GPU; --engine torch uses it. (This is said once.)", err=True)
    with suppress(OSError):
        told.parent.mkdir(parents=True, exist_ok=True)
        told.touch()


def use_threads(count: int | None) -> None:
    """Let the engines use `count` threads, if a number is given."""
    if count is not None:
        from foveate.engines import set_threads

        set_threads(count)


def warn_in_sentences() -> None:
    """Show each warning as a sentence on standard error, without the line of code it came from."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        typer.echo(wrapped(f"foveate: {FoveateError(message)}", sys.stderr), err=True)  # printable in every line

    warnings.showwarning = show


def open_closed_streams() -> None:
    """Discard what is written to a closed standard stream: a daemon's training goes on without a reader."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Nobody closes it, so no file of ours takes the stream's number.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def escape_what_cannot_be_encoded() -> None:
    """Write characters that are not text, or that a terminal lacks, as numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # there may be none, or one of a test's own
            stream.reconfigure(errors="backslashreplace")


def unused(out: Path | None, usual: str) -> Path:
    """The file to write; one that nobody named must not replace another."""
    if out is not None:
        return out
    if Path(usual).exists():
        raise typer.BadParameter(
            f"{usual} exists already; name the file to write with --out, the same one to replace it"
        )
    return Path(usual)


def write_image(image: Any, path: Path) -> None:
    """Write a picture of Pillow's, whole or not at all; a FileError says why it cannot be."""
    from io import BytesIO

    from PIL import Image

    from foveate.errors import FileError
    from foveate.files import write_atomically

    content = BytesIO()
    try:
        kind = Image.registered_extensions().get(path.suffix.lower())
        if kind is None:
            raise ValueError(f"unknown file extension: {path.suffix}")
        image.save(content, kind)
    except (OSError, ValueError) as error:
        raise FileError(f"{named(path)} cannot be written: {error}") from None
    write_atomically(path, content.getbuffer())

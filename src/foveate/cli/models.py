"""Opens a model, whichever library wrote its file."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foveate.cli.shapes import parse_inputs
from foveate.errors import DataError, GraphError, ShapeError
from foveate.text import named, printable

if TYPE_CHECKING:
    from foveate.model import Model

ONNX = ".onnx"
"""How the names of ONNX files end."""


def is_onnx(path: Path) -> bool:
    """Whether a file is one of ONNX by its name."""
    return path.suffix.lower() == ONNX


def prepared_model(path: Path, engine: str | None) -> "Model":
    """The same, if it knows how images are prepared and what its outputs mean."""
    model = open_model(path, engine, told="foveate import MODEL.onnx --input")
    if is_onnx(path) and (model.preprocessing is None or model.task is None):
        raise DataError(says_nothing(path))
    return model


def says_nothing(path: Path) -> str:
    """A sentence about a file that leaves out how images are prepared, with a way out."""
    return (
        f"{named(path)} does not say how images are prepared and what its outputs mean; import it with both: foveate "
        f"import {printable(path.name)} --classes names.txt --preprocessing config.json (--help says what they hold)"
    )


def imported_model(path: Path, engine: str | None, input_shape: Sequence[str] | None, told: str = "--input") -> "Model":
    """The model in an ONNX file; `told` is how sizes that it leaves open are given."""
    from foveate.interop import from_onnx

    try:
        return from_onnx(path, parse_inputs(input_shape, "--input"), engine=engine)
    except (GraphError, ShapeError) as error:
        words = re.sub(r"input_shape=(.*)", lambda found: _typed(found[1], told), str(error))
        words = re.sub("give input_shape as .* to shapes", f"give each by its name, {told} NAME=3x32x32", words)
        raise type(error)(words.replace("input_shape is", "--input is")) from None


def _typed(shape: str, told: str) -> str:
    """A shape in Python, or one by its name, as it is typed."""
    name, _, sizes = shape.strip("{}").rpartition(": ")
    return f"{told} {name.strip(chr(34)) + '=' if name else ''}{'x'.join(re.findall('[0-9]+', sizes))}"


def open_model(
    path: Path, engine: str | None, input_shape: Sequence[str] | None = None, told: str = "--input"
) -> "Model":
    """The model in a file of foveate's own, or in an ONNX file; `told` as above."""
    if is_onnx(path):
        return imported_model(path, engine, input_shape, told)
    if input_shape:
        raise typer.BadParameter("--input goes with an ONNX file; a model file has its own")
    from foveate.model import load

    return load(path, engine=engine)

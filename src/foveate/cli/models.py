"""Opens a model, whichever library wrote its file."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foveate.cli.shapes import parse_sizes
from foveate.errors import DataError
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
    model = open_model(path, engine)
    if is_onnx(path) and (model.preprocessing is None or model.task is None):
        raise DataError(says_nothing(path))
    return model


def says_nothing(path: Path) -> str:
    """A sentence about a file that leaves out how images are prepared, with a way out."""
    return (
        f"{named(path)} does not say how images are prepared and what its outputs mean; import it with both: foveate "
        f"import {printable(path.name)} --classes names.txt --preprocessing config.json (--help says what they hold)"
    )


def open_model(path: Path, engine: str | None, input_shape: str | None = None) -> "Model":
    """The model in a file of foveate's own, or in an ONNX file."""
    if is_onnx(path):
        from foveate.interop import from_onnx

        return from_onnx(path, parse_sizes(input_shape, "--input"), engine=engine)
    if input_shape is not None:
        raise typer.BadParameter("--input goes with an ONNX file; a model file has its own")
    from foveate.model import load

    return load(path, engine=engine)

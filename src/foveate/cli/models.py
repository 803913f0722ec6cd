"""Opens a model, whichever library wrote its file."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foveate.cli.shapes import parse_sizes

if TYPE_CHECKING:
    from foveate.model import Model

ONNX = ".onnx"
"""How the names of ONNX files end."""


def is_onnx(path: Path) -> bool:
    """Whether a file is one of ONNX by its name."""
    return path.suffix.lower() == ONNX


def open_model(path: Path, engine: str | None, input_shape: str | None = None) -> "Model":
    """The model in a file of foveate's own, or in an ONNX file."""
    if is_onnx(path):
        from foveate.interop import from_onnx

        return from_onnx(path, parse_sizes(input_shape, "--input"), engine=engine)
    if input_shape is not None:
        raise typer.BadParameter("--input goes with an ONNX file; a model file has its own")
    from foveate.model import load

    return load(path, engine=engine)

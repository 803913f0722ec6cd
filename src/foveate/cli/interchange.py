"""`foveate import` and `foveate export`: models from ONNX files, and ONNX files from models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.networks import InputOption
from foveate.cli.output import EngineOption
from foveate.cli.shapes import parse_sizes

if TYPE_CHECKING:
    from foveate.model import Model

ONNX = ".onnx"


def import_(
    source: Annotated[Path, typer.Argument(help="An ONNX file.", metavar="MODEL.onnx")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("model.safetensors"),
    input_shape: InputOption = None,
    engine: EngineOption = None,
) -> None:
    """Import an ONNX file as a model.

    Sizes that the file leaves open are given with --input. What cannot be imported is listed, all of it at once.

    Example: foveate import resnet50.onnx --input 3x224x224 -o resnet50.safetensors
    """
    model = open_model(source, engine, input_shape)
    model.save(out)
    parameters = sum(model.read(name).size for name in model.graph.parameters)
    typer.echo(f"{out}: {len(model.graph.nodes)} layers, {parameters:,} parameters")
    for note in model.remarks.get("onnx", {}).get("notes", ()):
        typer.echo(f"foveate: {note}", err=True)


def open_model(path: Path, engine: str | None, input_shape: str | None = None) -> "Model":
    """The model in a file of foveate's own, or in an ONNX file."""
    if path.suffix.lower() == ONNX:
        from foveate.interop import from_onnx

        return from_onnx(path, parse_sizes(input_shape, "--input"), engine=engine)
    if input_shape is not None:
        raise typer.BadParameter("--input goes with an ONNX file; a model file has its own")
    from foveate.model import load

    return load(path, engine=engine)

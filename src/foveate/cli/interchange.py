"""`foveate import` and `foveate export`: models from ONNX files, and ONNX files from models."""

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.models import ONNX, open_model
from foveate.cli.networks import InputOption
from foveate.cli.output import EngineOption
from foveate.cli.shapes import parse_sizes


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
    from foveate.interop import from_onnx

    if source.suffix == ".safetensors":
        raise typer.BadParameter(f"{source} is a model of foveate; it is imported already")
    model = from_onnx(source, parse_sizes(input_shape, "--input"), engine=engine)
    model.save(out)
    parameters = sum(model.read(name).size for name in model.graph.parameters)
    typer.echo(f"{out}: {len(model.graph.nodes)} layers, {parameters:,} parameters")
    for note in model.remarks.get("onnx", {}).get("notes", ()):
        typer.echo(f"foveate: {note}", err=True)


def export(
    model: Annotated[Path, typer.Argument(help="A model.safetensors file, or an ONNX file.", metavar="MODEL")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write.", metavar="MODEL.onnx")],
    fuse: Annotated[
        bool, typer.Option("--fuse", help="Fold batch normalisations into the products before them.")
    ] = False,
    input_shape: InputOption = None,
    engine: EngineOption = None,
) -> None:
    """Export a model as an ONNX file, run that, and print the largest difference.

    The batch is open. Class names, the task and the preprocessing are in the metadata.

    Example: foveate export runs/fashion/model.safetensors fashion.onnx --fuse
    """
    from importlib.util import find_spec

    from foveate.interop import to_onnx

    if out.suffix.lower() != ONNX:
        raise typer.BadParameter(f"the file to write is {out}; give it the ending {ONNX}")
    difference = to_onnx(open_model(model, engine, input_shape), out, fuse=fuse)
    size = f"{out.stat().st_size:,} bytes"
    judge = "onnxruntime" if find_spec("onnxruntime") is not None else "the reference engine"
    typer.echo(f"{out}: {size}; run by {judge}, outputs differ by at most {difference:.2g} of the largest")

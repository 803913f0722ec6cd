"""`foveate import` and `foveate export`: models from ONNX files, and ONNX files from models."""

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.models import ONNX, imported_model, is_onnx, open_model
from foveate.cli.networks import InputOption
from foveate.cli.output import DeviceOption, EngineOption, chosen_engine, unused
from foveate.errors import FileError
from foveate.opening import open_regular
from foveate.text import named

LARGEST_NAMES = 1 << 24
"""The most bytes of a file of names."""


def import_(
    source: Annotated[Path, typer.Argument(help="An ONNX file.", metavar="MODEL.onnx")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: model.safetensors).")
    ] = None,
    input_shape: InputOption = None,
    classes: Annotated[
        Path | None, typer.Option(help="Text file with the name of a class in each line, for a classifier.")
    ] = None,
    preprocessing: Annotated[
        Path | None, typer.Option(help="JSON file of timm or Transformers that says how images are prepared.")
    ] = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
) -> None:
    """Import an ONNX file as a model.

    Sizes that the file leaves open are given with --input. What cannot be imported is listed, all of it at once.
    Few files say what their outputs mean and how images are prepared: --classes and --preprocessing do.

    Example: foveate import resnet50.onnx --input 3x224x224 -o resnet50.safetensors
    """
    from foveate.data import Preprocessing
    from foveate.tasks import Classification, heads
    from foveate.training import check_preprocessing

    if source.suffix == ".safetensors":
        raise typer.BadParameter(f"{source} is a model of foveate; it is imported already")
    out = unused(out, "model.safetensors")
    _check_written(source, out)
    if is_onnx(out):
        wanted = out.with_suffix(".safetensors").name
        raise typer.BadParameter(f"the file to write is {out}, but a model is no ONNX file; write it to {wanted}")
    model = imported_model(source, chosen_engine(engine, device), input_shape)
    if classes is not None:
        model.task = Classification(_names(classes))
        heads(model.task, model.graph)
    if preprocessing is not None:
        model.preprocessing = Preprocessing.from_configuration(preprocessing)
        check_preprocessing(model.graph, model.preprocessing)
    model.save(out)
    parameters = sum(model.read(name).size for name in model.graph.parameters)
    typer.echo(f"{out}: {len(model.graph.nodes)} layers, {parameters:,} parameters")
    for note in model.remarks.get("onnx", {}).get("notes", ()):
        typer.echo(f"foveate: {note}", err=True)


def _check_written(source: Path, out: Path) -> None:
    """Refuse to overwrite the file that is read, by whichever path."""
    if source.exists() and out.exists() and source.samefile(out):
        raise typer.BadParameter(f"the file to write, {out}, is the one that is read; give it another name")


def _names(path: Path) -> tuple[str, ...]:
    """The lines of a text file."""
    try:
        with open_regular(path, LARGEST_NAMES) as file:
            lines = file.read().decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{named(path)} cannot be read as text: {error}") from None
    return tuple(line.strip() for line in lines if line.strip())


def export(
    model: Annotated[Path, typer.Argument(help="A model.safetensors file, or an ONNX file.", metavar="MODEL")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write.", metavar="MODEL.onnx")],
    fuse: Annotated[
        bool, typer.Option("--fuse", help="Fold batch normalisations into the layers before them.")
    ] = False,
    input_shape: InputOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
) -> None:
    """Export a model as an ONNX file, run that, and print the largest difference.

    The batch is open. Class names, the task and the preprocessing are in the metadata.

    Example: foveate export runs/fashion/model.safetensors fashion.onnx --fuse
    """
    from foveate.interop.onnx.writing import write_onnx

    if out.suffix.lower() != ONNX:
        raise typer.BadParameter(f"the file to write is {out}; give it the ending {ONNX}")
    _check_written(model, out)
    opened = open_model(model, chosen_engine(engine, device), input_shape)
    difference, judge = write_onnx(opened.fuse() if fuse else opened, out)
    size = f"{out.stat().st_size:,} bytes"
    typer.echo(f"{out}: {size}; run by {judge}, outputs differ by at most {difference:.2g} of the largest")

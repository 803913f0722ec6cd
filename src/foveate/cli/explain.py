"""`foveate explain`: what a model sees, as figures and as one page."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.models import is_onnx, open_model, says_nothing
from foveate.cli.output import (
    DeviceOption,
    EngineOption,
    JsonOption,
    ThreadsOption,
    chosen_engine,
    print_json,
    use_threads,
)
from foveate.cli.sources import is_folder, load_data
from foveate.errors import DataError
from foveate.progress import Bar, is_live

if TYPE_CHECKING:
    from foveate.data.preprocessing import ImageLike
    from foveate.model import Model

Tell = Callable[[str, int, int], None]


def explain(
    model: Annotated[Path, typer.Argument(help="A model.safetensors or ONNX file.")],
    image: Annotated[Path, typer.Argument(help="An image, or a .npy array of the network's input shape.")],
    data: Annotated[
        str | None, typer.Option(help="Dataset, by name or folder, for the figures that need many images.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("runs/explain"),
    target: Annotated[
        str | None,
        typer.Option("--class", help="Class to explain, by name or number (default: the predicted class)."),
    ] = None,
    sample_rate: Annotated[
        float | None, typer.Option(help="Samples per second of a sound: figures show seconds and Hz.")
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model sees: filters, activation maps, what excites a channel, and why the model decides as it does.

    Writes index.html, one page to read from top to bottom (figures included), and each figure as a file.

    Example: foveate explain runs/fashion/model.safetensors photo.png --data fashion-mnist --out runs/explain
    """
    from foveate.explain.page.page import explain_model

    use_threads(threads)
    loaded = open_model(model, chosen_engine(engine, device))
    splits = None
    if data is not None:
        prepared = loaded.preprocessing if is_folder(data) else None
        splits = load_data(data, seed=loaded.seed, preprocessing=prepared, record=loaded.splits)
    since = monotonic()
    with progress_of_pages(as_json) as tell:
        report = explain_model(
            loaded,
            _read(image, loaded, model),
            out,
            data=splits,
            target=_class(loaded, target),
            sample_rate=sample_rate,
            progress=tell,
        )
    if as_json:
        print_json({"page": str(report.path), "seconds": report.seconds, "left_out": report.left_out})
        return
    for name, reason in report.left_out.items():
        typer.echo(f"left out, {name}: {reason}", err=True)
    typer.echo(f"page: {report.path} ({monotonic() - since:.0f} s)")


def _class(model: "Model", target: str | None) -> int | str | None:
    """A class by its name, or by its number if no class has that name."""
    known = model.classes or ()
    return int(target) if target is not None and target not in known and target.isdecimal() else target


def _read(path: Path, model: "Model", source: Path) -> "ImageLike":
    """The image's path, or the array in a .npy file."""
    from foveate.data.arrays import is_array_file, read_array

    if is_array_file(path):
        return read_array(path)
    if model.preprocessing is None and is_onnx(source):
        raise DataError(says_nothing(source))
    if model.preprocessing is None or len(model.graph.input_shape) != 3:
        raise DataError(
            f"{path} is not a .npy file, but this network takes arrays: save one of its input shape with numpy.save"
        )
    return path


@contextmanager
def progress_of_pages(silent: bool) -> Iterator[Tell]:
    """A bar over the chapters on a terminal, otherwise a line for each."""
    if silent:
        yield lambda *_: None
    elif not is_live(sys.stdout):
        yield lambda name, number, count: typer.echo(f"{number + 1}/{count} {name}")
    else:
        with Bar(sys.stdout, ticks=True) as bar:

            def tell(name: str, number: int, count: int) -> None:
                bar.start(count, number)
                bar.draw(name)

            yield tell

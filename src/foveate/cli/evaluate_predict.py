"""`foveate evaluate` and `foveate predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.models import prepared_model
from foveate.cli.output import (
    LARGEST,
    DeviceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    chosen_engine,
    print_json,
    use_threads,
)
from foveate.cli.sources import held_out_images, is_folder, of_shards
from foveate.text import LONGEST_PATH, number_words, printable, shortened

if TYPE_CHECKING:
    from foveate.data.held_out import HeldOut
    from foveate.model import Evaluation, Model
    from foveate.training.top_losses import TopLosses

LONGEST_NAME = 40
"""The most characters of a class in a row of the table."""

ModelArgument = Annotated[Path, typer.Argument(help="A model.safetensors or ONNX file.")]


def evaluate(
    model: ModelArgument,
    dataset: Annotated[
        str,
        typer.Argument(help="A dataset's name, a folder with one subfolder per class, or shards (a folder or URL)."),
    ],
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Batch size (default: chosen to use little memory).")
    ] = None,
    top_losses: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, metavar="COUNT", help="Number of images to show on which the model is most wrong."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a figure of the result and a contact sheet of --top-losses.")
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on the test images of a dataset, or on the images of a folder that it has not seen.

    Of a folder on which it was trained, these are the test images; any other folder is measured whole.

    Example: foveate evaluate runs/fashion/model.safetensors fashion-mnist --top-losses 12 --out runs/fashion
    """
    use_threads(threads)
    loaded = prepared_model(model, chosen_engine(engine, device, precision))
    held = test_images(loaded, dataset)
    result = loaded.evaluate(held.dataset, batch_size=batch_size)
    worst = None if top_losses is None else loaded.top_losses(held.dataset, top_losses, names=held.files)
    written = {} if out is None else _write_figures(out, result, worst)
    if as_json:
        classes = {} if loaded.classes is None else {"classes": list(loaded.classes)}
        wrong = {} if worst is None else {"top_losses": worst.to_json()}
        files = {name: str(path) for name, path in written.items()}
        print_json({**result.to_json(), "part": held.part, "found": held.told, **classes, **wrong, **files})
        return
    if held.told:
        typer.echo(held.told)
    if loaded.classes is None:
        _print_numbers(result)
    else:
        _print_classes(result, loaded.classes)
    for sample in worst or ():
        typer.echo(printable(sample, LONGEST_PATH))
    for name, path in written.items():
        typer.echo(f"{name.replace('_', ' ')}: {path}")


def _write_figures(folder: Path, result: "Evaluation", worst: "TopLosses | None") -> dict[str, Path]:
    """Write the figures; returns their paths by what they show."""
    from foveate.figures import png
    from foveate.files import write_atomically

    written = {"figure": folder / "evaluation.png"}
    write_atomically(written["figure"], png(result.plot()))
    if worst is not None:
        written["contact_sheet"] = folder / "top_losses.png"
        write_atomically(written["contact_sheet"], png(worst.plot()))
    return written


def _print_classes(result: "Evaluation", names: Sequence[str]) -> None:
    typer.echo(f"accuracy: {100 * result.accuracy:.2f} % of {result.samples:,} samples\nloss: {result.loss:.4f}")
    shown = [shortened(name, LONGEST_NAME) for name in names]
    width = max(map(len, shown))
    for name, share in zip(shown, result.per_class, strict=True):
        typer.echo(f"  {name:{width}}  " + ("no sample" if share is None else f"{100 * share:6.2f} %"))


def _print_numbers(result: "Evaluation") -> None:
    """The metrics of any task, each followed by its value for every label or value."""
    typer.echo(f"loss: {result.loss:.4f} over {result.samples:,} samples")
    for name, value in result.numbers.items():
        typer.echo(f"{name}: {number_words(value)}")
        parts = result.measured.each.get(name, {})
        width = max(map(len, parts), default=0)
        for part, each in parts.items():
            typer.echo(f"  {part:{width}}  {number_words(each)}")


def test_images(model: "Model", dataset: str) -> "HeldOut":
    """The images to measure a model on, and which part of the data that is; of a folder also a sentence on it."""
    from foveate.data import datasets

    if is_folder(dataset):
        return held_out_images(model, dataset)
    if of_shards(dataset):
        shards = datasets.shards(dataset, preprocessing=model.preprocessing, seed=model.seed)
        return datasets.HeldOut(shards.test, "test", f"{printable(shards.name)}: the test part of {shards.found}")
    return datasets.HeldOut(datasets.load(dataset, seed=model.seed).test, "test", "")

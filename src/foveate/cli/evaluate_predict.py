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
    ThreadsOption,
    chosen_engine,
    print_json,
    use_threads,
)
from foveate.cli.sources import held_out_images, is_folder, of_shards
from foveate.text import number_words, printable, shortened

if TYPE_CHECKING:
    from foveate.data import Dataset
    from foveate.model import Evaluation, Model

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
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on the test images of a dataset, or on the images of a folder that it has not seen.

    Of a folder on which it was trained, these are the test images; any other folder is measured whole.

    Example: foveate evaluate runs/fashion/model.safetensors fashion-mnist --json
    """
    use_threads(threads)
    loaded = prepared_model(model, chosen_engine(engine, device))
    data, part, told = test_images(loaded, dataset)
    result = loaded.evaluate(data, batch_size=batch_size)
    names = loaded.classes
    if told and not as_json:
        typer.echo(told)
    if as_json:
        print_json(
            {**result.to_json(), "part": part, "found": told, **({} if names is None else {"classes": list(names)})}
        )
    elif names is None:
        _print_numbers(result)
    else:
        _print_classes(result, names)


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


def test_images(model: "Model", dataset: str) -> "tuple[Dataset, str, str]":
    """The images to measure a model on, which part of the data that is, and for a folder a sentence on it."""
    from foveate.data import datasets

    if is_folder(dataset):
        held = held_out_images(model, dataset)
        return held.dataset, held.part, held.told
    if of_shards(dataset):
        shards = datasets.shards(dataset, preprocessing=model.preprocessing, seed=model.seed)
        return shards.test, "test", f"{printable(shards.name)}: the test part of {shards.found}"
    return datasets.load(dataset, seed=model.seed).test, "test", ""

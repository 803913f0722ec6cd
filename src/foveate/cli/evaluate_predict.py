"""`foveate evaluate` and `foveate predict`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.output import LARGEST, EngineOption, JsonOption, ThreadsOption, print_json, use_threads
from foveate.cli.sources import held_out_images, is_folder
from foveate.errors import FoveateError
from foveate.progress import PATIENCE_SECONDS, Bar
from foveate.text import LONGEST_PATH, number_words, printable

if TYPE_CHECKING:
    from foveate.data import Dataset
    from foveate.model import Evaluation, Model
    from foveate.tasks import Answer

ModelArgument = Annotated[Path, typer.Argument(help="A model.safetensors file.")]


def evaluate(
    model: ModelArgument,
    dataset: Annotated[str, typer.Argument(help="Name of a data set, or a folder with one subfolder per class.")],
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Batch size (default: chosen to use little memory).")
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on the test images of a data set, or on the images of a folder that it has not seen.

    Of a folder on which it was trained, these are the test images; any other folder is measured whole.

    Example: foveate evaluate runs/fashion/model.safetensors fashion-mnist --json
    """
    from foveate.model import load

    use_threads(threads)
    loaded = load(model, engine=engine)
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


def predict(
    model: ModelArgument,
    images: Annotated[list[Path], typer.Argument(help="Images, or .npy arrays.", metavar="IMAGE...")],
    top: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, help="How many answers to list, best first (default: 3 classes; all for other tasks)."
        ),
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images, or predict whatever else the model was trained for.

    Anything that is not a grey or RGB image, a sound for instance, must be a .npy file. A file that cannot be read gets
    its own line on standard error and makes the exit status 1; the others are still answered.

    Example: foveate predict runs/fashion/model.safetensors photo.png --top 3
    """
    from foveate.model import load

    use_threads(threads)
    loaded = load(model, engine=engine)
    listed: list[dict[str, Any]] = []
    # Answers that appear on the terminal one by one show the progress well enough.
    screen = sys.stderr if as_json or not sys.stdout.isatty() else None
    answered = loaded.stream(images, return_errors=True)
    with Bar(screen, len(images), "predicting", patience=PATIENCE_SECONDS) as bar:
        for path, decoded in zip(map(str, images), answered, strict=True):
            failed = isinstance(decoded, FoveateError)
            line, entry = (str(decoded), {"error": str(decoded)}) if failed else _answer(loaded, decoded, top)
            shown = printable(path, LONGEST_PATH)
            listed.append({"image": path, **entry})
            if failed:
                told = f"foveate: {line}" if shown in line else f"foveate: {shown}: {line}"
                typer.echo(told, err=True) if screen is None else bar.print(told)
            elif not as_json:
                typer.echo(f"{shown}: {line}")
            bar.move(1)
    if as_json:
        print_json({"format": 1, "images": listed})
    if any("error" in entry for entry in listed):
        raise typer.Exit(1)


def _answer(model: "Model", decoded: Any, top: int | None) -> tuple[str, dict[str, Any]]:
    """The answer for an image, as a line and as plain data."""
    names = model.classes
    if names is None:
        answers = {name: each[:top] for name, each in _answers(model, decoded).items()}
        return "; ".join(_told(name, each) for name, each in answers.items()), {"answers": _plain(answers)}
    best = [(names[index], float(decoded[index])) for index in (-decoded).argsort(kind="stable")[: top or 3]]
    line = ", ".join(f"{name} {100 * share:.1f} %" for name, share in best)
    return line, {"classes": [{"name": name, "probability": share} for name, share in best]}


def _print_classes(result: "Evaluation", names: Sequence[str]) -> None:
    typer.echo(f"accuracy: {100 * result.accuracy:.2f} % of {result.samples:,} samples\nloss: {result.loss:.4f}")
    width = max(len(name) for name in names)
    for name, share in zip(names, result.per_class, strict=True):
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


def _answers(model: "Model", decoded: Any) -> "dict[str, Answer]":
    """The answers of a task other than classification for an image, by output if there are several."""
    from foveate.tasks import Several

    if isinstance(model.task, Several):
        return {name: task.answers(decoded[name][None])[0] for name, task in model.task.tasks.items()}
    assert model.task is not None, "stream() asks for a task"
    return {"": model.task.answers(decoded[None])[0]}


def _plain(answers: "dict[str, Answer]") -> Any:
    """A list of names with their numbers, or a dict of them if outputs have names."""
    named = {output: [{"name": name, "value": value} for name, value in each] for output, each in answers.items()}
    return named.get("", named)


def _told(output: str, answer: "Answer") -> str:
    said = ", ".join(f"{name} {number_words(value)}" for name, value in answer) or "nothing"
    return f"{output}: {said}" if output else said


def test_images(model: "Model", dataset: str) -> "tuple[Dataset, str, str]":
    """The images to measure a model on, which part of the data that is, and for a folder a sentence on it."""
    from foveate.data import datasets

    if is_folder(dataset):
        held = held_out_images(model, dataset)
        return held.dataset, held.part, held.told
    return datasets.load(dataset, seed=model.seed).test, "test", ""

"""`foveate predict`."""

import csv
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from foveate.cli.evaluate_predict import ModelArgument
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
    print_json_line,
    use_threads,
)
from foveate.errors import DataError, FoveateError
from foveate.progress import PATIENCE_SECONDS, Bar
from foveate.text import LONGEST_PATH, for_csv, named, number_words, printable

if TYPE_CHECKING:
    from foveate.cli.inputs import Inputs, Sample
    from foveate.layers import Shape
    from foveate.model import Model
    from foveate.tasks import Answer

Answers: TypeAlias = "dict[str, Answer]"


def predict(
    model: ModelArgument,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Images, .npy arrays, folders or patterns; - reads an image or a list of files from standard input.",
            metavar="IMAGE...",
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, help="How many answers to list, best first (default: 3 classes; all for other tasks)."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder for the maps of a segmentation: PNGs whose pixels are class indices.")
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values, a row for each answer.")] = False,
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print a line of JSON for each image.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Classify images, or predict whatever else the model was trained for.

    Anything that is not a grey or RGB image, a sound for instance, must be a .npy file, which may hold many samples.
    Answers are printed as they come, and memory does not grow with their number. Files that cannot be used are listed
    on standard error at the end and make the exit status 1; the others are still answered.

    Example: foveate predict runs/fashion/model.safetensors photos/ --top 5 --jsonl
    """
    from foveate.cli.inputs import Inputs
    from foveate.cli.masks import Masks

    if as_csv + as_lines + as_json > 1:
        raise typer.BadParameter("--csv, --jsonl and --json are forms of one output; give one of them")
    use_threads(threads)
    loaded = prepared_model(model, chosen_engine(engine, device, precision))
    form = _CsvRows if as_csv else _JsonLines if as_lines else _Document if as_json else _Text
    printer, live = form(classes=loaded.classes is not None), not as_json
    kept = None if masks is None else Masks(masks, loaded)
    failures: list[str] = []

    def fail(name: str, sentence: str) -> None:
        shown = printable(name, LONGEST_PATH)
        told = shown in sentence or sentence.startswith("standard input")
        failures.append(sentence if told else f"{shown}: {sentence}")
        printer.failed(name, sentence)

    try:
        with TemporaryDirectory() as folder:
            for name, answer in _answered(loaded, Inputs(images, _shape(loaded), Path(folder), fail, _note), live):
                if isinstance(answer, FoveateError):
                    fail(name, str(answer))
                else:
                    written = [] if kept is None else kept.write(name, answer)
                    printer.answered(name, _best(loaded, answer, top), written)
        printer.end()
    finally:  # Ctrl-C, too
        for line in failures:
            typer.echo(f"foveate: {line}", err=True)
    if failures:
        raise typer.Exit(1)


def _note(line: str) -> None:
    typer.echo(f"foveate: {line}", err=True)


def _shape(model: "Model") -> "Shape":
    """The shape of what is preprocessed; a model without preprocessing predicts nothing, and says so in its turn."""
    return next(iter(model.graph.inputs.values())) if model.preprocessing is None else model.preprocessing.shape


def _answered(model: "Model", given: "Inputs", live: bool) -> Iterator[tuple[str, Any]]:
    """The name of each sample and its answer or error, as soon as its batch has run."""
    waiting: deque[Sample] = deque()
    samples = iter(given)
    first = next(samples, None)
    if first is None:
        if not given.failed:
            raise DataError("standard input names no files; give paths, one on each line, or an image or a .npy file")
        return

    def contents() -> Iterator[Any]:
        for sample in chain([first], samples):
            waiting.append(sample)
            yield sample.content

    # Answers that appear on the terminal one by one show the progress well enough.
    screen = None if live and sys.stdout.isatty() else sys.stderr
    with Bar(screen, given.count, "predicting", patience=PATIENCE_SECONDS) as bar:
        for answer in model.stream(contents(), return_errors=True):
            sample = waiting.popleft()
            yield sample.name, _renamed(answer, sample) if isinstance(answer, FoveateError) else answer
            bar.move(1)


def _renamed(error: FoveateError, sample: "Sample") -> FoveateError:
    """The error of a file that came on standard input, which has a name of our own."""
    from foveate.cli.inputs import STANDARD_INPUT

    came = sample.name.startswith(STANDARD_INPUT) and isinstance(sample.content, Path)
    return FoveateError(str(error).replace(named(sample.content), "standard input")) if came else error


def _best(model: "Model", decoded: Any, top: int | None) -> Answers:
    """The best answers by output, whose name is empty if there is only one."""
    names = model.classes
    if names is None:
        return {name: list(each[:top]) for name, each in _answers(model, decoded).items()}
    return {"": [(names[index], float(decoded[index])) for index in (-decoded).argsort(kind="stable")[: top or 3]]}


def _answers(model: "Model", decoded: Any) -> "dict[str, Answer]":
    """The answers of a task other than classification for an image, by output if there are several."""
    from foveate.tasks import Several

    if isinstance(model.task, Several):
        return {name: task.answers(decoded[name][None])[0] for name, task in model.task.tasks.items()}
    assert model.task is not None, "stream() asks for a task"
    return {"": model.task.answers(decoded[None])[0]}


class _Text:
    """A line for each image; probabilities of classes in per cent."""

    def __init__(self, *, classes: bool) -> None:
        self._classes = classes

    def answered(self, name: str, answers: Answers, masks: Sequence[Path]) -> None:
        told = "; ".join(self._told(output, answer) for output, answer in answers.items())
        typer.echo(f"{printable(name, LONGEST_PATH)}: {told}")

    def failed(self, name: str, sentence: str) -> None:
        """Nothing: the sentences come at the end."""

    def end(self) -> None:
        """Nothing is left to print."""

    def _told(self, output: str, answer: "Answer") -> str:
        if self._classes:
            return ", ".join(f"{name} {100 * (value or 0):.1f} %" for name, value in answer)
        said = ", ".join(f"{name} {number_words(value)}" for name, value in answer) or "nothing"
        return f"{output}: {said}" if output else said


class _JsonLines(_Text):
    """A line of JSON for each image, with its answers or its error."""

    def answered(self, name: str, answers: Answers, masks: Sequence[Path]) -> None:
        written = {"masks": [str(path) for path in masks]} if masks else {}
        self.put({"image": name, **self._plain(answers), **written})

    def failed(self, name: str, sentence: str) -> None:
        self.put({"image": name, "error": sentence})

    def put(self, entry: dict[str, Any]) -> None:
        """Print an entry."""
        print_json_line(entry)

    def _plain(self, answers: Answers) -> dict[str, Any]:
        """Names with their numbers, or a dict of such lists if outputs have names."""
        if self._classes:
            return {"classes": [{"name": name, "probability": value} for name, value in answers[""]]}
        named = {output: [{"name": name, "value": value} for name, value in each] for output, each in answers.items()}
        return {"answers": named.get("", named)}


class _Document(_JsonLines):
    """One JSON document at the end."""

    def __init__(self, *, classes: bool) -> None:
        super().__init__(classes=classes)
        self._listed: list[dict[str, Any]] = []

    def put(self, entry: dict[str, Any]) -> None:
        self._listed.append(entry)

    def end(self) -> None:
        print_json({"format": 1, "images": self._listed})


class _CsvRows(_Text):
    """A row for each answer, or for an image without one."""

    def __init__(self, *, classes: bool) -> None:
        super().__init__(classes=classes)
        self._row("image", "output", "name", "value", "error")

    def answered(self, name: str, answers: Answers, masks: Sequence[Path]) -> None:
        for output, answer in answers.items():
            for each, value in answer:
                self._row(name, output, each, "" if value is None else repr(value), "")

    def failed(self, name: str, sentence: str) -> None:
        self._row(name, "", "", "", sentence)

    def _row(self, *cells: str) -> None:
        line = StringIO()
        csv.writer(line, lineterminator="").writerow([for_csv(printable(cell, LONGEST_PATH)) for cell in cells])
        typer.echo(line.getvalue())

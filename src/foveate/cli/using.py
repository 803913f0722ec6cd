"""`foveate evaluate` and `foveate predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.output import EngineOption, JsonOption, ThreadsOption, print_json, use_threads

if TYPE_CHECKING:
    from foveate.data import Dataset
    from foveate.model import Evaluation, Model
    from foveate.tasks import Answer

ModelArgument = Annotated[Path, typer.Argument(help="A model.safetensors file.")]


def evaluate(
    model: ModelArgument,
    dataset: Annotated[str, typer.Argument(help="A data set's name, or a folder with a subfolder for each class.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Samples that are run at once.")] = 256,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on the test images of a data set.

    Example: foveate evaluate runs/fashion/model.safetensors fashion-mnist --json
    """
    from foveate.model import load

    use_threads(threads)
    loaded = load(model, engine=engine)
    result = loaded.evaluate(_test_images(loaded, dataset), batch_size=batch_size)
    names = loaded.classes
    if as_json:
        print_json({**result.to_json(), **({} if names is None else {"classes": list(names)})})
    elif names is None:
        _print_numbers(result)
    else:
        _print_classes(result, names)


def predict(
    model: ModelArgument,
    images: Annotated[list[Path], typer.Argument(help="Image files.", metavar="IMAGE...")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name, the most probable first.")] = 3,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is on images: classes with probabilities, or what else the model is for.

    Example: foveate predict runs/fashion/model.safetensors photo.png --top 3
    """
    from foveate.model import load

    use_threads(threads)
    loaded = load(model, engine=engine)
    if loaded.classes is None:
        _print_answers(loaded, images, as_json)
        return
    names = loaded.class_names
    found = [
        (str(path), [(names[index], float(row[index])) for index in (-row).argsort(kind="stable")[:top]])
        for path, row in zip(images, loaded.predict(images), strict=True)
    ]
    if as_json:
        pairs = ((path, [{"name": name, "probability": share} for name, share in best]) for path, best in found)
        print_json({"format": 1, "images": [{"image": path, "classes": classes} for path, classes in pairs]})
        return
    for path, best in found:
        typer.echo(f"{path}: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in best))


def _print_classes(result: "Evaluation", names: Sequence[str]) -> None:
    typer.echo(f"accuracy: {100 * result.accuracy:.2f} % of {result.samples:,} samples\nloss: {result.loss:.4f}")
    width = max(len(name) for name in names)
    for name, share in zip(names, result.per_class, strict=True):
        typer.echo(f"  {name:{width}}  " + ("no sample" if share is None else f"{100 * share:6.2f} %"))


def _print_numbers(result: "Evaluation") -> None:
    """The metrics of any task, and under each what it is for each label or value."""
    typer.echo(f"loss: {result.loss:.4f} over {result.samples:,} samples")
    for name, value in result.numbers.items():
        typer.echo(f"{name}: {_number(value)}")
        parts = result.measured.each.get(name, {})
        width = max(map(len, parts), default=0)
        for part, each in parts.items():
            typer.echo(f"  {part:{width}}  {_number(each)}")


def _print_answers(model: "Model", images: list[Path], as_json: bool) -> None:
    """What a task other than classification says of each image, output by output where there are several."""
    answers = model.answers(images)
    by_output = answers if isinstance(answers, dict) else {"": answers}
    by_image = [
        (str(path), {name: each[place] for name, each in by_output.items()}) for place, path in enumerate(images)
    ]
    if as_json:
        print_json({"format": 1, "images": [{"image": path, "answers": _plain(each)} for path, each in by_image]})
        return
    for path, each in by_image:
        typer.echo(f"{path}: " + "; ".join(_told(name, answer) for name, answer in each.items()))


def _plain(answers: "dict[str, Answer]") -> Any:
    """A list of names with their numbers, or a dict of them where outputs have names."""
    named = {output: [{"name": name, "value": value} for name, value in each] for output, each in answers.items()}
    return named.get("", named)


def _told(output: str, answer: "Answer") -> str:
    said = ", ".join(f"{name} {_number(value)}" for name, value in answer) or "nothing"
    return f"{output}: {said}" if output else said


def _number(value: float | None) -> str:
    return "undetermined" if value is None else f"{value:.4g}"


def _test_images(model: "Model", dataset: str) -> "Dataset":
    """The test images, split off by the model's own seed: those of a folder that it was not trained on."""
    from foveate.data import datasets

    if dataset not in datasets.DATASETS and Path(dataset).is_dir():
        return datasets.image_folder(dataset, shape=model.graph.input_shape, seed=model.seed).test
    return datasets.load(dataset, seed=model.seed).test

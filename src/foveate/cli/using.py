"""`foveate evaluate` and `foveate predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.output import EngineOption, JsonOption, ThreadsOption, print_json, use_threads

if TYPE_CHECKING:
    from foveate.data import Dataset
    from foveate.model import Model

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
    names = loaded.class_names
    if as_json:
        print_json({**result.to_json(), "classes": list(names)})
        return
    typer.echo(f"accuracy: {100 * result.accuracy:.2f} % of {result.samples:,} samples\nloss: {result.loss:.4f}")
    width = max(len(name) for name in names)
    for name, share in zip(names, result.per_class, strict=True):
        typer.echo(f"  {name:{width}}  " + ("no sample" if share is None else f"{100 * share:6.2f} %"))


def predict(
    model: ModelArgument,
    images: Annotated[list[Path], typer.Argument(help="Image files.", metavar="IMAGE...")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name, the most probable first.")] = 3,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is on images, with probabilities.

    Example: foveate predict runs/fashion/model.safetensors photo.png --top 3
    """
    from foveate.model import load

    use_threads(threads)
    loaded = load(model, engine=engine)
    names = loaded.class_names
    found = [
        (str(path), [(names[index], float(row[index])) for index in (-row).argsort(kind="stable")[:top]])
        for path, row in zip(images, loaded.predict(images), strict=True)
    ]
    if as_json:
        pairs = ((path, [{"name": name, "probability": share} for name, share in best]) for path, best in found)
        print_json([{"image": path, "classes": classes} for path, classes in pairs])
        return
    for path, best in found:
        typer.echo(f"{path}: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in best))


def _test_images(model: "Model", dataset: str) -> "Dataset":
    """The test images, split off by the model's own seed: those of a folder that it was not trained on."""
    from foveate.data import datasets

    if dataset not in datasets.DATASETS and Path(dataset).is_dir():
        return datasets.image_folder(dataset, shape=model.graph.input_shape, seed=model.seed).test
    return datasets.load(dataset, seed=model.seed).test

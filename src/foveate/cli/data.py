"""`foveate data fetch`, `list`, `image`, `show`, `pack` and `cache`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.models import open_model
from foveate.cli.output import LARGEST, Commands, JsonOption, print_json, unused, wrapped, write_image
from foveate.cli.sources import (
    FitOption,
    FolderOptions,
    SizeOption,
    SplitOption,
    TestOption,
    ValidationOption,
    told_otherwise,
)
from foveate.errors import DataError
from foveate.text import printable

if TYPE_CHECKING:
    pass

commands = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Download datasets, list what is available, look at folders of images, and pack data into shards.",
)


@commands.command()
def fetch(name: Annotated[str, typer.Argument(help="Name of the dataset.")], as_json: JsonOption = False) -> None:
    """Download a dataset and verify it.

    Example: foveate data fetch fashion-mnist
    """
    from foveate.data import datasets
    from foveate.graph import nearest

    if name not in datasets.DATASETS:
        raise DataError(f'there is no dataset "{name}".{nearest(name, datasets.DATASETS)}')
    entry = datasets.DATASETS[name]
    data = entry.load()
    counts = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
    if as_json:
        print_json({"name": name, "folder": str(entry.find()), **counts})
        return
    parts = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    typer.echo(f"{name}: {parts} samples in {entry.find()}")


@commands.command()
def image(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    number: Annotated[int, typer.Argument(min=0, max=LARGEST, help="Which test image, counting from 0.")] = 0,
    out: Annotated[Path | None, typer.Option(help="File to write (default: photo.png).")] = None,
) -> None:
    """Save a test image from a dataset as a file for `foveate predict` and `foveate explain`.

    Example: foveate data image fashion-mnist 0 --out photo.png
    """
    from PIL import Image

    from foveate.data import datasets

    out = unused(out, "photo.png")
    test = datasets.load(name).test
    if number >= len(test):
        raise DataError(f"there is no image {number}: the {len(test):,} test images are numbered 0 to {len(test) - 1}")
    pixels = test.inputs[number]
    write_image(Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)), out)
    typer.echo(f"{out}: {printable(test.classes[int(test.labels[number])])}, test image {number} of {name}")


@commands.command()
def show(
    folder: Annotated[str, typer.Argument(help="A folder with one subfolder per class.")],
    model: Annotated[Path | None, typer.Option(help="A model.safetensors file, to see what that model gets.")] = None,
    size: SizeOption = None,
    fit: FitOption = None,
    each: Annotated[int, typer.Option(min=1, max=1000, help="Images of each class.")] = 8,
    out: Annotated[Path, typer.Option(help="File to write, such as sheet.png.")] = Path("contact-sheet.png"),
) -> None:
    """Say what is in a folder of images, and draw a contact sheet of what a network gets of them.

    Example: foveate data show photos --size 64 --fit pad --out sheet.png
    """
    from foveate.data import datasets

    given = FolderOptions(size, fit).given()
    if model is not None and given:
        raise typer.BadParameter(f"--{next(iter(given))} is for a new network; the one in --model has its own")
    prepared = None if model is None else open_model(model, None).preprocessing
    sheet = datasets.contact_sheet(folder, each=each, preprocessing=prepared, **given)
    write_image(sheet.image, out)
    typer.echo(f"{printable(Path(folder).resolve().name)}: {sheet.found}\ncontact sheet: {out}")


@commands.command()
def pack(
    source: Annotated[
        str,
        typer.Argument(help="A folder with one subfolder per class, the name of a dataset, or a .npz file of arrays."),
    ],
    shards: Annotated[Path, typer.Argument(help="A new folder for the shards.")],
    shard_size: Annotated[
        float, typer.Option(min=0.001, max=1e6, metavar="MB", help="Megabytes of a shard, at most.")
    ] = 256,
    split: SplitOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    seed: Annotated[int, typer.Option(help="Chooses the order, and what is for validation and test.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads that read images (default: one for each core).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write data as shards: tar files that training streams, so that they need not fit into memory.

    Images keep their bytes; the class of each is beside it, as WebDataset has it. A .npz file has the arrays inputs
    (N, C, H, W) and labels (N,), and perhaps classes.

    Example: foveate data pack photos shards && foveate train shards
    """
    from foveate.data import datasets

    given = FolderOptions(split=split, validation=validation, test=test).given()
    with told_otherwise():
        made = datasets.pack(source, shards, seed=seed, shard_size=shard_size, threads=threads, **given)
    counts = {"train": len(made.train), "validation": len(made.validation), "test": len(made.test)}
    if as_json:
        print_json({"folder": str(shards), "found": made.found, "classes": list(made.classes), **counts})
        return
    typer.echo(f"{printable(shards)}: {made.found}")


@commands.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all that is kept.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say where decoded images are kept, so that a second training starts at once, and how much room they take.

    Less than 8 MB of files and of pixels is not kept, unless asked for in Python: decoding them again takes no time.
    FOVEATE_CACHE names another folder for them, FOVEATE_CACHE_GB the most that they may take (20; 0 keeps none).

    Example: foveate data cache --clear
    """
    from foveate.data import image_cache

    found = image_cache.clear() if clear else image_cache.status()
    if as_json:
        print_json({"folder": str(found.folder), "packs": found.packs, "bytes": found.size, "cleared": clear})
        return
    held = f"{found.packs:,} set{'' if found.packs == 1 else 's'} of decoded images, {found.size / 1e6:,.1f} MB"
    small = "" if found.packs else f"; less than {image_cache.KEPT_FROM >> 20} MB of images is not kept"
    room = f" of at most {image_cache.limit() / 1e6:,.0f} MB{small}"
    typer.echo(f"{found.folder}: {held}{' deleted' if clear else room}")


@commands.command(name="list")
def list_datasets(as_json: JsonOption = False) -> None:
    """List the known datasets and where they are stored.

    Example: foveate data list --json
    """
    from foveate.data import datasets

    found = datasets.status()
    if as_json:
        print_json(
            [
                {"name": each.name, "description": each.description, "folder": each.folder and str(each.folder)}
                for each in found
            ]
        )
        return
    for each in found:
        place = f"in {each.folder}" if each.found else f"not here; foveate data fetch {each.name}"
        typer.echo(wrapped(f"{each.name}: {each.description}, {place}", sys.stdout))

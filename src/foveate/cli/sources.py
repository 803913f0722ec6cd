"""Where the commands get their data from: a dataset by name, or a folder of images with the options for it."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.output import LARGEST
from foveate.cli.shapes import typed_sizes
from foveate.errors import DataError, FoveateError

if TYPE_CHECKING:
    from foveate.data import Preprocessing, Splits
    from foveate.data.held_out import HeldOut
    from foveate.model import Model

SizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="PIXELS", help="Size of the network's images: 224, or HEIGHTxWIDTH (default: the network's own)."
    ),
]


class FitName(StrEnum):
    """Ways to bring an image to other proportions."""

    CROP = "crop"
    PAD = "pad"
    STRETCH = "stretch"


FitOption = Annotated[FitName | None, typer.Option(help="How images get the network's proportions (default: crop).")]
SplitOption = Annotated[
    str | None,
    typer.Option(metavar="SHARES", help="Shares of training, validation and test (default: 0.8/0.1/0.1)."),
]
ValidationOption = Annotated[Path | None, typer.Option(help="Another folder with the images for validation.")]
BufferOption = Annotated[
    float | None,
    typer.Option(metavar="MB", help="Megabytes of samples that are held at once while shards are read (default: 256)."),
]
TestOption = Annotated[Path | None, typer.Option(help="Another folder with the images for the test.")]


@dataclass(frozen=True)
class FolderOptions:
    """How a folder of images or shards are read, as typed."""

    size: str | None = None
    fit: FitName | None = None
    split: str | None = None
    validation: Path | None = None
    test: Path | None = None
    buffer: float | None = None

    def given(self) -> dict[str, Any]:
        """Those that were typed, for `image_folder`."""
        parsed = {
            "size": None if self.size is None else _sides(self.size),
            "fit": None if self.fit is None else self.fit.value,
            "split": None if self.split is None else _shares(self.split),
            "validation": self.validation,
            "test": self.test,
            "buffer": self.buffer,
        }
        return {name: value for name, value in parsed.items() if value is not None}


def is_folder(dataset: str) -> bool:
    """Whether the data are a folder of images, and not a dataset known by that name."""
    from foveate.data import datasets
    from foveate.data.shards.opening import are_shards

    return datasets.named_data(dataset) is None and not are_shards(dataset) and Path(dataset).is_dir()


def of_shards(dataset: str) -> bool:
    """Whether the data are shards, and not a dataset known by that name."""
    from foveate.data import datasets
    from foveate.data.shards.opening import are_shards

    return datasets.named_data(dataset) is None and are_shards(dataset)


def of_images(data: "Splits") -> bool:
    """Whether the data are files of images, in folders or in shards."""
    from foveate.data.datasets import ShardedDataset

    return data.train.of_images if isinstance(data.train, ShardedDataset) else bool(data.found)


def load_data(
    dataset: str,
    options: FolderOptions = FolderOptions(),
    *,
    seed: int,
    size: tuple[int, int] | None = None,
    shape: tuple[int, ...] | None = None,
    preprocessing: "Preprocessing | None" = None,
    record: Mapping[str, Any] | None = None,
) -> "Splits":
    """A dataset by name, or a folder's images.

    Args:
        dataset: the name or the folder.
        options: what was typed for a folder.
        seed: for the split.
        size: height and width for a folder's images if none was typed.
        shape: that of a model's input.
        preprocessing: that of a model, which brings a folder's images to its shape.
        record: the split that a folder's images already have.
    """
    from foveate.data import datasets

    given = options.given()
    if of_shards(dataset):
        return _load_shards(dataset, given, seed=seed, size=size, shape=shape, preprocessing=preprocessing)
    if "buffer" in given:
        raise typer.BadParameter(f"--buffer is for shards, but {dataset} is none; `foveate data pack` writes them")
    if not is_folder(dataset):
        if given and datasets.named_data(dataset) is not None:
            raise typer.BadParameter(f"--{next(iter(given))} is for a folder of images, but {dataset} is a dataset")
        return datasets.load(dataset, seed=seed, shape=shape)
    _check_own(given, shape)
    if size is not None:
        given.setdefault("size", size)
    with told_otherwise():
        return datasets.image_folder(
            dataset, seed=seed, shape=shape, preprocessing=preprocessing, record=record, **given
        )


def _check_own(given: Mapping[str, Any], shape: tuple[int, ...] | None) -> None:
    if shape is not None and (own := [name for name in ("size", "fit") if name in given]):
        raise typer.BadParameter(f"--{own[0]} is for a new network; the one in --from has its own")


def _load_shards(
    dataset: str,
    given: dict[str, Any],
    *,
    seed: int,
    size: tuple[int, int] | None,
    shape: tuple[int, ...] | None,
    preprocessing: "Preprocessing | None",
) -> "Splits":
    """Shards, which were split when they were packed; arguments as for `load_data`."""
    from foveate.data.shards.opening import opened

    _check_own(given, shape)
    if split := [name for name in ("split", "validation", "test") if name in given]:
        raise typer.BadParameter(f"--{split[0]} belongs to `foveate data pack`: shards are split already")
    return opened(dataset, usual=size, seed=seed, shape=shape, preprocessing=preprocessing, **given)


def held_out_images(model: "Model", folder: str) -> "HeldOut":
    """The images of a folder that the model has not seen."""
    from foveate.data import Preprocessing
    from foveate.data.held_out import held_out

    shape = model.graph.input_shape
    plain = Preprocessing(shape, (0.0,) * shape[0], (1.0,) * shape[0])
    with told_otherwise():
        return held_out(folder, model.preprocessing or plain, classes=model.classes, record=model.splits)


@contextmanager
def told_otherwise() -> Iterator[None]:
    """No warning of images that were skipped; a line on what was found names them."""
    from foveate.data.datasets import SkippedImagesWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImagesWarning)
        yield


def earlier_record(out: Path, seed: int, options: FolderOptions) -> Mapping[str, Any] | None:
    """The split of the run that is in the folder `out` already, unless other shares or another seed are wanted."""
    from foveate.data.splitting import Placement
    from foveate.files import read_description
    from foveate.training import RunFolder

    run = RunFolder(out)
    for path in (run.model, run.checkpoint):
        try:
            record = read_description(path).splits
        except FoveateError:
            continue
        placement = Placement.from_json(record)
        if placement is not None and placement.seed == seed and options.split is None:
            return record
    return None


def _sides(words: str) -> int | tuple[int, int]:
    numbers = typed_sizes(words)
    if len(numbers) > 2 or not all(each.isdecimal() and 0 < int(each) <= LARGEST for each in numbers):
        raise typer.BadParameter(f'--size "{words}" is neither a number of pixels nor HEIGHTxWIDTH, such as 224')
    sides = tuple(map(int, numbers))
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _shares(words: str) -> tuple[float, float, float]:
    from foveate.data.splitting import checked_shares

    try:
        return checked_shares([float(each) for each in words.split("/")])
    except (ValueError, DataError):
        raise typer.BadParameter(
            f'--split "{words}" is not three positive shares of training, validation and test that add up to 1, such '
            "as 0.8/0.1/0.1, or a ratio such as 8/1/1"
        ) from None

"""Data sets by name, and folders of images as data sets: what `fv.datasets` offers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foveate.calls import path_from
from foveate.data import fashion_mnist as _fashion_mnist
from foveate.data.contact_sheet import ContactSheet, contact_sheet
from foveate.data.dataset import Splits
from foveate.data.fashion_mnist import fashion_mnist
from foveate.data.held_out import HeldOut, held_out
from foveate.data.image_folder import SkippedImagesWarning, image_folder
from foveate.errors import DataError
from foveate.graph import nearest
from foveate.layers import Shape

__all__ = [
    "DATASETS",
    "ContactSheet",
    "DatasetEntry",
    "DatasetStatus",
    "HeldOut",
    "SkippedImagesWarning",
    "contact_sheet",
    "fashion_mnist",
    "held_out",
    "image_folder",
    "load",
    "status",
]


class Loader(Protocol):
    """A function that loads a data set, split by a seed."""

    def __call__(self, *, seed: int = 0) -> Splits:
        """The data set in three parts."""


@dataclass(frozen=True)
class DatasetEntry:
    """A named data set: its title, how to load it, one line about it, and where it is, if anywhere."""

    title: str
    load: Loader
    description: str
    find: Callable[[], Path | None]


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a named data set is on this computer, and in which folder."""

    name: str
    title: str
    description: str
    folder: Path | None

    @property
    def found(self) -> bool:
        """Whether it can be loaded without fetching anything."""
        return self.folder is not None


DATASETS: dict[str, DatasetEntry] = {
    "fashion-mnist": DatasetEntry(
        title="Fashion-MNIST",
        load=fashion_mnist,
        description="70,000 grey 28x28 pictures of clothes in 10 classes (30 MB)",
        find=_fashion_mnist.find,
    ),
}
"""Every named data set."""


def load(name: str | Path, *, seed: int = 0, shape: Shape | None = None) -> Splits:
    """The data set called `name`, or the images in the folder of that path (see `image_folder`).

    Args:
        name: a name in `DATASETS`, or the path of a folder with one subfolder of images for each class.
        seed: chooses which samples are for validation.
        shape: the shape of a folder's images (default: as `image_folder` chooses); a named data set keeps its own.

    Raises:
        DataError: there is neither such a data set nor such a folder, or it cannot be loaded.
        FileError: one of its files is damaged.
    """
    path_from(name, "name")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DataError(f"seed is {seed!r}; it must be an int")
    if str(name) in DATASETS:
        return DATASETS[str(name)].load(seed=seed)
    if Path(name).is_dir():
        return image_folder(name, shape=shape, seed=seed)
    raise DataError(
        f'there is no data set and no folder "{name}".{nearest(str(name), DATASETS)}; or give the path of a '
        "folder with one subfolder of images for each class"
    )


def status() -> list[DatasetStatus]:
    """Each named data set with the folder in which it was found; nothing is fetched."""
    return [DatasetStatus(name, entry.title, entry.description, entry.find()) for name, entry in DATASETS.items()]

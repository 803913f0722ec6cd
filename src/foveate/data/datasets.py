"""Datasets by name, and folders of images as datasets: what `fv.datasets` offers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foveate.calls import path_from
from foveate.data.cifar_sets import CIFAR10, CIFAR100, cifar10, cifar100
from foveate.data.contact_sheet import ContactSheet, contact_sheet
from foveate.data.dataset import Splits
from foveate.data.held_out import HeldOut, held_out
from foveate.data.idx_sets import FASHION_MNIST, MNIST, fashion_mnist, mnist
from foveate.data.image_folder import SkippedImagesWarning, image_folder
from foveate.data.published import Published
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
    "cifar10",
    "cifar100",
    "contact_sheet",
    "fashion_mnist",
    "held_out",
    "image_folder",
    "load",
    "mnist",
    "named_data",
    "status",
]


class Loader(Protocol):
    """A function that loads a dataset, split by a seed."""

    def __call__(self, *, seed: int = 0, folder: str | Path | None = None) -> Splits:
        """The dataset in three parts."""


@dataclass(frozen=True)
class DatasetEntry:
    """A named dataset.

    Its title, how to load it, one line about it, where it is, if anywhere, whether files at a path are this dataset,
    and whether a mirrored image still shows its class.
    """

    title: str
    load: Loader
    description: str
    find: Callable[[], Path | None]
    is_at: Callable[[Path], bool] = lambda path: False
    mirrored: bool = True


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a named dataset is on this computer, and in which folder."""

    name: str
    title: str
    description: str
    folder: Path | None

    @property
    def found(self) -> bool:
        """Whether it can be loaded without fetching anything."""
        return self.folder is not None


_LOADERS: tuple[tuple[Published, Loader], ...] = (
    (FASHION_MNIST, fashion_mnist),
    (MNIST, mnist),
    (CIFAR10, cifar10),
    (CIFAR100, cifar100),
)

DATASETS: dict[str, DatasetEntry] = {
    each.name: DatasetEntry(each.title, load, each.description, each.find, each.is_at, each.mirrored)
    for each, load in _LOADERS
}
"""Every named dataset."""


def load(name: str | Path, *, seed: int = 0, shape: Shape | None = None) -> Splits:
    """The dataset called `name`, or what is at that path: files of a named dataset, or a folder of images.

    Args:
        name: a name in `DATASETS`; the path of a folder with the files of one of them, or of a CIFAR archive; or the
            path of a folder with one subfolder of images for each class (see `image_folder`).
        seed: chooses which samples are for validation.
        shape: the shape of a folder's images (default: as `image_folder` chooses); a named dataset keeps its own.

    Raises:
        DataError: there is neither such a dataset nor such a folder, or it cannot be loaded.
        FileError: one of its files is damaged.
    """
    path_from(name, "name")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DataError(f"seed is {seed!r}; it must be an int")
    if str(name) in DATASETS:
        return DATASETS[str(name)].load(seed=seed)
    known = named_data(name)
    if known is not None:
        return DATASETS[known].load(seed=seed, folder=name)
    if Path(name).is_dir():
        return image_folder(name, shape=shape, seed=seed)
    raise DataError(
        f'there is no dataset and no folder "{name}".{nearest(str(name), DATASETS)}; or give the path of a '
        "folder with one subfolder of images for each class"
    )


def named_data(name: str | Path) -> str | None:
    """The name in `DATASETS` that `name` is, or whose files are at that path; None for anything else."""
    if str(name) in DATASETS:
        return str(name)
    path = path_from(name, "name")
    return next((known for known, entry in DATASETS.items() if entry.is_at(path)), None) if path.exists() else None


def status() -> list[DatasetStatus]:
    """Each named dataset with the folder in which it was found; nothing is fetched."""
    return [DatasetStatus(name, entry.title, entry.description, entry.find()) for name, entry in DATASETS.items()]

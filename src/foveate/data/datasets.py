"""Datasets by name, and folders of images as datasets: what `fv.datasets` offers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foveate.calls import called, path_from
from foveate.data.array_sets import array_set, is_array_set
from foveate.data.cifar_sets import CIFAR10, CIFAR100, cifar10, cifar100
from foveate.data.contact_sheet import ContactSheet, contact_sheet
from foveate.data.dataset import Splits
from foveate.data.held_out import HeldOut, held_out
from foveate.data.idx_sets import FASHION_MNIST, MNIST, fashion_mnist, mnist
from foveate.data.image_folder import SkippedImagesWarning, image_folder
from foveate.data.published import Published
from foveate.data.shards.opening import are_shards, shards
from foveate.data.shards.packing import SHARD_MB, Arrays, Images, Source, read_npz, write_shards
from foveate.data.shards.places import is_url
from foveate.data.shards.sharded import ShardedDataset
from foveate.data.splitting import SHARES, checked_shares
from foveate.errors import DataError
from foveate.graph import nearest
from foveate.layers import Shape

__all__ = [
    "DATASETS",
    "ContactSheet",
    "DatasetEntry",
    "DatasetStatus",
    "HeldOut",
    "ShardedDataset",
    "SkippedImagesWarning",
    "array_set",
    "cifar10",
    "cifar100",
    "contact_sheet",
    "fashion_mnist",
    "held_out",
    "image_folder",
    "load",
    "mnist",
    "named_data",
    "pack",
    "shards",
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
            path of a folder with one subfolder of images for each class (see `image_folder`), or of shards or their URL
            (see `shards`); or of a .npz file of arrays (see `array_set`).
        seed: chooses which samples are for validation.
        shape: the shape of a folder's images (default: as `image_folder` chooses); a named dataset keeps its own.

    Raises:
        DataError: there is neither such a dataset nor such a folder, or it cannot be loaded.
        FileError: one of its files is damaged.
    """
    if not is_url(name):
        path_from(name, "name")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DataError(f"seed is {seed!r}; it must be an int")
    if str(name) in DATASETS:
        return DATASETS[str(name)].load(seed=seed)
    known = named_data(name)
    if known is not None:
        return DATASETS[known].load(seed=seed, folder=name)
    if are_shards(name):
        return shards(name, shape=shape, seed=seed)
    if is_array_set(name) and Path(name).exists():
        return array_set(name, seed=seed)
    if Path(name).is_dir():
        return image_folder(name, shape=shape, seed=seed)
    raise DataError(
        f'there is no dataset and no folder "{name}".{nearest(str(name), DATASETS)}; or give the path of a '
        "folder with one subfolder of images for each class, or of a .npz file with the arrays inputs and labels"
    )


@called()
def pack(
    source: str | Path | Splits,
    folder: str | Path,
    *,
    seed: int = 0,
    shard_size: float = SHARD_MB,
    split: tuple[float, float, float] = SHARES,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    progress: bool = True,
    threads: int | None = None,
) -> Splits:
    """Write data as shards: plain tar files with an index, from which training streams what memory does not hold.

    Images keep their bytes; each is decoded once, and those that cannot be are left out. Arrays become .npy members.
    Samples lie in random order in files called train-000000.tar and so on, with the number of their class beside them
    in a .cls member, as WebDataset has it. Images with the same content are in the same part, as for `image_folder`.

    Args:
        source: a folder with one subfolder of images for each class; the name or the files of a dataset; a .npz file
            with `inputs` (N, C, H, W), `labels` (N,) and perhaps `classes`; or a dataset in three parts.
        folder: the folder for the shards, a new or an empty one.
        seed: chooses the order, and which samples are for validation and test.
        shard_size: megabytes of a shard.
        split: the shares of training, validation and test.
        validation: another folder with the images for validation, if the source is a folder.
        test: another folder with the images for the test, likewise.
        progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.
        threads: threads that read images (default: one for each core).

    Returns:
        the dataset that `shards` gives for the folder.

    Raises:
        FileError: the folder is not empty, or cannot be written; nothing remains in it.
        DataError: the source cannot be used.
    """
    shares = checked_shares(split)
    given = {part: path_from(path, part) for part, path in (("validation", validation), ("test", test)) if path}
    origin: Source
    if isinstance(source, Splits):
        origin, name = Arrays(source, seed, source.record), source.name
    elif str(source).lower().endswith(".npz"):
        origin, name = read_npz(path_from(source, "source"), seed, shares), Path(source).stem
    elif named_data(source) is not None or not Path(source).is_dir():
        splits = load(source, seed=seed)
        origin, name = Arrays(splits, seed, splits.record), splits.name
    else:
        root = Path(source)
        origin = Images(root, given=given, seed=seed, shares=shares, threads=threads, progress=progress)
        name = root.resolve().name
    write_shards(origin, folder, name, size=shard_size, progress=progress)
    return shards(folder, progress=progress)


def named_data(name: str | Path) -> str | None:
    """The name in `DATASETS` that `name` is, or whose files are at that path; None for anything else."""
    if str(name) in DATASETS:
        return str(name)
    if is_url(name):
        return None
    path = path_from(name, "name")
    return next((known for known, entry in DATASETS.items() if entry.is_at(path)), None) if path.exists() else None


def status() -> list[DatasetStatus]:
    """Each named dataset with the folder in which it was found; nothing is fetched."""
    return [DatasetStatus(name, entry.title, entry.description, entry.find()) for name, entry in DATASETS.items()]

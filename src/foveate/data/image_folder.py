"""A folder of images as a data set: one subfolder for each class."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from foveate.calls import path_from
from foveate.data.dataset import Dataset, Splits, split
from foveate.data.images import SUFFIXES, read_pixels, read_size
from foveate.data.preprocessing import Preprocessing
from foveate.data.resizing import Resizing
from foveate.errors import DataError, FileError
from foveate.geometry import format_sizes
from foveate.layers import Shape
from foveate.log import logger
from foveate.progress import watched
from foveate.text import named, printable

LONGEST_SIDE = 128
"""Images without a given shape are scaled down to this, so photographs do not fill the memory."""

_NAMED = 3


class SkippedImagesWarning(UserWarning):
    """Image files that could not be read were left out of a data set."""


def image_folder(folder: str | Path, *, shape: Shape | None = None, seed: int = 0, progress: bool = True) -> Splits:
    """The images in `folder`/class/*.png (or .jpg, .gif, .bmp, .tif, .webp, .ppm) as a data set.

    The classes are the subfolders in natural order (2 before 10); hidden ones are left out. Images that cannot be read
    are skipped, and a warning counts and names them. A tenth is kept for validation and a tenth for the test.

    Args:
        folder: a folder with one subfolder for each class.
        shape: (1, H, W) for grey or (3, H, W) for RGB; every image is stretched to it. None takes grey if all images
            are grey, and the median height and width, scaled down to 128 on the longer side.
        seed: chooses which images are for validation and test.
        progress: whether to show a live bar, on a terminal or in a notebook, if reading takes over two seconds.

    Raises:
        FileError: there is no such folder.
        DataError: it has no subfolders with images, or too few images that can be read.
    """
    root = path_from(folder, "folder")
    if shape is not None and not _is_of_images(shape):
        raise DataError(f"shape is {shape!r}; give (1, H, W) for grey images or (3, H, W) for RGB")
    classes, paths, labels = _list_images(root)
    skipped: dict[Path, str] = {}
    if shape is None:
        shape = _common_shape(paths, skipped)
    inputs, kept = _read_all(paths, shape, skipped, progress)
    if skipped:
        warnings.warn(_skipped_sentence(root, skipped, len(paths)), SkippedImagesWarning, stacklevel=2)
    kept_labels = np.asarray(labels, np.int64)[kept]
    _check_counts(root, classes, kept_labels)
    logger.info("read %d images of %s in %s", len(kept), format_sizes(shape), root)
    tenth = max(1, round(len(kept) / 10))
    rest, test = split(Dataset(inputs, kept_labels, classes), tenth, seed)
    train, validation = split(rest, tenth, seed)
    return Splits(train, validation, test, Preprocessing.measure(train), name=root.resolve().name)


def natural_key(name: str) -> list[tuple[str, int]]:
    """Key that sorts the numbers in names by value.

    >>> sorted(["10", "9", "1"], key=natural_key)
    ['1', '9', '10']
    """
    parts = re.split(r"(\d+)", name.casefold())
    return [("", int(part)) if place % 2 else (part, 0) for place, part in enumerate(parts)] + [(name, 0)]


def _is_of_images(shape: object) -> bool:
    if not isinstance(shape, Sequence) or not all(isinstance(size, int) and size > 0 for size in shape):
        return False
    return len(shape) == 3 and shape[0] in (1, 3)


def _list_images(root: Path) -> tuple[tuple[str, ...], list[Path], list[int]]:
    """Class names, the files of all images in a fixed order, and the class index of each."""
    if not root.is_dir():
        there = "is a file" if root.exists() else "does not exist"
        raise FileError(f'"{root}" {there}; a folder with one subfolder of images for each class was expected')
    folders = {path.name: path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    classes = tuple(sorted(folders, key=natural_key))
    if not classes:
        raise DataError(
            f'"{root}" has no subfolders; put the images of each class into a subfolder named after the class'
        )
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = [path for path in folders[name].iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not files:
            raise DataError(f"the class folder {named(folders[name])} has no images; {_way_out(folders[name])}")
        paths += sorted(files, key=lambda path: natural_key(path.name))
        labels += [label] * len(files)
    return classes, paths, labels


def _way_out(folder: Path) -> str:
    if any(path.is_dir() for path in folder.iterdir()):
        return "if its subfolders are the classes, give this folder"
    return f"fill it with {', '.join(SUFFIXES)} files, or remove it"


def _common_shape(paths: list[Path], skipped: dict[Path, str]) -> Shape:
    """One shape for all images, from their headers; files without a good one are entered in `skipped`."""
    sizes = []
    for path in paths:
        try:
            sizes.append(read_size(path))
        except FileError as error:
            skipped[path] = str(error)
    if not sizes:
        raise DataError(f"none of the {len(paths)} images can be read; the first: {skipped[paths[0]]}")
    height, width = (median(size[axis] for size in sizes) for axis in (1, 2))
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return max(size[0] for size in sizes), max(1, round(height * scale)), max(1, round(width * scale))


def _read_all(
    paths: list[Path], shape: Shape, skipped: dict[Path, str], progress: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pixels of all images that can be read, and their places in `paths`."""
    try:
        inputs = np.empty((len(paths), *shape), np.uint8)
    except (MemoryError, ValueError):
        raise DataError(
            f"{len(paths)} images of {format_sizes(shape)} do not fit into memory; give a smaller shape"
        ) from None
    kept: list[int] = []
    for place, path in enumerate(watched(paths, len(paths), "reading images", progress=progress)):
        if path in skipped:
            continue
        try:
            inputs[len(kept)] = read_pixels(path, shape[0], Resizing((shape[1], shape[2])))
            kept.append(place)
        except FileError as error:
            skipped[path] = str(error)
    return inputs[: len(kept)], np.asarray(kept, np.int64)


def _skipped_sentence(root: Path, skipped: dict[Path, str], count: int) -> str:
    names = ", ".join(printable(path.relative_to(root)) for path in list(skipped)[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    reason = next(iter(skipped.values()))
    return f"{len(skipped)} of {count} images in {root} cannot be read and are left out: {names}{more}. First: {reason}"


def _check_counts(root: Path, classes: tuple[str, ...], labels: NDArray[np.int64]) -> None:
    counts = Counter(labels.tolist())
    for label, name in enumerate(classes):
        if not counts[label]:
            raise DataError(
                f'no image of the class "{printable(name)}" in "{root}" can be read; replace them or remove the class'
            )
    if len(labels) < 3:
        raise DataError(
            f'"{root}" has {len(labels)} images that can be read; at least 3 are needed, one each for training, '
            "validation and test"
        )

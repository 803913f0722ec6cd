"""Shards at a place as a dataset in three parts, with the preprocessing that fits the training part."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.calls import called
from foveate.data.dataset import Splits
from foveate.data.folders import PARTS
from foveate.data.found import skipped_words
from foveate.data.image_folder import check_takes_images, unmeasured
from foveate.data.measuring import mean_and_std_of
from foveate.data.preprocessing import Preprocessing
from foveate.data.reading import Facts
from foveate.data.shards.decoding import Decoding
from foveate.data.shards.index import INDEX, Index, read_index
from foveate.data.shards.indexing import made_index
from foveate.data.shards.places import Folder, Place, is_url, place_of
from foveate.data.shards.reading import Shards
from foveate.data.shards.sharded import ShardedDataset
from foveate.errors import DataError, FileError
from foveate.geometry import format_sizes
from foveate.layers import Shape
from foveate.log import logger
from foveate.progress import watched

BUFFER_MB = 256
"""Megabytes of samples that are held at once, unless another number is given."""

_MEASURED_AT_ONCE = 1 << 22
"""Values of inputs that are measured at once."""


@called()
def shards(
    folder: str | os.PathLike[str],
    *,
    shape: Shape | None = None,
    size: int | tuple[int, int] | None = None,
    fit: str = "crop",
    preprocessing: Preprocessing | None = None,
    buffer: float = BUFFER_MB,
    seed: int = 0,
    progress: bool = True,
) -> Splits:
    """Samples in tar files as a dataset whose parts are streamed: no more than `buffer` is in memory at once.

    The shards are those that `pack` wrote, or WebDataset's: plain tar files whose samples have an image or a .npy
    array and a class in a .cls or .json member. Without an index.json they are read once, and the index is written
    beside them if that is possible; files called train*, val* and test* hold these parts, and a part without files
    gets a tenth of the samples, by their content. Nothing is unpacked.

    Args:
        folder: the folder with the shards, or a URL that fsspec opens, such as s3://bucket/shards.
        shape: of a network's input: (1, H, W) for grey or (3, H, W) for RGB images (default: as packed).
        size: height and width of images, or one number for both, if there is no `shape`.
        fit: how images of other proportions are brought to that size: "crop", "pad" or "stretch".
        preprocessing: brings images to a model's shape as it was trained; `shape`, `size` and `fit` are not used.
        buffer: megabytes of samples, as they are in the shards, that are held at once. Samples are shuffled within half
            of it, so it is part of the recipe: training resumes with the same only.
        seed: chooses which samples are for validation and test if there is no index yet.
        progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.

    Raises:
        DataError: there are no shards, or the samples do not fit what is asked for.
        FileError: a shard or the index is damaged.
    """
    return opened(
        folder,
        shape=shape,
        size=size,
        fit=fit,
        preprocessing=preprocessing,
        buffer=buffer,
        seed=seed,
        progress=progress,
    )


def opened(
    folder: str | os.PathLike[str],
    *,
    shape: Shape | None = None,
    size: int | tuple[int, int] | None = None,
    usual: tuple[int, int] | None = None,
    fit: str = "crop",
    preprocessing: Preprocessing | None = None,
    buffer: float = BUFFER_MB,
    seed: int = 0,
    progress: bool = True,
) -> Splits:
    """What `shards` gives; `usual` is the size of images that a network was made for, if no other is asked for."""
    limit = _bytes_of(buffer)
    place = place_of(folder)
    index = read_index(place)
    if index is None:
        index = made_index(place, seed=seed, progress=progress)
        _keep(index, place)
    if index.of_images and size is None:
        size = usual
    preparing = preprocessing or _unmeasured(index, shape, size, fit)
    decoding = _decoding(index, preparing, place)
    parts = {
        part: ShardedDataset(
            Shards(place, index.part(part)), decoding, index.classes, buffer=limit, origin=index.origin
        )
        for part in PARTS
        if len(index.part(part))
    }
    if missing := [part for part in PARTS if part not in parts]:
        raise DataError(f'"{place}" has no samples for {missing[0]}; pack the data again')
    if preprocessing is None:
        preparing = _measured(index, preparing, parts["train"], place, progress)
    return Splits(
        parts["train"].with_record(index.record),
        parts["validation"],
        parts["test"],
        preprocessing=preparing,
        name=place.name,
        found=_found(index),
    )


def are_shards(name: str | os.PathLike[str]) -> bool:
    """Whether this is a URL, or a folder with tar files or their index, and with no other folders in it."""
    if is_url(name):
        return True
    place = place_of(name)
    if not isinstance(place, Folder) or not place.path.is_dir():
        return False
    files = place.files()
    tars, indexed = any(file.lower().endswith(".tar") for file in files), INDEX in files
    if tars and indexed:
        return True
    # A folder of images may have a tar file beside the classes' folders.
    return (tars or indexed) and not any(each.is_dir() and each.name[0] != "." for each in place.path.iterdir())


def _bytes_of(buffer: object) -> int:
    if isinstance(buffer, bool) or not isinstance(buffer, int | float) or not 0 < buffer < 1e9:
        raise DataError(f"buffer is {buffer!r}; give a positive number of megabytes, such as {BUFFER_MB}")
    return max(1, int(buffer * 1e6))


def _keep(index: Index, place: Place) -> None:
    """Write the index, if that is possible: what is known need not be found again."""
    try:
        index.save(place)
    except FileError as error:
        logger.info("the index is not kept: %s", error)


def _unmeasured(index: Index, shape: Shape | None, size: int | tuple[int, int] | None, fit: str) -> Preprocessing:
    if index.of_images:
        channels, height, width = index.shape
        given = shape if shape is not None or size is not None else index.shape
        return unmeasured([Facts("", channels, height, width)], given, size, fit)
    if size is not None:
        raise DataError(f"size is {size!r}, but the samples are arrays of {format_sizes(index.shape)}; leave it out")
    channels = index.shape[0]
    return Preprocessing(index.shape, (0.0,) * channels, (1.0,) * channels)


def _decoding(index: Index, preprocessing: Preprocessing, place: Place) -> Decoding:
    if index.of_images:
        check_takes_images(preprocessing)
        return Decoding(preprocessing.shape, index.dtype, preprocessing.resizing)
    if preprocessing.shape != index.shape:
        raise DataError(
            f'a sample of "{place}" is {format_sizes(index.shape)}, but the network takes '
            f"{format_sizes(preprocessing.shape)}; build it with input_shape={index.shape}"
        )
    return Decoding(index.shape, index.dtype)


def _measured(
    index: Index, preprocessing: Preprocessing, train: ShardedDataset, place: Place, progress: bool
) -> Preprocessing:
    """The preprocessing with the mean and deviation of all training samples, which the index keeps."""
    key = measured_key(preprocessing)
    known = index.measured.get(key)
    if known is None:
        mean, std = mean_and_std_of(lambda: _all_inputs(train, progress))
        index = index.with_measured(key, mean, std)
        _keep(index, place)
        known = index.measured[key]
    try:
        return replace(preprocessing, mean=tuple(known["mean"]), std=tuple(known["std"]))
    except (KeyError, TypeError, DataError) as error:
        raise FileError(f"{place.called(INDEX)} is damaged: what was measured cannot be read ({error})") from None


def measured_key(preprocessing: Preprocessing) -> str:
    """What the mean and deviation depend on, besides the samples."""
    return json.dumps([list(preprocessing.shape), preprocessing.interpolation, preprocessing.fit])


def _all_inputs(train: ShardedDataset, progress: bool) -> Iterator[NDArray[Any]]:
    """The inputs of all samples, some at a time."""
    step = max(1, _MEASURED_AT_ONCE // int(np.prod(train.shape)))
    order = train.order(None)
    batches = [order.samples[start : start + step] for start in range(0, len(train), step)]
    stream = train.streamed(batches, order)
    try:
        taken = (stream.take(batch) for batch in batches)
        yield from watched(taken, len(train), "measuring samples", progress=progress, size=len)
    finally:
        stream.close()


def _found(index: Index) -> str:
    """What there is, in one line."""
    counts = {part: len(index.part(part)) for part in PARTS}
    files = len({shard.file for shard in index.shards})
    kind = "images" if index.of_images else f"samples of {format_sizes(index.shape)}"
    parts = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    left = f", {skipped_words(index.skipped)}" if index.skipped else ""
    many = "shard" if files == 1 else "shards"
    told = f"{sum(counts.values()):,} {kind} in {len(index.classes):,} classes, {parts}, in {files:,} {many}"
    return told + left + index.remark

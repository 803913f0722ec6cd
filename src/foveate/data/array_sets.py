"""Arrays that numpy.savez wrote, as a dataset in three parts."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.calls import path_from
from foveate.data.batches import permutation
from foveate.data.dataset import Dataset, Splits
from foveate.data.preprocessing import Preprocessing
from foveate.data.splitting import SHARES, part_counts
from foveate.errors import DataError, FileError
from foveate.geometry import format_sizes
from foveate.graph import nearest
from foveate.opening import open_regular
from foveate.text import named, printable

ARRAYS_SUFFIX = ".npz"

LARGEST_ARRAYS = 1 << 36
"""Bytes of all arrays in a file, unpacked."""

_LAYOUTS = (("inputs", "labels"), ("x", "y"), ("x_train", "y_train"))
_TEST = ("x_test", "y_test")
_TEST_SEED = 0


def is_array_set(path: str | Path) -> bool:
    """Whether the name of `path` is that of a file of arrays."""
    return str(path).lower().endswith(ARRAYS_SUFFIX)


def array_set(path: str | Path, *, seed: int = 0) -> Splits:
    """The arrays in a file that `numpy.savez(path, inputs=inputs, labels=labels)` wrote.

    A tenth of each class is for the test, whatever the seed, and a tenth for validation. Arrays with Python objects are
    refused, because reading them could run code.

    Args:
        path: a .npz file with `inputs` (N, C, *spatial), uint8 or floating point, and `labels` (N,), numbers or names;
            `x` and `y` will do, or `x_train`, `y_train`, `x_test` and `y_test`. uint8 inputs (N, H, W) and (N, H, W, 3)
            are images. `classes` names the classes of labels from 0.
        seed: chooses the samples for validation.

    Raises:
        FileError: the file cannot be read, or lacks an array.
        DataError: the arrays are no classification of at least two classes.
    """
    place = path_from(path, "path")
    arrays = _read(place)
    layout = next((each for each in _LAYOUTS if all(name in arrays for name in each)), None)
    if layout is None:
        hint = nearest("inputs", list(arrays)) if "labels" in arrays else ""
        raise FileError(
            f"{named(place)} has the arrays {printable(', '.join(arrays))}; inputs and labels are needed.{hint}"
        )
    inputs, labels = _channels_first(arrays[layout[0]]), arrays[layout[1]]
    own_test = layout == _LAYOUTS[-1] and all(name in arrays for name in _TEST)
    count = len(inputs)
    if own_test:
        inputs = np.concatenate([inputs, _channels_first(arrays[_TEST[0]])])
        labels = np.concatenate([labels, arrays[_TEST[1]]])
    classes, numbers = _classes(place, labels, arrays.get("classes"))
    whole = Dataset(inputs, numbers, classes)
    if own_test:
        rest, test = np.arange(count), np.arange(count, len(inputs))
    else:
        rest, test = _held_out(place, numbers, _TEST_SEED, SHARES[2], least=3)
    training, validation = _held_out(place, numbers[rest], seed, SHARES[1] / (1 - SHARES[2]), least=2)
    train = whole.subset(rest[training])
    others = whole.subset(rest[validation]), whole.subset(test)
    return Splits(train, *others, preprocessing=Preprocessing.measure(train), name=place.stem)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by their names."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > LARGEST_ARRAYS:
                raise FileError(f"{named(path)} claims {size:,} bytes of arrays; at most {LARGEST_ARRAYS:,} are read")
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{named(path)} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # NumPy parses a header as Python, so a wrong one may raise anything
        words = printable(error) or type(error).__name__
        if "Object arrays" in words:
            words = "it holds Python objects, which are not read, as that could run code; save arrays of numbers"
        raise FileError(f"{named(path)} is not a file that numpy.savez wrote: {words}") from None


def _channels_first(inputs: NDArray[Any]) -> NDArray[Any]:
    """Images as (N, C, H, W); anything but uint8 as it is."""
    if inputs.dtype != np.uint8:
        return inputs
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.ndim == 4 and inputs.shape[3] in (1, 3) and inputs.shape[1] not in (1, 3):
        return np.moveaxis(inputs, 3, 1)
    return inputs


def _classes(path: Path, labels: NDArray[Any], names: NDArray[Any] | None) -> tuple[Sequence[str], NDArray[np.int64]]:
    """The names of the classes, and the number of each sample's."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuUb":
        raise DataError(
            f"{named(path)}: labels are {format_sizes(labels.shape)} {labels.dtype}; give one whole number or name for "
            "each sample"
        )
    found, numbers = np.unique(labels, return_inverse=True)
    if len(found) < 2:
        raise DataError(
            f"{named(path)} has one class only, {printable(found[0]) if len(found) else 'none'}; a network learns to "
            "tell classes apart: add samples of another, such as everything else"
        )
    if names is None:
        return [str(each) for each in found], numbers.astype(np.int64)
    if labels.dtype.kind == "U" or not 0 <= found[0] <= found[-1] < len(names):
        raise DataError(
            f"{named(path)} has {len(names)} classes, but labels from {printable(found[0])} to {printable(found[-1])}; "
            "number them from 0, in the order of classes"
        )
    return [str(each) for each in names], labels.astype(np.int64)


def _held_out(
    path: Path, labels: NDArray[np.int64], seed: int, share: float, *, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The samples that stay, and of each class about `share` that are held out; both in the order of the file."""
    order = permutation(len(labels), seed, "split")
    held: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        own = order[labels[order] == label]
        if len(own) >= least:
            _, _, count = part_counts(len(own), (1 - share, 0.0, share))
            held.append(own[:count])
    if not held:
        raise DataError(
            f"{named(path)} has {len(labels)} samples, fewer than 3 of each class; at least 3 of one are needed, one "
            "each for training, validation and test"
        )
    chosen = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen

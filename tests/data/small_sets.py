"""Small datasets in the place of MNIST's and CIFAR's, with files in the published formats."""

import gzip
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from foveate.data.cifar import CifarSet
from foveate.data.idx_sets import MNIST, IdxSet
from tests.data.cifar_files import Arrays, archive, binary_batch, python2_batch, python3_batch
from tests.data.support import idx_bytes, noise

NAMES = tuple(MNIST.checksums)
SMALL = {
    NAMES[0]: noise(60, 28, 28, seed=1),
    NAMES[1]: noise(60, seed=2) % 10,
    NAMES[2]: noise(20, 28, 28, seed=3),
    NAMES[3]: noise(20, seed=4) % 10,
}
CHECKSUMS = {name: sha256(idx_bytes(array)).hexdigest() for name, array in SMALL.items()}


def small_idx(whole: IdxSet) -> IdxSet:
    """A dataset of 60 and 20 images in the place of a real one; nobody publishes it."""
    return replace(whole, counts=(60, 20), validation=10, checksums=CHECKSUMS, publishers=(), package=None)


def write_small(folder: Path, *, zipped: bool = True, leave_out: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in SMALL.items():
        if name != leave_out:
            content = idx_bytes(array)
            path = folder / (name if zipped else name.removesuffix(".gz"))
            path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


COUNT = 20


def batch_arrays(whole: CifarSet, place: int) -> Arrays:
    """The pictures and labels of one small batch; the coarse labels differ from the fine ones."""
    random = np.random.default_rng(place)
    labels = {name: random.integers(0, len(whole.classes), COUNT).tolist() for name in whole.labels}
    return noise(COUNT, 3072, seed=place), labels


def contents(whole: CifarSet, kind: str) -> dict[str, bytes]:
    """The small batches as files of one kind, by name."""
    files = {}
    for place, batch in enumerate(whole.batches):
        arrays = batch_arrays(whole, place)
        if kind == "binary":
            files[f"{batch.name}.bin"] = binary_batch(*arrays)
        elif kind == "python":
            files[batch.name] = python2_batch(*arrays)
        else:
            files[batch.name] = python3_batch(*arrays, protocol=4, text=True)
    return files


def small_cifar(whole: CifarSet) -> CifarSet:
    """A dataset of 20 pictures a file in the place of a real one; nobody publishes it."""
    python, binary = contents(whole, "python"), contents(whole, "binary")
    batches = tuple(
        replace(
            each,
            count=COUNT,
            python=sha256(python[each.name]).hexdigest(),
            binary=sha256(binary[f"{each.name}.bin"]).hexdigest(),
        )
        for each in whole.batches
    )
    return replace(whole, batches=batches, validation=5, publishers=())


def write_cifar(whole: CifarSet, folder: Path, kind: str, form: str) -> Path:
    """The small dataset as files of a kind, in an archive or not; returns what to give for the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = contents(whole, kind)
    names = dict(zip(("binary", "python"), whole.archives, strict=True))
    if form == "archive":
        return archive(folder / names.get(kind, names["python"]), names["python"].removesuffix(".tar.gz"), files)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder

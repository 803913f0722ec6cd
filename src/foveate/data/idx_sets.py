"""Fashion-MNIST and MNIST: 70,000 grey 28x28 pictures in four IDX files.

The files are looked for on this computer and, if not found, fetched from the publisher or, on Debian and its
derivatives, from the distribution's package.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset, Splits
from foveate.data.downloads import from_package, from_publisher
from foveate.data.idx import parsed, read_content
from foveate.data.preprocessing import Preprocessing
from foveate.data.published import Published, file_in
from foveate.errors import FileError
from foveate.geometry import format_sizes

LARGEST_FILE = 64 << 20
"""The most bytes of a file, unzipped."""

_SHAPE = (1, 28, 28)
_IMAGES = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")
_LABELS = ("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
_FILES = (_IMAGES[0], _LABELS[0], _IMAGES[1], _LABELS[1])


@final
@dataclass(frozen=True, kw_only=True)
class IdxSet(Published):
    """A dataset in four IDX files, gzipped or not.

    Args:
        checksums: SHA-256 of each file's content without its gzip wrapper, which differs between distributors.
        publishers: addresses of folders with the files.
        package: Debian's package with the files.
        counts: how many images are for training and for the test.
    """

    checksums: Mapping[str, str]
    publishers: tuple[str, ...]
    package: str | None = None
    counts: tuple[int, int] = (60_000, 10_000)
    forms: tuple[tuple[str, ...], ...] = (_FILES,)

    def ways(self) -> Mapping[str, Callable[[Path], None]]:
        """From the publisher, or from Debian's package if there is one."""
        ways: dict[str, Callable[[Path], None]] = {"download": self.download}
        if self.package is not None:
            ways["apt-get"] = self.unpack
        return ways

    def download(self, folder: Path, **options: Any) -> None:
        """Fetch what `folder` lacks from the publisher."""
        missing = self._missing(folder)
        from_publisher(folder, missing, self.publishers, checksum_of, most=LARGEST_FILE, **options)

    def unpack(self, folder: Path, **options: Any) -> None:
        """Take what `folder` lacks from Debian's package."""
        from_package(folder, self._missing(folder), self.package or "", checksum_of, **options)

    def read(self, folder: Path) -> tuple[Dataset, Dataset]:
        """The training and the test samples."""
        train, test = (
            self._part(folder, images, labels, count)
            for images, labels, count in zip(_IMAGES, _LABELS, self.counts, strict=True)
        )
        return train, test

    def is_at(self, folder: Path) -> bool:
        """Whether `folder` has this dataset and not another one in files of the same names: its test labels tell."""
        files = self.held(folder)
        return bool(files) and checksum_of(files[_LABELS[1]]) == self.checksums[_LABELS[1]]

    def _missing(self, folder: Path) -> dict[str, str]:
        return {name: each for name, each in self.checksums.items() if file_in(folder, name) is None}

    def _part(self, folder: Path, images: str, labels: str, count: int) -> Dataset:
        pixels = self._array(folder, images, (count, *_SHAPE[1:]))
        classes = self._array(folder, labels, (count,))
        return Dataset(pixels[:, None], classes.astype(np.int64), self.classes)

    def _array(self, folder: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        path = file_in(folder, name)
        if path is None:
            raise FileError(f'"{folder / name}" has just disappeared; {self.title} needs it: put it back')
        content = read_content(path, LARGEST_FILE)
        array = parsed(content, path)
        if array.shape != shape:
            raise FileError(
                f'"{path}" holds {format_sizes(array.shape)} elements, but {self.title} has {format_sizes(shape)} '
                "there; get the file again"
            )
        found = sha256(content).hexdigest()
        if found != self.checksums[name]:
            raise FileError(
                f'"{path}" has the SHA-256 {found}, but {self.title}\'s is {self.checksums[name]}: it is damaged, or '
                "another dataset; get the file again"
            )
        return array


def checksum_of(path: Path) -> str:
    """The SHA-256 of a file's content, unzipped."""
    return sha256(read_content(path, LARGEST_FILE)).hexdigest()


# Each preprocessing is Preprocessing.measure over all 60,000 training images, rounded to 4 digits.

FASHION_MNIST = IdxSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    description="70,000 grey 28x28 pictures of clothes in 10 classes (30 MB)",
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    preprocessing=Preprocessing(_SHAPE, mean=(0.2860,), std=(0.3530,)),
    subfolders=("fashion-mnist", "FashionMNIST/raw"),
    checksums={
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    publishers=("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",),
    package="dataset-fashion-mnist",
)  # fmt: skip

MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    description="70,000 grey 28x28 pictures of handwritten digits in 10 classes (12 MB)",
    classes=tuple("0123456789"),
    preprocessing=Preprocessing(_SHAPE, mean=(0.1307,), std=(0.3081,)),
    subfolders=("mnist", "MNIST/raw"),
    mirrored=False,
    checksums={
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    # The first publisher's own page no longer hands the files out; these are the copies that other libraries use.
    publishers=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
)


def fashion_mnist(*, seed: int = 0, folder: str | Path | None = None, progress: bool = True) -> Splits:
    """Fashion-MNIST: 55,000 training, 5,000 validation and 10,000 test images, 1x28x28, in 10 classes.

    Pictures of clothes (Xiao, Rasul, Vollgraf, 2017), made to replace MNIST, which is too easy.

    Args:
        seed: chooses which of the 60,000 training images are for validation; the test images are always the same.
        folder: where the four files are, gzipped or not. None looks in the user's cache, in the folder that the
            environment variable FOVEATE_DATA names, and in /usr/share/datasets, and otherwise fetches them.
        progress: whether to show a live bar, on a terminal or in a notebook, if fetching takes over two seconds.

    Raises:
        DataError: the files are not found and cannot be fetched; the message says what was tried.
        FileError: a file is damaged, or does not hold what it should.
    """
    return FASHION_MNIST.load(seed=seed, folder=folder, progress=progress)


def mnist(*, seed: int = 0, folder: str | Path | None = None, progress: bool = True) -> Splits:
    """MNIST: 55,000 training, 5,000 validation and 10,000 test images, 1x28x28, in 10 classes.

    Handwritten digits (LeCun, Cortes, Burges, 1998), on which LeNet-5 was trained. Arguments and errors are those of
    `fashion_mnist`.
    """
    return MNIST.load(seed=seed, folder=folder, progress=progress)

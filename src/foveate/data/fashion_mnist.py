"""Fashion-MNIST: 70,000 grey 28x28 pictures of clothes in 10 classes (Xiao, Rasul, Vollgraf, 2017).

The four files are looked for on this computer and, if not found, fetched from the publisher or, on Debian and its
derivatives, from the distribution's package.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset, Splits, split
from foveate.data.idx import opened, parsed, read_content, read_up_to
from foveate.data.preprocessing import Preprocessing
from foveate.errors import DataError, FileError
from foveate.geometry import format_sizes
from foveate.log import logger
from foveate.progress import PATIENCE_SECONDS, Bar

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SHAPE = (1, 28, 28)

# Preprocessing.measure over all 60,000 training images, rounded to 4 digits; a test measures them again.
PREPROCESSING = Preprocessing(SHAPE, mean=(0.2860,), std=(0.3530,))

VALIDATION = 5000
COUNTS = {"train": 60000, "t10k": 10000}
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of the content without its gzip wrapper, which differs from one distributor to another."""

_PUBLISHER = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
_DEBIAN_PACKAGE = "dataset-fashion-mnist"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_LARGEST_FILE = 64 << 20
_CONNECT_SECONDS = 5.0
PACKAGE_SECONDS = 300.0


def fashion_mnist(*, seed: int = 0, folder: str | Path | None = None, progress: bool = True) -> Splits:
    """Fashion-MNIST: 55,000 training, 5,000 validation and 10,000 test images, 1x28x28, in 10 classes.

    Args:
        seed: chooses which of the 60,000 training images are for validation; the test images are always the same.
        folder: where the four files are, gzipped or not. None looks in the user's cache, in the folder that the
            environment variable FOVEATE_DATA names, and in /usr/share/datasets, and otherwise fetches them.
        progress: whether to show a live bar, on a terminal or in a notebook, if fetching takes over two seconds.

    Raises:
        DataError: the files are not found and cannot be fetched; the message says what was tried.
        FileError: a file is damaged, or does not hold what it should.
    """
    place = find() if folder is None else Path(folder)
    if place is None:
        place = _fetch(cache_folder(), sys.stderr if progress else None)
    elif folder is not None and (missing := lacking(place)):
        raise DataError(f'the folder "{place}" {missing}; give one that has them, or none to look elsewhere')
    train, test = _read_part(place, "train"), _read_part(place, "t10k")
    logger.info("read Fashion-MNIST in %s", place)
    training, validation = split(train, VALIDATION, seed)
    return Splits(training, validation, test, PREPROCESSING, name="fashion-mnist")


def find() -> Path | None:
    """The first folder on this computer that has all four files, or None; nothing is fetched."""
    return next((folder for _, folder in places() if folder is not None and not lacking(folder)), None)


def cache_folder() -> Path:
    """Where fetched files are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("foveate")) / "fashion-mnist"


def places() -> list[tuple[str, Path | None]]:
    """Folders to look in, in order, each with its name for a sentence."""
    named = os.environ.get("FOVEATE_DATA")
    own = [Path(named), Path(named) / "fashion-mnist"] if named else [None]
    return [
        ("the cache", cache_folder()),
        *(("FOVEATE_DATA", folder) for folder in own),
        ("the system's folder", SYSTEM_FOLDER),
    ]


def _file(folder: Path, name: str) -> Path | None:
    """The file called `name` in `folder`, gzipped or not."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def lacking(folder: Path) -> str:
    """What `folder` lacks, in words; empty if it has all four files."""
    if not folder.is_dir():
        return "does not exist"
    missing = [name for name in SHA256 if _file(folder, name) is None]
    return f"lacks {', '.join(f'{name}.gz' for name in missing)}" if missing else ""


def _read_part(folder: Path, part: str) -> Dataset:
    count = COUNTS[part]
    images = _read_shape(folder, f"{part}-images-idx3-ubyte", (count, *SHAPE[1:]))
    labels = _read_shape(folder, f"{part}-labels-idx1-ubyte", (count,))
    return Dataset(images[:, None], labels.astype(np.int64), CLASSES)


def _read_shape(folder: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    path = _file(folder, name)
    if path is None:
        raise FileError(f'"{folder / name}.gz" has just disappeared; Fashion-MNIST needs it: put it back')
    content = read_content(path, _LARGEST_FILE)
    array = parsed(content, path)
    if array.shape != shape:
        raise FileError(
            f'"{path}" holds {format_sizes(array.shape)} elements, but Fashion-MNIST has {format_sizes(shape)} there; '
            "get the file again"
        )
    found = sha256(content).hexdigest()
    if found != SHA256[name]:
        raise FileError(
            f'"{path}" has the SHA-256 {found}, but Fashion-MNIST\'s is {SHA256[name]}: it is damaged, or another '
            "data set; get the file again"
        )
    return array


class NotFetchedError(Exception):
    """Why one way to fetch the files failed, in words that follow "failed:"."""


def _fetch(cache: Path, screen: TextIO | None) -> Path:
    """Fetch the files into `cache` in the first way that works, or raise a DataError that lists what was tried."""
    tried = []
    for name, place in places():
        tried.append(f"{name} ({place}) {lacking(place)}" if place else f"{name} is not set")
    ways: dict[str, Callable[[Path], None]] = {"download": fetch_from_publisher, "apt-get": fetch_from_package}
    for name, way in ways.items():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with Bar(screen, text=f"Fashion-MNIST: {name}", patience=PATIENCE_SECONDS, ticks=True):
                way(cache)
        except NotFetchedError as error:
            tried.append(f"{name} failed: {error}")
        except OSError as error:
            tried.append(f"{name} failed: {error.strerror or error} ({error.filename or cache})")
        else:
            logger.info("fetched Fashion-MNIST into %s by %s", cache, name)
            return cache
        logger.info("Fashion-MNIST: %s", tried[-1])
    files = ", ".join(f"{name}.gz" for name in SHA256)
    raise DataError(
        f"Fashion-MNIST was not found. Tried: {'; '.join(tried)}. Put {files} into a folder, and set FOVEATE_DATA to "
        "it or pass folder="
    )


def fetch_from_publisher(
    cache: Path,
    base_url: str = _PUBLISHER,
    checksums: Mapping[str, str] = SHA256,
    seconds: float = _CONNECT_SECONDS,
) -> None:
    """Get each file that `cache` lacks from `base_url`."""
    with TemporaryDirectory(dir=cache) as temporary:
        for name, checksum in checksums.items():
            if _file(cache, name) is None:
                part = Path(temporary) / f"{name}.gz"
                part.write_bytes(_get(f"{base_url}/{name}.gz", seconds))
                _keep(part, cache, checksum)


def _get(url: str, seconds: float) -> bytes:
    """The content behind `url`; `seconds` is the longest silence."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=seconds) as response:
            promised = response.headers.get("Content-Length")
            content = bytes(read_up_to(response, _LARGEST_FILE))
    except HTTPError as error:
        error.close()
        raise NotFetchedError(f"{url} answered {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise NotFetchedError(f"{url}: {getattr(error, 'reason', None) or error}") from None
    if promised is not None and promised != str(len(content)):
        raise NotFetchedError(f"{url} ended after {len(content)} of {promised} bytes")
    return content


def fetch_from_package(cache: Path, checksums: Mapping[str, str] = SHA256) -> None:
    """Unpack the distribution's package into `cache`; needs no administrator rights, because nothing is installed."""
    with TemporaryDirectory(dir=cache) as temporary:
        folder = Path(temporary)
        try:
            _run(["apt-get", "download", _DEBIAN_PACKAGE], folder)
        except NotFetchedError as reason:
            if not _downloaded_with_own_lists(folder):
                raise reason from None
        packages = list(folder.glob("*.deb"))
        if not packages:
            raise NotFetchedError(f"it left no {_DEBIAN_PACKAGE} package")
        _run(["dpkg-deb", "-x", str(packages[0]), "."], folder)
        for name, checksum in checksums.items():
            found = [path for path in folder.rglob(f"{name}*") if path.name in (name, f"{name}.gz")]
            if not found:
                raise NotFetchedError(f"the package {_DEBIAN_PACKAGE} has no {name}.gz")
            _keep(found[0], cache, checksum)


def _downloaded_with_own_lists(folder: Path) -> bool:
    """Try once more with package lists of our own: a fresh machine has none, and fetching the system's needs root."""
    for part in ("lists/partial", "archives/partial"):
        (folder / "apt" / part).mkdir(parents=True)
    own = ["-o", f"Dir::State::Lists={folder}/apt/lists", "-o", f"Dir::Cache={folder}/apt"]
    try:
        _run(["apt-get", *own, "update"], folder)
        _run(["apt-get", *own, "download", _DEBIAN_PACKAGE], folder)
    except NotFetchedError:
        return False
    return True


def _run(command: list[str], folder: Path) -> None:
    # English, so the last line can stand in our sentence.
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=PACKAGE_SECONDS, check=False
        )
    except FileNotFoundError:
        raise NotFetchedError(f"there is no {command[0]} on this computer") from None
    except subprocess.TimeoutExpired:
        raise NotFetchedError(f"{' '.join(command[:2])} took more than {PACKAGE_SECONDS:g} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise NotFetchedError(f"{' '.join(command[:2])}: {lines[-1]}")


def _keep(part: Path, cache: Path, checksum: str) -> None:
    """Move a fetched file into the cache once its content is known to be right."""
    try:
        with opened(part) as file:
            content = read_up_to(file, _LARGEST_FILE)
    except FileError as error:
        raise NotFetchedError(str(error)) from None
    found = sha256(content).hexdigest()
    if found != checksum:
        raise NotFetchedError(f"{part.name} has the SHA-256 {found}, but {checksum} was expected")
    part.replace(cache / part.name)

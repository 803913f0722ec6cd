"""Fashion-MNIST and MNIST: the real clothes, and each way in which files are found or fetched.

A server and programs of our own stand for the publisher and for Debian.
"""

import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from foveate import DataError, FileError, Preprocessing
from foveate.data import Dataset, Splits, batch_indices, datasets
from foveate.data.downloads import NotFetchedError
from foveate.data.idx_sets import FASHION_MNIST, MNIST, IdxSet
from tests.data.small_sets import CHECKSUMS, NAMES, SMALL, small_idx, write_small
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
    assert sha256(idx_bytes(images)).hexdigest() == FASHION_MNIST.checksums[NAMES[2]]
    assert sha256(idx_bytes(labels)).hexdigest() == FASHION_MNIST.checksums[NAMES[3]]
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


@pytest.fixture(params=[FASHION_MNIST, MNIST], ids=lambda each: each.name)
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IdxSet:
    """A dataset of 60 and 20 images in the place of each real one, on a computer without it."""
    monkeypatch.setattr("foveate.data.published.cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("FOVEATE_DATA", raising=False)
    return replace(small_idx(request.param), package="dataset-fashion-mnist", system=tmp_path / "system")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_folder_that_is_named_is_read(small: IdxSet, tmp_path: Path, zipped: bool):
    splits = small.load(folder=write_small(tmp_path, zipped=zipped))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (50, 10, 20)
    assert np.array_equal(splits.test.inputs[:, 0], SMALL[NAMES[2]])
    assert np.array_equal(splits.test.labels, SMALL[NAMES[3]])
    assert (splits.name, splits.classes) == (small.name, small.classes)
    again = small.load(folder=tmp_path, seed=1)
    assert np.array_equal(again.test.inputs, splits.test.inputs)
    assert not np.array_equal(again.validation.inputs, splits.validation.inputs)


def test_the_folders_are_searched_in_order(small: IdxSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert small.find() is None
    own = tmp_path / "named"
    places = [tmp_path / "system" / small.name, own / small.subfolders[1], own / small.name, own, small.cache]
    monkeypatch.setenv("FOVEATE_DATA", str(own))
    for place in places:
        write_small(place, leave_out=NAMES[3])
        assert small.find() != place
        write_small(place, zipped=False)
        assert small.find() == place


def test_the_cache_is_the_users():
    assert FASHION_MNIST.cache.parts[-2:] == ("foveate", "fashion-mnist")
    assert MNIST.cache.parts[-2:] == ("foveate", "mnist")


def test_a_named_folder_without_the_files_is_a_sentence(small: IdxSet, tmp_path: Path):
    with pytest.raises(DataError, match=r'the folder ".*none" does not exist; give one that has them, or none to look'):
        small.load(folder=tmp_path / "none")
    write_small(tmp_path, leave_out=NAMES[2])
    with pytest.raises(DataError, match=r'the folder ".*" lacks t10k-images-idx3-ubyte.gz; give one'):
        small.load(folder=tmp_path)
    with pytest.raises(DataError, match=r'the folder ".*gz" is a file; give one'):
        small.load(folder=tmp_path / NAMES[0])


def test_files_of_another_length_or_shape_are_a_sentence(small: IdxSet, tmp_path: Path):
    write_small(tmp_path)
    whole = replace(small, counts=(60_000, 10_000))
    with pytest.raises(FileError, match=rf'train-images.*gz" holds 60x28x28 elements, but {small.title} has 60000x28'):
        whole.load(folder=tmp_path)
    (tmp_path / NAMES[1]).write_bytes(idx_bytes(noise(59)))
    with pytest.raises(FileError, match=rf'train-labels.*gz" holds 59 elements, but {small.title} has 60 there; get'):
        small.load(folder=tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_found_on_this_computer_is_checked_as_a_download_is(small: IdxSet, zipped: bool):
    """Another dataset in the same format, or one wrong pixel."""
    write_small(small.cache, zipped=zipped)
    changed = SMALL[NAMES[2]].copy()
    changed[3, 5, 7] ^= 1
    content = idx_bytes(changed)
    path = small.cache / (NAMES[2] if zipped else NAMES[2].removesuffix(".gz"))
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(FileError) as caught:
        small.load()
    assert str(caught.value) == (
        f'"{path}" has the SHA-256 {sha256(content).hexdigest()}, but {small.title}\'s is {CHECKSUMS[NAMES[2]]}: it is '
        "damaged, or another dataset; get the file again"
    )


def test_a_folder_tells_which_of_the_two_it_has(small: IdxSet, tmp_path: Path):
    """Both have files of the same names."""
    assert not small.is_at(tmp_path)
    write_small(tmp_path)
    assert small.is_at(tmp_path)
    assert not replace(small, checksums=MNIST.checksums).is_at(tmp_path)
    assert not small.is_at(tmp_path / NAMES[0])


def test_a_file_that_unpacks_to_gigabytes_is_a_sentence(small: IdxSet, tmp_path: Path):
    write_small(tmp_path)
    with gzip.open(tmp_path / NAMES[0], "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\3\x7f\xff\xff\xff\0\0\0\x1c\0\0\0\x1c")
        for _ in range(70):
            file.write(bytes(1 << 20))
    with pytest.raises(FileError, match="holds more than 67,108,864 bytes once it is unzipped; no more are"):
        small.load(folder=tmp_path)


def test_a_file_that_goes_meanwhile_is_a_sentence(small: IdxSet, tmp_path: Path):
    write_small(tmp_path, leave_out=NAMES[0])
    with pytest.raises(FileError, match=rf'".*{NAMES[0]}" has just disappeared; {small.title} needs it: put it back'):
        small.read(tmp_path)


# ------------------------------------------------------------------------------------------------------- the download


class _Publisher(BaseHTTPRequestHandler):
    """Serves the small files; "/truncated" promises more than it sends, "/wrong" sends other content."""

    def do_GET(self) -> None:
        kind, name = self.path.strip("/").split("/")
        if kind == "none":
            self.send_error(404)
            return
        content = gzip.compress(idx_bytes(SMALL[name] // (2 if kind == "wrong" else 1)))
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


def test_a_good_download_fills_the_cache(small: IdxSet, publisher: str):
    served = replace(small, publishers=(f"{publisher}/good",))
    assert len(served.load().train) == 50
    assert sorted(path.name for path in small.cache.iterdir()) == sorted(NAMES)
    assert len(small.load().train) == 50  # nobody is asked any more


def test_the_next_publisher_is_asked_if_one_fails(small: IdxSet, publisher: str):
    served = replace(small, publishers=(f"{publisher}/none", f"{publisher}/good"))
    assert len(served.load().train) == 50


def test_what_is_in_the_cache_is_not_fetched_again(small: IdxSet, tmp_path: Path, publisher: str):
    write_small(tmp_path, leave_out=NAMES[1])
    replace(small, publishers=(f"{publisher}/good",)).download(tmp_path)
    replace(small, publishers=(f"{publisher}/none",)).download(tmp_path)
    assert len(small.load(folder=tmp_path).train) == 50


BAD_DOWNLOADS = {
    "truncated": ("truncated", r"http.*/train-images-idx3-ubyte.gz ended after \d+ of \d+ bytes"),
    "unmeasured": ("unmeasured", '".*train-images-idx3-ubyte.gz" is a damaged gzip file'),
    "wrong": ("wrong", f"train-images-idx3-ubyte.gz has the SHA-256 [0-9a-f]{{64}}, but {CHECKSUMS[NAMES[0]]} was"),
    "page": ("page", "train-images-idx3-ubyte.gz has the SHA-256"),
    "missing": ("none", "http.*/none/train-images-idx3-ubyte.gz answered 404 Not Found"),
}


@pytest.mark.parametrize(("kind", "message"), BAD_DOWNLOADS.values(), ids=BAD_DOWNLOADS)
def test_a_bad_download_leaves_nothing(small: IdxSet, tmp_path: Path, publisher: str, kind: str, message: str):
    with pytest.raises(NotFetchedError, match=message):
        replace(small, publishers=(f"{publisher}/{kind}",)).download(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_download_without_end_is_a_reason(small: IdxSet, tmp_path: Path, publisher: str, monkeypatch):
    monkeypatch.setattr("foveate.data.idx_sets.LARGEST_FILE", 1000)
    with pytest.raises(NotFetchedError, match=r"/good/train-images-idx3-ubyte.gz is longer than 1,000 bytes"):
        replace(small, publishers=(f"{publisher}/good",)).download(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_publisher_that_does_not_answer_is_a_reason(small: IdxSet, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Publisher) as silent:  # listens, but nobody serves
        served = replace(small, publishers=(f"http://127.0.0.1:{silent.server_port}/good",))
        with pytest.raises(NotFetchedError, match=r"gz: .*timed out"):
            served.download(tmp_path, seconds=0.1)
    with pytest.raises(NotFetchedError, match=r"gz: .*refused"):
        served.download(tmp_path)


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
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("programs")
def test_a_good_package_fills_the_cache(small: IdxSet, empty: Path):
    small.unpack(empty)
    assert sorted(path.name for path in empty.iterdir()) == sorted(NAMES)
    assert len(small.load(folder=empty).train) == 50


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
    small: IdxSet, programs: Path, empty: Path, name: str, script: str, message: str
):
    put_program(programs, name, script)
    options = {"seconds": 0.2} if "sleep" in script else {}
    with pytest.raises(NotFetchedError, match=message):
        small.unpack(empty, **options)
    assert not list(empty.iterdir())


@pytest.mark.usefixtures("programs")
def test_a_package_with_other_content_is_a_reason(small: IdxSet, empty: Path):
    with pytest.raises(NotFetchedError, match="has the SHA-256"):
        replace(small, checksums=FASHION_MNIST.checksums).unpack(empty)


def test_a_computer_without_apt_is_a_reason(small: IdxSet, empty: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(empty))
    with pytest.raises(NotFetchedError, match="there is no apt-get on this computer"):
        small.unpack(empty)


# -------------------------------------------------------------------------------------------------------- all of them


@pytest.mark.usefixtures("programs")
def test_what_is_nowhere_is_fetched_in_the_first_way_that_works(small: IdxSet):
    assert small.find() is None
    served = replace(small, publishers=("http://127.0.0.1:9/nobody",))
    assert len(served.load().train) == 50
    assert small.find() == small.cache


def test_if_nothing_works_one_sentence_lists_what_was_tried(small: IdxSet, programs: Path, publisher: str, tmp_path):
    put_program(programs, "apt-get", "echo no package list >&2; exit 1")
    write_small(tmp_path / "system" / small.name, leave_out=NAMES[0])
    served = replace(small, publishers=(f"{publisher}/none",))
    with pytest.raises(DataError) as caught:
        served.load()
    assert str(caught.value) == (
        f"{small.title} was not found. Tried: the cache ({small.cache}) does not exist; FOVEATE_DATA is not set; the "
        f"system's folder ({tmp_path}/system/{small.name}) lacks {NAMES[0]}; download failed: "
        f"{publisher}/none/{NAMES[0]} answered 404 Not Found; apt-get failed: apt-get download: no package list. "
        f"Put {', '.join(NAMES)} into a folder, and set FOVEATE_DATA to it or pass folder="
    )


def test_without_a_package_only_the_publisher_is_asked(small: IdxSet, publisher: str):
    assert list(MNIST.ways()) == ["download"]
    served = replace(small, publishers=(f"{publisher}/none",), package=None)
    with pytest.raises(DataError, match=r"answered 404 Not Found\. Put train-images"):
        served.load()


def test_a_cache_that_cannot_be_written_is_a_reason(small: IdxSet, tmp_path: Path):
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(DataError, match=r"download failed: .* \(.*cache.*\); apt-get failed: .* \(.*cache"):
        small.load()


def test_the_functions_load_the_sets(monkeypatch: pytest.MonkeyPatch):
    for function, expected in ((datasets.fashion_mnist, FASHION_MNIST), (datasets.mnist, MNIST)):
        asked = []
        monkeypatch.setattr(IdxSet, "load", lambda self, told=asked, **options: told.append((self, options)))
        function(seed=3, folder="here", progress=False)
        assert asked == [(expected, {"seed": 3, "folder": "here", "progress": False})]

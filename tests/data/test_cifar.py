"""CIFAR-10 and CIFAR-100 from small archives in the published formats, and every way in which one can be bad."""

import gzip
import pickle
import pickletools
import struct
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from foveate import DataError, FileError
from foveate.data import datasets
from foveate.data.cifar import CifarSet, python_records
from foveate.data.cifar_sets import CIFAR10, CIFAR100
from foveate.data.downloads import NotFetchedError
from tests.data.cifar_files import archive, binary_batch, python2_batch, python3_batch
from tests.data.small_sets import COUNT, batch_arrays, contents, small_cifar, write_cifar
from tests.data.support import noise


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=lambda each: each.name)
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CifarSet:
    """A dataset of 20 pictures a file in the place of each real one, on a computer without it."""
    monkeypatch.setattr("foveate.data.published.cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("FOVEATE_DATA", raising=False)
    return replace(small_cifar(request.param), system=tmp_path / "system")


@pytest.mark.parametrize("kind", ["binary", "python", "python3"])
@pytest.mark.parametrize("form", ["archive", "files"])
def test_every_form_holds_the_same(small: CifarSet, tmp_path: Path, kind: str, form: str):
    place = write_cifar(small, tmp_path / "data", kind, form)
    for folder in (place, tmp_path / "data"):
        splits = small.load(folder=folder)
        *train, test = [batch_arrays(small, each) for each in range(len(small.batches))]
        assert (len(splits.train), len(splits.validation), len(splits.test)) == (len(train) * COUNT - 5, 5, COUNT)
        assert np.array_equal(splits.test.inputs, test[0].reshape(COUNT, 3, 32, 32))
        assert splits.test.labels.tolist() == test[1][small.labels[-1]]
        inputs, labels = small.read(folder)[0].inputs, small.read(folder)[0].labels
        assert np.array_equal(inputs, np.concatenate([each[0] for each in train]).reshape(-1, 3, 32, 32))
        assert labels.tolist() == [label for each in train for label in each[1][small.labels[-1]]]
        assert (splits.name, splits.classes) == (small.name, small.classes)


def test_the_python_files_are_as_published():
    """What cPickle used is listed here from `pickletools.dis` of the real data_batch_1."""
    content = python2_batch(noise(300, 3072), {"labels": [1] * 300})
    assert {opcode.name for opcode, _, _ in pickletools.genops(content)} == {
        "PROTO", "EMPTY_DICT", "BINPUT", "LONG_BINPUT", "MARK", "SHORT_BINSTRING", "EMPTY_LIST", "BININT1", "APPENDS",
        "GLOBAL", "TUPLE1", "TUPLE3", "REDUCE", "BININT2", "TUPLE2", "NONE", "BININT", "TUPLE", "BUILD", "NEWFALSE",
        "BINSTRING", "SETITEMS", "STOP",
    }  # fmt: skip
    told = pickle.loads(content, encoding="latin-1")
    assert np.array_equal(told["data"], noise(300, 3072))
    assert told["filenames"][299] == "picture_s_000299.png"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("order", ["C", "F"])
def test_files_that_python_3_wrote_are_read(protocol: int, text: bool, order: str):
    pixels, labels = batch_arrays(CIFAR100, 0)
    content = python3_batch(np.asarray(pixels, order=order), labels, protocol, text=text)
    records = python_records(content, "train", CIFAR100.labels)
    assert records.tobytes() == binary_batch(pixels, labels)


def _array(head: bytes = b"cnumpy\nndarray\n", shape: bytes = b"K\x01M\0\x0c\x86", count: int = 3072) -> bytes:
    """A batch of one picture, with parts of its array replaced."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n" + head + b"K\0\x85U\x01b\x87R"
    types = b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    array = made + b"(K\x01" + shape + types + b"\x89T" + struct.pack("<I", count) + bytes(count) + b"tb"
    return b"\x80\x02}(U\x06labels](K\x01eU\x04data" + array + b"u."


def test_an_array_whose_parts_do_not_fit_is_a_sentence():
    assert python_records(_array(), "whole", ("labels",)).tobytes() == b"\1" + bytes(3072)
    for content in (
        _array(count=3071),
        _array(shape=b"K\x01M\0\x0cK\x01\x87"),
        _array(shape=b"K\0M\0\x0c\x86", count=0),
        _array(shape=b"U\x01aM\0\x0c\x86"),
        _array(shape=b"J\xff\xff\xff\xffM\0\x0c\x86"),
        _array().replace(b"_reconstruct", b"_destruct"),
        _array().replace(b"dtype", b"dtypf"),
    ):
        with pytest.raises(FileError, match=r'^"part" has no images of N x 3072 bytes; get it again$'):
            python_records(content, "part", ("labels",))


def test_an_archive_in_any_order_and_not_gzipped_is_read(small: CifarSet, tmp_path: Path):
    files = dict(reversed(contents(small, "python").items()))
    path = archive(tmp_path / "mine.tar", "any/where", files, zipped=False)
    assert np.array_equal(
        small.read(path)[0].inputs, small.read(write_cifar(small, tmp_path, "binary", "files"))[0].inputs
    )


def test_the_folders_are_searched_in_order(small: CifarSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert small.find() is None
    own = tmp_path / "named"
    monkeypatch.setenv("FOVEATE_DATA", str(own))
    for place in (tmp_path / "system" / small.name, own / small.subfolders[2], own / small.name, own, small.cache):
        write_cifar(small, place, "python", "files")
        (place / small.batches[-1].name).unlink()
        assert small.find() != place
        write_cifar(small, place, "python", "archive")
        assert small.find() == place
    assert len(small.load().test) == COUNT


def test_a_folder_without_the_files_is_a_sentence(small: CifarSet, tmp_path: Path):
    with pytest.raises(DataError, match=rf'the folder ".*" lacks {next(iter(small.archives))}; give one'):
        small.load(folder=tmp_path)
    write_cifar(small, tmp_path, "binary", "files")
    (tmp_path / f"{small.batches[-1].name}.bin").unlink()
    with pytest.raises(DataError, match=rf'the folder ".*" lacks {small.batches[-1].name}.bin; give one'):
        small.load(folder=tmp_path)


def _without_last(files: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(files.items())[:-1])


def _with_last(files: dict[str, bytes], content: bytes) -> dict[str, bytes]:
    return {**files, next(reversed(files)): content}


BAD_ARCHIVES = {
    "incomplete": ("python", _without_last, r'^".*tar.gz" lacks (test|test_batch) of CIFAR-100?; get it again'),
    "other": (
        "binary",
        lambda files: _with_last(files, bytes(len(next(reversed(files.values()))))),
        r'/test(_batch)?.bin" has the SHA-256 [0-9a-f]{64}, but CIFAR-100?\'s is [0-9a-f]{64}: it is damaged, or',
    ),
    "records": ("binary", lambda files: _with_last(files, bytes(10)), "has 10 bytes, which is not a number of records"),
    "empty": ("binary", lambda files: _with_last(files, b""), "has 0 bytes, which is not a number of records"),
    "text": (
        "python",
        lambda files: _with_last(files, b"hello"),
        r"is not a pickle that can be read \(.+\); get it",
    ),
    "list": ("python", lambda files: _with_last(files, b"\x80\x02]."), "holds no batch, not data and"),
    "nothing": ("python", lambda files: _with_last(files, b"\x80\x02}."), "holds no batch, not data and"),
}


@pytest.mark.parametrize(("kind", "change", "words"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_a_bad_file_in_an_archive_is_a_sentence(small: CifarSet, tmp_path: Path, kind: str, change, words: str):
    path = archive(tmp_path / "cifar.tar.gz", "cifar", change(contents(small, kind)))
    with pytest.raises(FileError, match=words):
        small.load(folder=path)


def test_a_batch_of_another_size_is_a_sentence(small: CifarSet, tmp_path: Path):
    pixels, labels = batch_arrays(small, 0)
    few = {name: values[:3] for name, values in labels.items()}
    files = contents(small, "python")
    files[small.batches[0].name] = python2_batch(pixels[:3], few)
    with pytest.raises(FileError, match=rf"holds 3 images, but {small.title} has 20 there; get it again"):
        small.load(folder=archive(tmp_path / "a.tar.gz", "a", files))


BAD_BATCHES = {
    "short": (lambda pixels, labels: (pixels[:-1], labels), "has no (coarse_)?labels from 0 to 255 for each of its 19"),
    "narrow": (lambda pixels, labels: (pixels[:, 1:], labels), "has no images of N x 3072 bytes"),
    "label": (
        lambda pixels, labels: (pixels, {name: [256] * COUNT for name in labels}),
        "has no (coarse_)?labels from 0 to 255 for each of its 20 images",
    ),
    "truth": (
        lambda pixels, labels: (pixels, {name: [True] * COUNT for name in labels}),
        "has no (coarse_)?labels from",
    ),
    "floats": (lambda pixels, labels: (pixels.astype(float), labels), "has no images of N x 3072 bytes"),
    "objects": (lambda pixels, labels: (pixels.astype(object), labels), "has no images of N x 3072 bytes"),
    "words": (lambda pixels, labels: (pixels.astype(np.int16), labels), "has no images of N x 3072 bytes"),
    "list": (lambda pixels, labels: (pixels.tolist(), labels), "has no images of N x 3072 bytes"),
    "none": (lambda pixels, labels: (None, labels), "has no images of N x 3072 bytes"),
    "unnamed": (lambda pixels, labels: (pixels, {}), "holds data, not data and (coarse_)?labels"),
}


@pytest.mark.parametrize(("change", "words"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_a_batch_that_holds_something_else_is_a_sentence(small: CifarSet, tmp_path: Path, change, words: str):
    pixels, labels = change(*batch_arrays(small, 0))
    batch = pickle.dumps({"data": pixels, **labels}, protocol=2)
    write_cifar(small, tmp_path, "python", "files")
    (tmp_path / small.batches[0].name).write_bytes(batch)
    with pytest.raises(FileError, match=f"{small.batches[0].name}.*{words}"):
        small.load(folder=tmp_path)


def test_a_damaged_archive_is_a_sentence(small: CifarSet, tmp_path: Path):
    whole = write_cifar(small, tmp_path, "binary", "archive")
    content = whole.read_bytes()
    plain = gzip.decompress(content)
    first = plain.index(b"bin", 512)
    bad = {
        "cut": (content[:-100], "is a damaged gzip file"),
        "flipped": (content[:1000] + bytes(8) + content[1008:], "is a damaged gzip file|lacks|SHA-256|cannot|not a"),
        "text": (b"no archive", r"is not a tar archive that can be read \(.+\); get it again"),
        "nothing": (b"", r"is not a tar archive that can be read \(.+\); get it again"),
        "header": (plain[:first] + b"\xff" * 200 + plain[first + 200 :], r"lacks|is not a tar archive"),
        "short": (plain[: len(plain) // 2], "is not a tar archive that can be read|lacks"),
    }
    for damaged, words in bad.values():
        whole.write_bytes(damaged)
        with pytest.raises(FileError, match=words):
            small.load(folder=whole)


def test_an_archive_that_unpacks_to_much_is_a_sentence(small: CifarSet, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("foveate.data.cifar.LARGEST_FILE", 500_000)
    path = archive(tmp_path / "big.tar.gz", "big", {"zeros": bytes(600_000), **contents(small, "binary")})
    with pytest.raises(FileError, match=r'big.tar.gz" unpacks to more than 500,000 bytes; no more are read'):
        small.load(folder=path)
    monkeypatch.setattr("foveate.data.cifar.MOST_MEMBERS", 3)
    path = archive(tmp_path / "many.tar.gz", "many", {str(each): b"" for each in range(9)})
    with pytest.raises(FileError, match=r'many.tar.gz" has more than 3 files'):
        small.load(folder=path)


def test_files_that_cannot_be_read_are_sentences(small: CifarSet, tmp_path: Path):
    write_cifar(small, tmp_path, "binary", "files")
    path = tmp_path / f"{small.batches[0].name}.bin"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(FileError, match="has 314,572,800 bytes; at most 268,435,456 are read"):
        small.load(folder=tmp_path)


def test_a_path_tells_which_data_set_it_has(small: CifarSet, tmp_path: Path):
    assert not small.is_at(tmp_path)
    path = write_cifar(small, tmp_path / "data", "python", "archive")
    assert small.is_at(path)
    assert small.is_at(tmp_path / "data")
    assert datasets.named_data(path) == small.name
    with pytest.raises(FileError, match=rf"holds 20 images, but {small.title} has \d+,000 there"):
        datasets.load(path)


# ------------------------------------------------------------------------------------------------------- the download


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a server on this computer, and the folder that it serves."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output stays clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", served
        server.shutdown()
        thread.join()


def test_the_binary_archive_is_fetched_and_checked(small: CifarSet, publisher: tuple[str, Path]):
    address, served = publisher
    path = write_cifar(small, served, "binary", "archive")
    checked = replace(small, publishers=(address,), archives={path.name: sha256(path.read_bytes()).hexdigest()})
    assert len(checked.load().test) == COUNT
    assert [each.name for each in small.cache.iterdir()] == [path.name]
    path.unlink()
    assert len(checked.load().test) == COUNT


def test_an_archive_with_other_content_leaves_nothing(small: CifarSet, publisher: tuple[str, Path], tmp_path: Path):
    address, served = publisher
    path = write_cifar(small, served, "binary", "archive")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    wanted = next(iter(small.archives.values()))
    with pytest.raises(NotFetchedError, match=rf"{path.name} has the SHA-256 [0-9a-f]{{64}}, but {wanted} was"):
        replace(small, publishers=(address,)).download(fresh)
    assert not list(fresh.iterdir())


def test_what_cannot_be_had_is_a_sentence_that_says_how(small: CifarSet, publisher: tuple[str, Path]):
    binary, python = small.archives
    with pytest.raises(DataError) as caught:
        replace(small, publishers=(publisher[0],)).load()
    told = str(caught.value)
    assert told.startswith(f"{small.title} was not found. Tried: the cache (")
    assert f"download failed: {publisher[0]}/{binary} answered 404 File not found. Put {binary} or {python} or " in told
    assert told.endswith("into a folder, and set FOVEATE_DATA to it or pass folder=")


def test_the_functions_load_the_sets(monkeypatch: pytest.MonkeyPatch):
    for function, expected in ((datasets.cifar10, CIFAR10), (datasets.cifar100, CIFAR100)):
        asked: list[object] = []
        monkeypatch.setattr(CifarSet, "load", lambda self, told=asked, **options: told.append((self, options)))
        function(seed=3, folder="here", progress=False)
        assert asked == [(expected, {"seed": 3, "folder": "here", "progress": False})]


def test_the_sets_are_as_published():
    assert [(each.name, each.training, each.count) for each in CIFAR10.batches][-2:] == [
        ("data_batch_5", True, 10_000),
        ("test_batch", False, 10_000),
    ]
    assert [each.count for each in CIFAR100.batches] == [50_000, 10_000]
    assert len(CIFAR100.classes) == len(set(CIFAR100.classes)) == 100
    assert sorted(CIFAR100.classes) == list(CIFAR100.classes)
    sums = [each for whole in (CIFAR10, CIFAR100) for batch in whole.batches for each in (batch.python, batch.binary)]
    sums += [*CIFAR10.archives.values(), *CIFAR100.archives.values()]
    assert len(set(sums)) == len(sums) == 20
    assert {len(each) for each in sums} == {64}

"""Files that never end, or that unpack to more than the memory holds, are refused before they are read."""

import gzip
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

import foveate as fv
from foveate.data.arrays import LARGEST_ARRAY, read_array
from foveate.data.guarded import MOST_READS
from foveate.data.idx import read_idx
from foveate.data.images import read_image, read_size
from foveate.files import read_checkpoint, read_description
from foveate.files.weights.reading import read_weights
from foveate.training import History

READERS: dict[str, Callable[[Path], object]] = {
    "model": fv.load,
    "description": read_description,
    "checkpoint": read_checkpoint,
    "image": read_image,
    "size of an image": read_size,
    "array": read_array,
    "idx": read_idx,
    "history": History.from_csv,
    "weights": read_weights,
}
SPARSE = 10**10


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        yield tmp_path / "socket"


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_pipe_a_device_and_a_link_to_one_are_refused(reader: Callable[[Path], object], pipe: Path):
    (pipe.parent / "link").symlink_to(pipe)
    for path, kind in ((pipe, "a pipe"), (pipe.parent / "link", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(fv.FileError, match=f'^"{path}" is {kind}, which may never end; give a regular file$'):
            reader(path)


def test_a_socket_cannot_be_read(bound: Path):
    with pytest.raises(fv.FileError, match="cannot be read: "):
        fv.load(bound)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_nothing_that_is_refused_stays_open(reader: Callable[[Path], object], pipe: Path):
    refused = (pipe, pipe.parent, pipe.parent / "nothing")
    before = open_descriptors()
    for path in refused * 3:
        with pytest.raises(fv.FileError):
            reader(path)
    assert open_descriptors() == before


def open_descriptors() -> list[int]:
    """Of the first thousand, those that the process has open."""
    found = []
    for number in range(1000):
        with suppress(OSError):
            os.fstat(number)
            found.append(number)
    return found


@pytest.mark.parametrize("command", ["summary", "steps", "predict", "evaluate", "explain"])
def test_a_command_does_not_wait_for_a_pipe(foveate, pipe: Path, command: str):
    result = foveate(command, pipe, *["x.png"] * (command not in ("summary", "steps")))
    assert result.exit_code == 1
    assert "is a pipe, which may never end" in result.stderr


def test_an_image_in_a_folder_may_be_a_pipe(tmp_path: Path):
    """It is no image, so it is left out, and said to be."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (4, 4), 40 * number + ord(name)).save(tmp_path / name / f"{number}.png")
    os.mkfifo(tmp_path / "a" / "3.png")
    with pytest.warns(fv.datasets.SkippedImagesWarning, match=r'First: ".*3\.png" is no file on a disk'):
        splits = fv.datasets.image_folder(tmp_path)
    assert len(splits.train) == 2
    assert splits.found.endswith("1 skipped: a/3.png (no file on a disk)")


def heads(kind: str) -> Iterator[bytes]:
    """An image's first bytes, more and more of them."""
    content = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(content, kind)
    whole = content.getvalue()
    if kind == "WEBP":
        whole = whole[:4] + struct.pack("<I", 2**32 - 10) + whole[8:]
    yield from (whole[:40], whole[: len(whole) // 2], whole)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_an_image_of_ten_gigabytes_is_read_no_further_than_an_image_goes(tmp_path: Path, kind: str):
    path = tmp_path / "huge"
    for head in heads(kind):
        path.write_bytes(head)
        os.truncate(path, SPARSE)
        with suppress(fv.FileError):
            assert read_image(path).size == (64, 64)
        path.unlink()


@pytest.mark.parametrize(("kind", "head"), [("WEBP", 2), ("JPEG", 0), ("GIF", 0), ("GIF", 1)])
def test_what_has_no_image_worth_its_size_is_told(tmp_path: Path, kind: str, head: int):
    path = tmp_path / "huge"
    path.write_bytes([*heads(kind)][head])
    os.truncate(path, SPARSE)
    sentence = f'^"{path}" has 10,000,000,000 bytes, but no image large enough to need them; an undamaged'
    with pytest.raises(fv.FileError, match=sentence):
        read_image(path)


def test_an_honest_image_is_read_in_as_many_pieces_as_it_has(tmp_path: Path):
    """Random pixels, which nothing compresses, and one strip for each row."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3)).astype(np.uint8)
    for name, options in {"a.tif": {"strip_size": 1}, "a.png": {}, "a.gif": {}, "a.webp": {"lossless": True}}.items():
        Image.fromarray(pixels).save(tmp_path / name, **options)
        assert read_image(tmp_path / name).size == (1500, 1500)
    assert MOST_READS > 100 * 1500


def test_an_array_of_more_than_a_gigabyte_is_refused(tmp_path: Path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    os.truncate(path, SPARSE)
    with pytest.raises(fv.FileError, match=f"has 10,000,000,000 bytes; at most {LARGEST_ARRAY:,} are read"):
        read_array(path)


def test_what_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\1\xff\xff\xff\xff")
        for _ in range(40):
            file.write(bytes(1 << 20))
    with pytest.raises(fv.FileError, match=r"holds more than 33,554,432 bytes once it is unzipped; no more"):
        read_idx(path, most=32 << 20)


@pytest.mark.parametrize("change", [lambda length: length, lambda length: length + 1, lambda length: 2**40])
def test_weights_that_go_on_for_gigabytes_are_not_read(tmp_path: Path, change: Callable[[int], int]):
    path = tmp_path / "weights.safetensors"
    content = save({"a": np.zeros(3, np.float32)})
    path.write_bytes(change(int.from_bytes(content[:8], "little")).to_bytes(8, "little") + content[8:])
    os.truncate(path, SPARSE)
    with pytest.raises(fv.FileError, match=r"is damaged: its header is not that of a file of 10,000,000,000 bytes$"):
        read_weights(path)

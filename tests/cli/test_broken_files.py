"""A large folder with files broken in many ways: training goes to its end, names each of them and loses no other."""

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv

BROKEN = 4
"""Files broken in each way."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def writing(content: Callable[[bytes], bytes]) -> Callable[[Path, bytes], object]:
    return lambda path, whole: path.write_bytes(content(whole))


WAYS: dict[str, Callable[[Path, bytes], object]] = {
    "empty": writing(lambda whole: b""),
    "text": writing(lambda whole: b"a photograph of a cat"),
    "a page": writing(lambda whole: b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
    "a drawing": writing(lambda whole: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "PostScript": writing(lambda whole: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
    "a document": writing(lambda whole: b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\n"),
    "zeros": writing(lambda whole: bytes(len(whole))),
    "the beginning": writing(lambda whole: whole[:20]),
    "the first half": writing(lambda whole: whole[: len(whole) // 2]),
    "compressed": writing(gzip.compress),
    "another size": writing(lambda whole: png(60_000, 60_000, zlib.compress(bytes(100)))),
    "too little": writing(lambda whole: png(50, 50, zlib.compress(bytes(100)))),
    "no deflate": writing(lambda whole: png(9, 9, b"\xff" * 100)),
    "a broken link": lambda path, whole: path.symlink_to(path.with_name("nowhere")),
    "a pipe": lambda path, whole: os.mkfifo(path),
}


def write_folder(root: Path, count: int) -> tuple[set[Path], set[str]]:
    """`count` files in four classes; those that are broken, and the hashes of the others."""
    random = np.random.default_rng(0)
    every = []
    for number in range(count):
        path = root / f"class {number % 4}" / f"{number}.{('png', 'jpg')[number // 4 % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        level = 40 + 50 * (number % 4)
        pixels = random.normal(level, 20, (20, 26, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        every.append(path)
    broken = set()
    places = iter(random.permutation(count)[: BROKEN * len(WAYS)].tolist())
    for way in WAYS.values():
        for _ in range(BROKEN):
            path = every[next(places)]
            whole = path.read_bytes()
            path.unlink()
            way(path, whole)
            broken.add(path)
    good = {blake2b(path.read_bytes(), digest_size=8).hexdigest() for path in every if path not in broken}
    return broken, good


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_training_goes_to_its_end_and_names_each_broken_file(foveate, tmp_path, count: int):
    broken, good = write_folder(tmp_path / "photos", count)
    assert (len(WAYS), len(broken), len(good)) == (15, 60, count - 60)
    out = tmp_path / "run"
    result = foveate("train", tmp_path / "photos", "--size", 16, "--epochs", 1, "--batch-size", 50, "--out", out)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert f"{count - 60:,} images in 4 classes (26x20 pixels)" in lines[0]
    assert ", 60 skipped: " in lines[0]
    assert f" and 57 more (listed in {out / 'skipped.txt'})" in lines[0]
    assert result.stderr == ""
    named = {Path(line.split("\t")[0]) for line in (out / "skipped.txt").read_text("utf-8").splitlines()}
    assert named == broken
    record = fv.load(out / "model.safetensors").splits
    assert sorted(record["train"] + record["validation"] + record["test"]) == sorted(good)


def test_an_array_without_samples_is_told_as_empty(foveate, trained, tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 3, 48, 48), np.float32))
    result = foveate("predict", trained[0] / "model.safetensors", tmp_path / "none.npy", "--engine", "reference")
    assert result.exit_code == 1
    assert result.stderr == f'foveate: "{tmp_path / "none.npy"}" is empty (0x3x48x48); give an array with values\n'


def test_the_list_of_what_was_skipped_is_named_beside_its_count(foveate, tmp_path):
    for place, name in enumerate(("a", "b")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(10 * place + number).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
        for number in range(2):
            (tmp_path / "photos" / name / f"bad{number}.png").write_bytes(b"")
    (tmp_path / "photos/b/twin.png").write_bytes((tmp_path / "photos/a/3.png").read_bytes())
    out = tmp_path / "run"
    result = foveate("train", tmp_path / "photos", "--size", 8, "--epochs", 1, "--batch-size", 4, "--out", out)
    assert result.exit_code == 0, result.output
    assert (
        f" and 1 more (listed in {out / 'skipped.txt'}); 1 image is in more than one class, such as a/3.png and b/twin"
        in result.stdout
    )

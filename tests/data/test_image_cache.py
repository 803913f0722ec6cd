"""Decoded images on disk: the same bits, decoded once, bounded, and never trusted when damaged."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate import DataError, Preprocessing
from foveate.cli import app
from foveate.data import facts_index, image_cache, reading
from foveate.data.datasets import SkippedImagesWarning, held_out, image_folder
from foveate.data.splitting import PARTS
from tests.data.support import noise


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The cache's folder."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(facts_index, "SETTLED_SECONDS", -1.0)
    monkeypatch.setattr(facts_index, "KEPT_FROM", 1)
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path) -> Path:
    return write(tmp_path / "photos", 12)


def write(root: Path, count: int, seed: int = 0) -> Path:
    for place, name in enumerate(("a", "b")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(noise(count, 20, 30, 3, seed=seed + place)):
            Image.fromarray(pixels).save(root / name / f"{seed}-{number}.png")
    return root


@pytest.fixture
def decoded(monkeypatch) -> list[Path]:
    """The files that are decoded from now on."""
    seen: list[Path] = []
    real = reading.read_pixels
    monkeypatch.setattr(reading, "read_pixels", lambda path, *rest: seen.append(path) or real(path, *rest))
    return seen


@pytest.fixture
def examined(monkeypatch) -> list[Path]:
    """The files whose header is read from now on."""
    seen: list[Path] = []
    real = reading.read_size
    monkeypatch.setattr(reading, "read_size", lambda path: seen.append(path) or real(path))
    return seen


def assert_same(one, other):
    assert one.record == other.record
    assert one.found == other.found
    assert one.preprocessing == other.preprocessing
    for part in PARTS:
        assert np.array_equal(getattr(one, part).inputs, getattr(other, part).inputs)
        assert np.array_equal(getattr(one, part).labels, getattr(other, part).labels)


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_the_cache_gives_the_bits_of_memory(photos, decoded, threads):
    Image.fromarray(noise(20, 30, 3)).save(photos / "a" / "0-3.jpg")
    os.truncate(photos / "a" / "0-3.jpg", 800)  # its header is whole
    (photos / "a" / "0-3.png").unlink()
    with pytest.warns(SkippedImagesWarning, match=r'First: ".*0-3\.jpg" is a damaged image'):
        plain = image_folder(photos, size=16, cache=False)
    assert len(decoded) == 24
    for times in (1, 0):
        del decoded[:]
        with pytest.warns(SkippedImagesWarning, match=r'First: ".*0-3\.jpg" is a damaged image'):
            cached = image_folder(photos, size=16, cache=True, threads=threads)
        assert len(decoded) == 24 * times
        assert_same(cached, plain)


def test_what_is_mapped_is_not_in_memory_and_cannot_be_written(photos):
    inputs = image_folder(photos, size=16, cache=True).train.inputs
    base = inputs
    while not isinstance(base, np.memmap) and base.base is not None:
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        inputs[0] = 0


def test_files_that_are_renamed_moved_or_added_are_decoded_no_second_time(photos, decoded):
    first = image_folder(photos, size=16, cache=True)
    del decoded[:]
    for path in sorted((photos / "a").iterdir()):
        path.rename(path.with_name(f"x{path.name}"))
    photos.rename(photos.with_name("moved"))
    moved = image_folder(photos.with_name("moved"), size=16, cache=True)
    assert moved.record == first.record
    assert not decoded
    write(photos.with_name("moved"), 2, seed=50)
    image_folder(photos.with_name("moved"), size=16, cache=True)
    assert len(decoded) == 4


def test_a_part_of_what_is_kept_is_neither_decoded_nor_kept_again(photos, folder, decoded, monkeypatch):
    splits = image_folder(photos, size=16, cache=True)
    monkeypatch.setattr(reading, "KEPT_FROM", 0)
    del decoded[:]
    for wanted in (0, 1):
        held = held_out(photos, splits.preprocessing, classes=splits.classes, record=splits.record)
        assert np.array_equal(held.dataset.inputs, splits.test.inputs)
        assert len(list(folder.glob("*.pixels"))) == 1 + wanted
        monkeypatch.setattr(reading, "COPIED_UP_TO", 0)
    assert not decoded


def test_the_path_to_a_folder_may_be_written_in_two_ways(photos, examined, monkeypatch):
    image_folder(photos, size=16, cache=True)
    monkeypatch.chdir(photos.parent)
    image_folder("photos", size=16, cache=True)
    assert len(examined) == 24


@pytest.mark.parametrize(
    "options", [{"size": 17}, {"fit": "pad"}, {"fit": "stretch"}, {"shape": (1, 16, 16), "size": None}]
)
def test_another_size_or_fit_is_another_picture(photos, decoded, options):
    image_folder(photos, size=16, cache=True)
    del decoded[:]
    changed = image_folder(photos, **{"size": 16, **options}, cache=True)
    assert len(decoded) == 24
    assert_same(changed, image_folder(photos, **{"size": 16, **options}, cache=False))


def test_another_interpolation_is_another_picture(photos, decoded):
    for interpolation in ("bilinear", "nearest"):
        model = Preprocessing((3, 16, 16), (0.0,) * 3, (1.0,) * 3, interpolation=interpolation)
        image_folder(photos, preprocessing=model, cache=True)
    assert len(decoded) == 48


def test_a_file_that_changed_is_read_again(photos, decoded, examined):
    image_folder(photos, size=16, cache=True)
    assert len(examined) == 24
    del decoded[:], examined[:]
    image_folder(photos, size=16, cache=True)
    assert not examined
    path = photos / "a" / "0-3.png"
    kept = path.stat()
    Image.fromarray(noise(20, 30, 3, seed=77)).save(path)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    splits = image_folder(photos, size=16, cache=True)
    assert examined == decoded == [path]
    assert_same(splits, image_folder(photos, size=16, cache=False))


def test_a_file_that_has_just_changed_is_not_remembered(photos, examined, monkeypatch):
    monkeypatch.setattr(facts_index, "SETTLED_SECONDS", 1000.0)
    for _ in range(2):
        image_folder(photos, size=16, cache=True)
    assert len(examined) == 48


DAMAGE = {
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1) if path.suffix == ".pixels" else None,
    "gone": lambda path: path.unlink() if path.suffix == ".pixels" else None,
    "no JSON": lambda path: path.write_text("{") if path.suffix in (".json", ".facts") else None,
    "other JSON": lambda path: path.write_text('{"rows": 3}') if path.suffix in (".json", ".facts") else None,
    "a list": lambda path: path.write_text("[]") if path.suffix in (".json", ".facts") else None,
    "no bytes": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_made_anew(photos, folder, decoded, damage):
    wanted = image_folder(photos, size=16, cache=True)
    wanted = image_folder(photos, size=16, cache=False)
    del decoded[:]
    for path in list(folder.iterdir()):
        damage(path)
    assert_same(image_folder(photos, size=16, cache=True), wanted)
    assert len(decoded) == 24
    assert_same(image_folder(photos, size=16, cache=True), wanted)
    assert len(decoded) == 24


def test_a_full_disk_or_a_folder_that_cannot_be_written_leaves_the_images_in_memory(photos, folder, monkeypatch):
    wanted = image_folder(photos, size=16, cache=False)
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("not a folder")
    assert_same(image_folder(photos, size=16, cache=True), wanted)
    folder.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert_same(image_folder(photos, size=16, cache=True), wanted)
    assert not [path for path in folder.iterdir() if path.suffix != ".facts"]


def test_the_cache_is_bounded_and_what_was_used_longest_ago_goes(photos, folder, monkeypatch, decoded):
    image_folder(photos, size=16, cache=True)
    one = sum(path.stat().st_size for path in folder.glob("*.pixels"))
    assert one == 24 * 3 * 16 * 16
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(3.5 * one / 1e9))
    for number, fit in enumerate(("pad", "stretch")):
        image_folder(photos, size=16, fit=fit, cache=True)
        for path in folder.glob("*.json"):
            os.utime(path, (1000 + number, 1000 + number))
    image_folder(photos, size=16, cache=True)
    del decoded[:]
    image_folder(write(photos.with_name("others"), 12, seed=9), size=16, cache=True)
    assert len(list(folder.glob("*.pixels"))) < 4
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 3.5 * one + 5000
    del decoded[:]
    image_folder(photos, size=16, cache=True)
    assert not decoded
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    image_folder(photos, size=16, cache=True)
    assert len(decoded) == 24
    for words in ("much", "-1", "nan"):
        monkeypatch.setenv("FOVEATE_CACHE_GB", words)
        with pytest.raises(
            DataError, match=f'FOVEATE_CACHE_GB is "{words}"; give a number of gigabytes, 0 for no cache'
        ):
            image_folder(photos, size=16, cache=True)


def test_what_a_killed_process_left_goes_after_a_day(photos, folder):
    folder.mkdir()
    young, old = (f".{'0' * 20}-{'a' * 20}.{each * 8}.partial" for each in "12")
    for name, age in ((young, 3600), (old, 100_000), (other := "download.partial", 100_000)):
        (folder / name).write_bytes(bytes(1000))
        then = time.time() - age
        os.utime(folder / name, (then, then))
    image_folder(photos, size=16, cache=True)
    assert {path.name for path in folder.glob("*.partial")} == {young, other}


def test_small_folders_are_not_kept_and_large_ones_are(photos, folder, monkeypatch):
    image_folder(photos, size=16)
    assert not list(folder.glob("*.pixels"))
    monkeypatch.setattr(reading, "KEPT_FROM", 24 * 3 * 16 * 16)
    image_folder(photos, size=16)
    assert len(list(folder.glob("*.pixels"))) == 1


def test_the_command_tells_and_clears(photos, folder):
    image_folder(photos, size=16, cache=True)
    others = {"notes.txt", "labels.json", "archive.partial", "0123456789.facts"}
    for name in others:
        (folder / name).write_text("somebody else's")
    told = CliRunner().invoke(app, ["data", "cache", "--json"])
    report = json.loads(told.stdout)
    assert report["folder"] == str(folder)
    assert (report["packs"], report["cleared"]) == (1, False)
    assert report["bytes"] > 24 * 3 * 16 * 16
    assert (
        f"{folder}: 1 set of decoded images, 0.0 MB of at most 20,000 MB"
        in CliRunner().invoke(app, ["data", "cache"]).stdout
    )
    assert "0.0 MB deleted" in CliRunner().invoke(app, ["data", "cache", "--clear"]).stdout
    assert {path.name for path in folder.iterdir()} == others
    assert json.loads(CliRunner().invoke(app, ["data", "cache", "--clear", "--json"]).stdout)["packs"] == 0


def test_reading_in_order_goes_only_a_little_ahead_and_stops_when_nobody_asks():
    started = []
    results = reading.in_order(lambda number: started.append(number) or number, range(1000), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(started) < 20


def test_an_error_is_raised_where_its_result_would_have_come():
    results = reading.in_order(lambda number: 1 // (3 - number), range(10), threads=2)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


MAPPED = r"""
import re, sys
from pathlib import Path
import foveate as fv

def anonymous():
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])

graph = fv.Sequential(fv.GlobalAvgPool2d(), fv.Linear(2)).build((3, 256, 256))
before = anonymous()
data = fv.datasets.image_folder(sys.argv[1], size=256, cache=True)
model = fv.Model(graph, classes=data.classes, preprocessing=data.preprocessing, engine="reference")
model.fit(data.train, epochs=1, batch_size=2, progress=False)
size = sum(part.inputs.nbytes for part in (data.train, data.validation, data.test))
print(size, (anonymous() - before) / size)
"""


def test_images_may_be_more_than_the_memory_holds(tmp_path):
    """What is mapped from the disk takes no memory of the process's own."""
    root = write(tmp_path / "photos", 200)
    done = subprocess.run([sys.executable, "-c", MAPPED, str(root)], capture_output=True, text=True, check=True)
    size, share = map(float, done.stdout.split())
    assert size == 400 * 3 * 256 * 256
    assert share < 0.5


def read_otherwise(monkeypatch, path, before):
    """Let something happen to a file between its being hashed and its being decoded."""
    real = reading.read_pixels

    def read(each, *rest):
        if each == path:
            before()
        return real(each, *rest)

    monkeypatch.setattr(reading, "read_pixels", read)


def labels_by_content(splits):
    parts = [getattr(splits, part) for part in PARTS]
    for part in parts:
        assert len(part.inputs) == len(part.labels)
    return {
        pixels.tobytes(): int(label) for part in parts for pixels, label in zip(part.inputs, part.labels, strict=True)
    }


def test_a_copy_that_disappears_moves_no_label(photos, monkeypatch):
    wanted = labels_by_content(image_folder(photos, size=16, cache=False))
    (photos / "a" / "copy.png").write_bytes((photos / "a" / "0-3.png").read_bytes())
    with monkeypatch.context() as patch:
        read_otherwise(patch, photos / "a" / "copy.png", (photos / "a" / "copy.png").unlink)
        with pytest.warns(SkippedImagesWarning, match=r'First: there is no file ".*copy\.png"'):
            first = image_folder(photos, size=16, cache=True, threads=0)
    assert labels_by_content(first) == wanted
    (photos / "a" / "0-3.png").rename(photos / "a" / "renamed.png")
    (photos / "a" / "copy.png").write_bytes((photos / "a" / "renamed.png").read_bytes())
    again = image_folder(photos, size=16, cache=True)
    assert labels_by_content(again) == wanted
    assert sum(len(getattr(again, part)) for part in PARTS) == 25


def test_a_pack_whose_rows_are_not_those_of_the_files_is_not_used(photos, folder, decoded):
    wanted = image_folder(photos, size=16, cache=True)
    (path,) = folder.glob("*.json")
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "bad": {header["rows"][0]: "is a damaged image"}}))
    del decoded[:]
    assert_same(image_folder(photos, size=16, cache=True), wanted)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_that_is_replaced_while_it_is_read_does_not_spoil_the_cache(photos, monkeypatch, damaged):
    wanted = image_folder(photos, size=16, cache=False)
    path = photos / "a" / "0-3.png"
    whole = path.read_bytes()
    others = whole[:800] if damaged else (photos / "b" / "0-4.png").read_bytes()
    with monkeypatch.context() as patch:
        read_otherwise(patch, path, lambda: path.write_bytes(others))
        with pytest.warns(SkippedImagesWarning, match=r"0-3\.png\" has changed while it was read"):
            image_folder(photos, size=16, cache=True)
    path.write_bytes(whole)
    assert_same(image_folder(photos, size=16, cache=True), wanted)


def test_a_file_whose_rights_change_while_it_is_read_is_read_again(photos, monkeypatch):
    wanted = image_folder(photos, size=16, cache=False)
    path = photos / "a" / "0-3.png"
    modes = [0o640]
    read_otherwise(monkeypatch, path, lambda: [path.chmod(modes.pop()) for _ in modes[:]])
    assert_same(image_folder(photos, size=16, cache=True), wanted)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_an_error_that_passes_is_not_kept(photos, monkeypatch, error):
    wanted = image_folder(photos, size=16, cache=False)
    with monkeypatch.context() as patch:
        real = Image.open

        def refuse(file, **options):
            if refusing:
                raise refusing.pop()
            return real(file, **options)

        refusing: list[OSError] = []
        read_otherwise(patch, photos / "a" / "0-3.png", lambda: refusing.append(error))
        patch.setattr(Image, "open", refuse)
        with pytest.warns(SkippedImagesWarning, match=error.strerror):
            image_folder(photos, size=16, cache=True, threads=0)
    assert_same(image_folder(photos, size=16, cache=True), wanted)


def test_the_command_says_from_which_size_on_images_are_kept():
    told = CliRunner().invoke(app, ["data", "cache", "--help"]).stdout
    assert f"Less than {image_cache.KEPT_FROM >> 20} MB" in " ".join(told.replace("│", " ").split())
    empty = CliRunner().invoke(app, ["data", "cache"]).stdout
    assert empty.endswith(
        "0 sets of decoded images, 0.0 MB of at most 20,000 MB; less than 8 MB of images is not kept\n"
    )

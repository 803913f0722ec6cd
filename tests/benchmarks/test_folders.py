"""The script that times folders of images: a short form, and that it finds other bits and errors."""

import pytest

from benchmarks import folders
from benchmarks.errors import BenchmarkError


@pytest.fixture(autouse=True)
def _cache_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folders, "SETTLED", 0.0)
    monkeypatch.setenv("FOVEATE_CACHE", "set by the script, and by this fixture set back")


def test_a_short_form(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "LARGE", (300, 400))
    told: list[str] = []
    report = folders.folders(300, 40, 1, told.append, tmp_path)
    assert [line.split(",")[0][:12] for line in told] == [
        "making 300 i", "first start ", "training fro", "making 40 ph", "first start ",
    ]  # fmt: skip
    assert report.second_start < report.first_start + 1
    assert report.ratio > 0.1
    assert 0 <= report.waiting <= 1
    assert 2e7 < report.photographs_memory < 1e9
    assert not list(tmp_path.iterdir())


def test_other_bits_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "START", "print('{\"seconds\": 1}')")
    program = "import json, sys; print(json.dumps({'images_per_second': 1, 'waiting': 0, 'bits': sys.argv[3]}))"
    monkeypatch.setattr(folders, "TRAIN", program)
    with pytest.raises(BenchmarkError, match="from the cache and from memory gives different bits"):
        folders.folders(10, 10, 1, lambda line: None, tmp_path)


def test_an_error_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "START", "raise ValueError('no images')")
    with pytest.raises(BenchmarkError, match=r"^ValueError: no images$"):
        folders.folders(10, 10, 1, lambda line: None, tmp_path)

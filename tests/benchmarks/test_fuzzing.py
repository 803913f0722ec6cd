"""Damaged data files end in an array or a sentence; and the script that says so finds a reader that is careless."""

import importlib.util
from pathlib import Path

import pytest

import foveate as fv
from benchmarks import fuzzing
from benchmarks.cli import main
from benchmarks.errors import BenchmarkError
from benchmarks.fuzzing import READERS, Reader, damaged, fuzzed


@pytest.mark.parametrize("name", READERS)
def test_every_damaged_file_ends_in_an_array_or_a_sentence(name: str):
    report = fuzzed(name, 400)
    assert report.refused + report.read == 400
    assert report.refused > 200
    assert report.read > 5


@pytest.mark.parametrize("name", READERS)
def test_the_files_are_good_before_they_are_damaged(name: str, tmp_path: Path):
    path = tmp_path / "good"
    for content in READERS[name].seeds():
        path.write_bytes(content)
        archive = name == "npz" and content[:2] == b"PK"  # of several arrays, which is refused
        assert fuzzing.refuses(READERS[name], path, "good") is archive


def test_the_same_seed_damages_alike():
    seeds = READERS["cifar"].seeds()
    first, again, other = (list(damaged(seeds, 20, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) > 15


def fails(path: Path) -> None:
    raise KeyError(path)


def says_much(path: Path) -> None:
    raise fv.FileError("two\nlines")


def is_slow(path: Path) -> None:
    sum(range(10**6))


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (fails, r"^file 0 of seed 0: KeyError"),
        (says_much, r"^file 0 of seed 0: more than a sentence: two"),
        (is_slow, r"^file 0 of seed 0 took 0\.\d s"),
    ],
)
def test_a_careless_reader_is_found(monkeypatch: pytest.MonkeyPatch, read, said: str):
    monkeypatch.setitem(READERS, "idx", Reader(read, READERS["idx"].seeds))
    if read is is_slow:
        monkeypatch.setattr(fuzzing, "LONGEST", 0.001)
    with pytest.raises(BenchmarkError, match=said):
        fuzzed("idx", 3)


def test_a_greedy_reader_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fuzzing, "MOST_GROWTH", -1)
    with pytest.raises(BenchmarkError, match=r"^file 0 of seed 0 took \d+ MB"):
        fuzzed("idx", 3)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["benchmarks", "fuzz", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys):
    assert run(monkeypatch, "--readers", "idx,npz", "--count", "5") == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["5 files for idx", "5 files for npz"]
    assert run(monkeypatch, "--readers", "zip") == 2
    assert 'there is no reader "zip"; there are idx, cifar, npz' in capsys.readouterr().err


def test_guidance_needs_atheris(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run(monkeypatch, "--readers", "idx", "--guided") == 1
    assert capsys.readouterr().err == "atheris is not installed; pip install atheris, or leave --guided out\n"


def test_what_guidance_finds_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A program in the place of Python: one that ends well, and one that does not."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho Done 7 runs in 1 second >&2\necho >&2\nexit $(cat status)\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    monkeypatch.chdir(tmp_path)
    Path("status").write_text("0")
    assert fuzzing.guided("idx", 7) == "Done 7 runs in 1 second"
    Path("status").write_text("77")
    with pytest.raises(BenchmarkError, match=r"^the reader of idx failed under atheris:\nDone 7 runs"):
        fuzzing.guided("idx", 7)

"""The recorder writes what a machine computes, keeps the records of others, and names what differs."""

import json
import sys

import numpy as np
import pytest

from benchmarks import baseline
from benchmarks.cli import main
from benchmarks.errors import BenchmarkError
from foveate import zoo
from foveate.engines import get_engine


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `python -m benchmarks baseline` with two cheap measurements; returns the exit status, stdout and stderr."""
    monkeypatch.setattr(baseline, "measurements", lambda: {"one": lambda: "11", "two": lambda: "22"})
    monkeypatch.setattr(baseline, "set_threads", lambda count: None)

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", "baseline", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return invoke


@pytest.fixture
def file(tmp_path, command):
    """A file with a record of this machine."""
    path = tmp_path / "baseline.json"
    assert command("--write", path) == (0, f"2 hashes written to {path}\n", "")
    return path


def change(path, place, name, value):
    content = json.loads(path.read_text())
    content["records"][0][place][name] = value
    path.write_text(json.dumps(content))


def test_what_was_written_is_found_again(file, command):
    assert command("--check", file) == (0, "2 results have the recorded bits\n", "")


def test_what_differs_is_named(file, command):
    change(file, "hashes", "two", "23")
    status, _, error = command("--check", file)
    assert (status, error) == (1, "1 of 2 results have other bits: two\n")


def test_a_machine_without_a_record_is_told_how_to_make_one_and_leaves_those_of_others(file, command):
    change(file, "machine", "threads", 7)
    status, _, error = command("--check", file)
    assert status == 1
    assert "has no record of a machine like this one" in error
    assert f"python -m benchmarks baseline --write {file}" in error
    assert command("--write", file)[0] == 0
    assert [record["machine"]["threads"] for record in json.loads(file.read_text())["records"]] == [7, 2]
    assert command("--check", file)[0] == 0


def test_a_second_record_of_one_machine_replaces_the_first(file, command):
    command("--write", file)
    assert len(json.loads(file.read_text())["records"]) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [("[", "no file of records"), ("{}", "no file of records"), ('{"format": 2, "records": []}', "has the format 2")],
)
def test_another_file_is_refused(tmp_path, command, content, message):
    path = tmp_path / "other.json"
    path.write_text(content)
    status, _, error = command("--check", path)
    assert status == 1
    assert message in error


def test_one_of_write_and_check_is_needed(command):
    assert command()[0] == 2
    assert command("--write", "a", "--check", "b")[0] == 2


def test_the_hash_tells_names_and_every_number():
    graph = zoo.make("lenet5")
    state = get_engine("native").new_state(graph, seed=0)
    before = baseline.hash_of_state(graph, state)
    weight = state.read("conv1.weight")
    weight.flat[-1] = np.nextafter(weight.flat[-1], np.float32(9))
    state.load("conv1.weight", weight)
    assert baseline.hash_of_state(graph, state) != before


def test_what_is_not_finite_is_not_recorded():
    graph = zoo.make("lenet5")
    state = get_engine("native").new_state(graph, seed=0)
    state.load("conv1.bias", np.full(6, np.nan))
    with pytest.raises(BenchmarkError, match=r"^conv1.bias is not finite, so its bits would tell little$"):
        baseline.hash_of_state(graph, state)

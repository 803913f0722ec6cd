"""Damaged model files end in a sentence; and the script that says so finds one that does not."""

import pytest

import foveate as fv
from benchmarks import calls, damage, names
from benchmarks.cli import main
from benchmarks.errors import BenchmarkError


def test_every_flipped_bit_is_found():
    report = damage.flipped_bits(60)
    assert (report.refused, report.read) == (60, 0)


def test_every_mutated_description_ends_in_a_sentence_or_an_answer():
    report = damage.mutated_descriptions(150)
    assert report.refused + report.read == 150
    assert report.refused > 75


def test_every_mutated_checkpoint_ends_in_a_sentence_or_an_answer():
    report = damage.mutated_checkpoints(150)
    assert report.refused + report.read == 150
    assert report.refused > 75


def test_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["benchmarks", "damage", "--flips", "5", "--descriptions", "5", "--checkpoints", "5"]
    )
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "5 files with one bit flipped: 5 refused in a sentence, 0 read" in printed
    assert "5 changed descriptions: " in printed
    assert "5 changed checkpoints: " in printed


@pytest.mark.parametrize("command", ["calls", "names"])
def test_the_command_line_of_its_brothers(monkeypatch, capsys, command):
    monkeypatch.setattr(calls, "random_calls", lambda count, seed, report: (count, seed))
    monkeypatch.setattr(names, "hostile_names", lambda count, seed, report: (count, seed))
    monkeypatch.setattr("sys.argv", ["benchmarks", command, "--count", "1000", "--seed", "3"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"1,000 {command}: (1000, 3)\n"


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (lambda path: None, "^3 of 3 files with a bit flipped were read"),
        (lambda path: {}[path], "^file 0: KeyError"),
        (lambda path: (_ for _ in ()).throw(fv.FileError("two\nlines")), "^file 0: more than a sentence: two"),
    ],
)
def test_a_loader_that_is_careless_is_found(monkeypatch, load, said):
    monkeypatch.setattr(fv, "load", load)
    with pytest.raises(BenchmarkError, match=said):
        damage.flipped_bits(3)

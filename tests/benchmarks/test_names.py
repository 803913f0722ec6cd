"""Hostile names end in answers and sentences; and the script that says so finds a command that is careless."""

import pytest
import typer

from benchmarks import names
from benchmarks.errors import BenchmarkError
from foveate.graph import Summary


def test_hostile_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "EXPLAINED_EVERY", 10**9)
    told: list[str] = []
    report = names.hostile_names(40, tell=told.append)
    assert told == [f"{number} of 40 names" for number in (0, 10, 20, 30)]
    assert (report.names, report.processes) == (40, 2)
    assert report.commands == 4 * 14 + 1 + 2
    assert 20 < report.refused < 50


def test_a_foreign_error_is_found(monkeypatch: pytest.MonkeyPatch):
    def careless(*_: object, **__: object) -> str:
        raise UnicodeError("surrogates not allowed")

    monkeypatch.setattr(Summary, "render", careless)
    with pytest.raises(BenchmarkError, match=r"^file 0: foveate summary .*: status 1, UnicodeError surrogates"):
        names.hostile_names(10)


def test_what_moves_a_cursor_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Summary, "render", lambda *_: "a\x1b[2Jb")
    with pytest.raises(BenchmarkError, match=r"^file 0: foveate summary .*: printed '\\x1b'$"):
        names.hostile_names(10)


def test_what_takes_long_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "LONGEST", 0.0)
    with pytest.raises(BenchmarkError, match=r"^file 0: foveate summary .*: took \d"):
        names.hostile_names(10)


def test_a_wrong_status_is_found(monkeypatch: pytest.MonkeyPatch):
    def wrong(*_: object, **__: object) -> str:
        raise typer.Exit(3)

    monkeypatch.setattr(Summary, "render", wrong)
    with pytest.raises(BenchmarkError, match=r"^file 0: foveate summary .*: status 3"):
        names.hostile_names(10)


def test_a_process_without_an_end_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "PATIENCE", 0.01)
    with pytest.raises(BenchmarkError, match=r"^file 0: foveate summary .*: status -1, no end in 0\.01 s$"):
        names.hostile_names(10)

"""The stress script tells what a scenario found, and finds a wrong answer, a crash and one that never ends."""

import sys

import pytest

from benchmarks import scenarios, stress
from benchmarks.cli import main
from benchmarks.errors import BenchmarkError

PASSING = "lambda calls: f'{calls} calls'"


def scenario(monkeypatch, function):
    """Lets the process of a scenario run `function`, a text, instead of one of the scenarios."""
    monkeypatch.setattr(stress, "SCENARIOS", {"some": None})
    program = f"import os, time; calls = {{calls}}; print(({function})(calls))"
    monkeypatch.setattr(stress, "PROGRAM", program)


def test_what_a_scenario_reports_is_handed_on(monkeypatch):
    scenario(monkeypatch, PASSING)
    assert stress.run("some", 3) == "3 calls"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("lambda calls: 1 / 0", "^some: ZeroDivisionError: division by zero$"),
        ("lambda calls: os.abort()", "^some ended by SIGABRT$"),
        ("lambda calls: os.write(2, b'leaked')", "^some: leaked$"),
        ("lambda calls: time.sleep(60)", r"^some did not end in 0\.5 s$"),
    ],
)
def test_what_goes_wrong_is_told(monkeypatch, function, message):
    scenario(monkeypatch, function)
    with pytest.raises(BenchmarkError, match=message):
        stress.run("some", 1, seconds=0.5)


def test_an_unknown_scenario_is_refused():
    with pytest.raises(BenchmarkError, match=r'^there is no scenario "none"; there are one-model, own-layer, '):
        stress.run("none", 1)


@pytest.mark.parametrize(
    ("function", "status", "line"),
    [
        (PASSING, 0, "some: 200 calls\n"),
        ("lambda calls: 1 / 0", 1, "FAILED some: ZeroDivisionError: division by zero\n"),
    ],
)
def test_each_scenario_runs_at_least_once(monkeypatch, capsys, function, status, line):
    scenario(monkeypatch, function)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "stress", "--minutes", "0"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == status
    assert capsys.readouterr().out == line


def test_the_scenarios_are_told_apart():
    assert set(scenarios.SCENARIOS) == {*scenarios.THREADED, *scenarios.SIZED}

"""Random calls end in answers and sentences; and the script that says so finds those that do not."""

import pytest

from benchmarks import calls
from benchmarks.errors import BenchmarkError


def test_random_calls_end_in_answers_and_sentences():
    counts = calls.random_calls(120, seed=3)
    assert counts.refused + counts.ran + counts.compiled == 120
    assert counts.ran > 60
    assert counts.refused > 5


def test_a_call_can_be_made_again():
    assert [calls.tried(1, 0) for _ in range(2)] == [True, True]


def other_program(monkeypatch: pytest.MonkeyPatch, tried: str) -> None:
    """Processes in which `tried(seed, number)` is something else; `t` is what it was."""
    replaced = f"import os, signal, time; import benchmarks.calls as c; t = c.tried; c.tried = {tried}; "
    monkeypatch.setattr(calls, "PROGRAM", replaced + "c.batch({seed}, {first}, {count})")


def test_a_process_that_ends_by_a_signal_names_its_call_and_the_others_are_made(monkeypatch: pytest.MonkeyPatch):
    other_program(monkeypatch, "lambda s, n: os.kill(os.getpid(), signal.SIGSEGV) if n == 2 else t(s, n)")
    told: list[str] = []
    with pytest.raises(
        BenchmarkError,
        match=r"^1 of 5 calls failed:\nseed 1, call 2: SIGSEGV\n\d refused in a sentence, \d ran, \d only compiled",
    ) as caught:
        calls.random_calls(5, seed=1, report=told.append)
    counts = str(caught.value).splitlines()[-1].split(";")[0].split(", ")
    assert sum(int(each.split()[0]) for each in counts) == 4  # those before it too
    assert told == ["0 of 5 calls, 0 failed", "3 of 5 calls, 1 failed"]


def test_a_process_without_an_end_is_ended_and_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "PATIENCE", 10.0)
    other_program(monkeypatch, "lambda s, n: time.sleep(600) if n == 1 else t(s, n)")
    with pytest.raises(BenchmarkError, match=r"^1 of 3 calls failed:\nseed 1, call 1: no end in 10 s\n"):
        calls.random_calls(3, seed=1)


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ("lambda *_: [][0]", "IndexError list index out of range"),
        ("lambda *_: [0] * 50_000_000 * 3 and None", r"\d+ MB"),
        ("lambda *_: next(i for i in iter(c.process_time, -1) if i > c.LONGEST + 1)", r"took \d.\d s"),
    ],
)
def test_a_call_that_ends_otherwise_is_found(monkeypatch: pytest.MonkeyPatch, tried: str, said: str):
    other_program(monkeypatch, tried)
    with pytest.raises(BenchmarkError, match=rf"(?s)^\d of 1 calls failed:.*seed 0, call 0: {said}"):
        calls.random_calls(1)


def test_a_process_that_does_not_start_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "PROGRAM", "import nothing_of_the_kind")
    with pytest.raises(BenchmarkError, match=r"^seed 0, call 0: Traceback"):
        calls.random_calls(20_000)


def test_the_counts_in_words():
    counts = calls.Counts(refused=1000, ran=2, slowest=0.5, memory=2e8)
    assert str(counts) == (
        "1,000 refused in a sentence, 2 ran, 0 only compiled; the slowest took 0.50 s, a process held 200 MB at most"
    )

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


def test_a_process_that_ends_by_a_signal_names_its_call_and_the_others_are_made(monkeypatch: pytest.MonkeyPatch):
    crash = "import os, signal; import benchmarks.calls as c; t = c.tried; "
    crash += "c.tried = lambda s, n: os.kill(os.getpid(), signal.SIGSEGV) if n == 2 else t(s, n); "
    monkeypatch.setattr(calls, "PROGRAM", crash + "c.batch({seed}, {first}, {count})")
    with pytest.raises(BenchmarkError, match=r"^1 of 5 calls failed:\nseed 1, call 2: SIGSEGV$"):
        calls.random_calls(5, seed=1)


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ("lambda *_: [][0]", "IndexError list index out of range"),
        ("lambda *_: [0] * 50_000_000 * 3 and None", r"\d+ MB"),
        ("lambda *_: next(i for i in iter(c.process_time, -1) if i > c.LONGEST + 1)", r"took \d.\d s"),
    ],
)
def test_a_call_that_ends_otherwise_is_found(monkeypatch: pytest.MonkeyPatch, tried: str, said: str):
    careless = f"import benchmarks.calls as c; c.tried = {tried}; "
    monkeypatch.setattr(calls, "PROGRAM", careless + "c.batch({seed}, {first}, {count})")
    with pytest.raises(BenchmarkError, match=rf"(?s)^\d of 1 calls failed:.*seed 0, call 0: {said}"):
        calls.random_calls(1)


def test_a_process_that_does_not_start_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "PROGRAM", "import nothing_of_the_kind")
    with pytest.raises(BenchmarkError, match="call 0: Traceback"):
        calls.random_calls(1)


def test_the_counts_in_words():
    counts = calls.Counts(refused=1000, ran=2, slowest=0.5, memory=2e8)
    assert str(counts) == (
        "1,000 refused in a sentence, 2 ran, 0 only compiled; the slowest took 0.50 s, a process held 200 MB at most"
    )

"""Trainings killed at random moments and resumed end with the same bits, whatever their settings."""

import os
import re
import subprocess
import sys

import pytest

from benchmarks import kills
from benchmarks.errors import BenchmarkError


def run(*options):
    """The campaign forks, so it runs in a process of its own, which has no threads yet."""
    command = [sys.executable, "-m", "benchmarks", "kills", *map(str, options)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("count", "engine"),
    [(6, "native"), *(pytest.param(30, each, marks=pytest.mark.slow) for each in ("native", "reference"))],
)
def test_killed_at_random_moments_and_resumed(count, engine):
    done = run("--count", count, "--engine", engine, "--seed", 1)
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(rf"{count} kills in \d+ runs: all ended with the bits of those left alone", last), done.stderr


def test_each_setting_is_another_training(tmp_path):
    results = []
    for name in kills.SETTINGS:
        kills.train("reference", name, tmp_path / name)
        results.append(kills._result(tmp_path / name)[1])
    assert all(first != second for number, first in enumerate(results) for second in results[:number])


def test_other_bits_are_found(tmp_path):
    for name in ("plain", "averaged"):
        kills.train("reference", name, tmp_path / name)
    plain, averaged = (kills._result(tmp_path / name) for name in ("plain", "averaged"))
    kills._check("plain", plain, plain, tmp_path / "plain")
    with pytest.raises(BenchmarkError, match="has other bits than in a training that was left alone"):
        kills._check("plain", plain, averaged, tmp_path / "plain")
    with pytest.raises(BenchmarkError, match="the history is another than that of a training that was left alone"):
        kills._check("plain", plain, (plain[0], averaged[1]), tmp_path / "plain")
    (tmp_path / "plain" / ".lock").write_bytes(b"")
    with pytest.raises(BenchmarkError, match=r"plain: \.lock was left behind"):
        kills._check("plain", plain, plain, tmp_path / "plain")

"""How long it takes until one can begin: imports and `--help`, each in a fresh process."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.errors import BenchmarkError

LIMITS = {"import foveate": 0.15, "foveate --help": 0.3}
"""Seconds that the design allows."""


def commands() -> dict[str, list[str]]:
    """What is timed, by its title; `python -c pass` is what all of them pay for Python itself."""
    script = Path(sys.executable).with_name("foveate")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "foveate"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import foveate": [sys.executable, "-c", "import foveate"],
        "foveate --help": [*program, "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
    }


def measure(named: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Any]:
    """Seconds of every command in every round, alternated, and their medians.

    Each runs once untimed before, so bytecode is compiled and files are in the page cache for all alike.
    """
    for command in named.values():
        run(command)
    seconds: dict[str, list[float]] = {title: [] for title in named}
    for _ in range(rounds):
        for title, command in named.items():
            seconds[title].append(run(command))
    medians = {title: median(each) for title, each in seconds.items()}
    return {"rounds": seconds, "medians": medians, "limits": LIMITS}


def run(command: Sequence[str]) -> float:
    """Seconds from starting the command to its end; a BenchmarkError if it fails."""
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BenchmarkError(f"`{' '.join(command)}` failed with exit status {result.returncode} and said: {last}")
    return seconds

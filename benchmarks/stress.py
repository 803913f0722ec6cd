"""Runs the scenarios one after the other, each in a process of its own, for as long as asked."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

from benchmarks.errors import BenchmarkError
from benchmarks.scenarios import SCENARIOS

LONG_CALLS = 200
PROGRAM = "from benchmarks.scenarios import SCENARIOS; print(SCENARIOS[{name!r}]({calls}))"
"""What the process of a scenario runs."""


def run(name: str, calls: int, seconds: float = 600) -> str:
    """What the scenario `name` reports.

    Raises:
        BenchmarkError: it found something wrong, ended by a signal, said what it should not, or did not end.
    """
    if name not in SCENARIOS:
        raise BenchmarkError(f'there is no scenario "{name}"; there are {", ".join(SCENARIOS)}')
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(name=name, calls=calls)]
    # Sixteen threads that wait by spinning on two cores would measure nothing but that.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{name} did not end in {seconds:g} s") from None
    if done.returncode < 0:
        raise BenchmarkError(f"{name} ended by {signal.Signals(-done.returncode).name}")
    if done.returncode or done.stderr:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise BenchmarkError(f"{name}: {last.removeprefix(f'{BenchmarkError.__module__}.BenchmarkError: ')}")
    return done.stdout.strip()


def run_for(minutes: float, report: Callable[[str], None]) -> list[str]:
    """Every scenario at least once, and again until `minutes` are over; the sentences on those that failed."""
    end, failed = perf_counter() + 60 * minutes, []
    first = True
    while first or perf_counter() < end:
        for name in SCENARIOS:
            if not first and perf_counter() >= end:
                break
            try:
                report(f"{name}: {run(name, LONG_CALLS)}")
            except BenchmarkError as error:
                failed.append(str(error))
                report(f"FAILED {error}")
        first = False
    return failed

"""Two trainings at once, which share the cores, beside one alone with one thread and with all.

Each is a process of its own with the settings that a person gets who gives none.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Annotated

import typer

from benchmarks.errors import BenchmarkError
from benchmarks.options import BatchSize, Net

TRAIN = """
import sys, time
import numpy as np
import foveate as fv
threads, net, steps, batch_size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if threads:
    fv.set_threads(threads)
graph, random = fv.zoo.make(net), np.random.default_rng(0)
count, classes = steps * batch_size, graph.output_shape[0]
inputs = random.integers(0, 256, (count, *graph.input_shape), np.uint8)
data = fv.Dataset(inputs, random.integers(0, classes, count), [str(number) for number in range(classes)])
model = fv.Model(graph, seed=0)
options = {"epochs": 1, "batch_size": batch_size, "schedule": fv.Constant(1e-3), "progress": False}
model.fit(data.subset(range(2 * batch_size)), **options)
print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
model.fit(data, **options)
print(count / (time.perf_counter() - began), flush=True)
"""

CASES = {"one thread alone": (1,), "alone": (0,), "side by side": (0, 0)}
"""The threads of each training that runs at once; 0 is what a program has by itself."""


def side_by_side(
    net: str, batch_size: int, steps: int, rounds: int, tell: Callable[[str], object] = lambda _: None
) -> dict[str, list[float]]:
    """Images in a second of each training, by case; the slower of two counts. All cases are measured in each round."""
    rates: dict[str, list[float]] = {case: [] for case in CASES}
    for number in range(rounds):
        for case, threads in CASES.items():
            rates[case].append(min(_at_once(threads, net, steps, batch_size)))
        told = ", ".join(f"{case} {found[-1]:,.0f}" for case, found in rates.items())
        tell(f"round {number + 1}, images/s: {told}")
    one = rates["one thread alone"]
    for case in list(CASES)[1:]:
        ratios = [rate / base for rate, base in zip(rates[case], one, strict=True)]
        tell(f"{case}: {median(ratios):.2f} of one thread alone (median of {rounds} rounds)")
    return rates


def _at_once(threads: Sequence[int], net: str, steps: int, batch_size: int) -> list[float]:
    arguments = [net, str(steps), str(batch_size)]
    with ExitStack() as running:
        processes = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", TRAIN, str(count), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for count in threads
        ]
        _said(processes)  # each has compiled its program
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [float(line) for line in _said(processes)]


def _said(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    lines = []
    for process in processes:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchmarkError("a training ended before it was measured; what it said is above")
        lines.append(line)
    return lines


def command(
    net: Net = "vgg6",
    batch_size: BatchSize = 128,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="How often each case is timed; medians are reported.")] = 5,
) -> None:
    """Time two trainings that run at once, and one alone with one thread and with all.

    Example: python -m benchmarks side-by-side --rounds 9
    """
    side_by_side(net, batch_size, steps, rounds, lambda line: print(line, flush=True))

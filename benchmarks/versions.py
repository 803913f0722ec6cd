"""This foveate against another one, which a second virtual environment has: turn by turn in one run, answers compared.

python -m benchmarks versions ../before/.venv/bin/python --nets lenet5,vgg6 --batch-sizes 1,128
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.errors import BenchmarkError

WORKER = Path(__file__).with_name("version_worker.py")


class Worker:
    """One interpreter with its foveate."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, **what: Any) -> Any:
        """The worker's answer; what it prints besides JSON is passed over."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        for line in self._process.stdout:
            if line.startswith(("{", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")):
                return json.loads(line)
        raise BenchmarkError("a worker ended without an answer; what it said is above")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare(case: dict[str, Any], pythons: tuple[str, str], rounds: int, seconds: float) -> dict[str, Any]:
    """Medians of both, the median of their ratios round by round, and how far their answers differ."""
    ours, theirs = (Worker(python) for python in pythons)
    try:
        answers = [worker.ask(**case)["numbers"] for worker in (ours, theirs)]
        times = [_round(ours, theirs, seconds, swapped=bool(number % 2)) for number in range(rounds)]
    finally:
        ours.close()
        theirs.close()
    largest = max(max(map(abs, numbers)) for numbers in answers)
    return {
        **case,
        "ours": median(mine for mine, _ in times),
        "theirs": median(other for _, other in times),
        "ratio": median(other / mine for mine, other in times),
        "difference": max(abs(a - b) for a, b in zip(*answers, strict=True)) / largest,
    }


def _round(ours: Worker, theirs: Worker, seconds: float, *, swapped: bool) -> tuple[float, float]:
    """Seconds of one run of each; who begins changes from round to round."""
    if swapped:
        other = theirs.ask(seconds=seconds)
        return ours.ask(seconds=seconds), other
    return ours.ask(seconds=seconds), theirs.ask(seconds=seconds)


def versions(
    python: Annotated[str, typer.Argument(help="The other environment's interpreter.")],
    nets: Annotated[str, typer.Option(help="Networks of the zoo, with commas between.")] = "lenet5,vgg6,resnet20",
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes, with commas between.")] = "1,128",
    kinds: Annotated[str, typer.Option(help="train, forward, or both.")] = "train,forward",
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 9,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long one timing lasts at least.")] = 0.5,
) -> None:
    """Print a row for each case: times in ms, and the other's time by ours (above 1, this foveate is faster)."""
    print(f"{'network':16}{'batch':>6} {'kind':8}{'this':>10}{'other':>10}{'ratio':>8}{'difference':>12}")
    for net in nets.split(","):
        for size in map(int, batch_sizes.split(",")):
            for kind in kinds.split(","):
                case = {"net": net, "batch_size": size, "kind": kind}
                row = compare(case, (sys.executable, python), rounds, seconds)
                print(
                    f"{net:16}{size:>6} {kind:8}{1000 * row['ours']:>10.3f}{1000 * row['theirs']:>10.3f}"
                    f"{row['ratio']:>8.3f}{row['difference']:>12.1e}",
                    flush=True,
                )

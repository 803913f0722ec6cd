"""Worker processes, one for each way to run a network, and how the parent talks with them.

The parent writes one JSON object a line to a worker's stdin and reads one from its stdout; a worker that is not asked
anything sleeps in a blocking read. Two frameworks in one process, or two processes at work at once, would be measured
with the threads of the other spinning beside them.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from benchmarks.errors import BenchmarkError

CHECKED_STEPS = 4
"""Training steps in which losses are compared: the first, and the one after three updates."""

CHECKING_RATES = tuple(10.0**-power for power in range(2, 10))
"""Learning rates of these steps, of which the first is taken at which the loss changes by little enough."""

MOST_CHANGE = 0.02
"""Of the loss, in these steps: a deep network without trained weights multiplies rounding errors when it moves far.

One that hardly moves shows nothing else: PyTorch rounds its losses to float32."""

TIMING_RATE = 1e-6
"""Learning rate while timed: the loss must not reach zero, where denormal gradients would slow whoever keeps them."""

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4

Kind = Literal["train", "forward"]

_LAST_WORDS = 600
_PATIENCE = 5.0


@dataclass(frozen=True)
class Job:
    """What a worker is to run again and again.

    The foveate worker writes its arrays and the batch to `arrays`; the others read them there. A job at `place` 0 takes
    the place of all before; one at another is kept beside them, to be timed in turn.
    """

    kind: Kind
    net: str
    batch_size: int
    threads: int
    arrays: str
    mode: str = ""
    place: int = 0


@dataclass(frozen=True)
class Prepared:
    """A job made ready: `run` does it once; `report` is what the parent checks."""

    run: Callable[[], object]
    report: Mapping[str, Any] = field(default_factory=dict)


class Worker:
    """The parent's end of a worker process."""

    def __init__(self, name: str, module: str, threads: int, folder: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(threads),
            )

    def prepare(self, job: Job) -> dict[str, Any]:
        """Make the job ready, compilation and all; returns what the worker reports for checking."""
        return self.ask("prepare", job=asdict(job))

    def time(self, seconds: float, at_least: int, place: int = 0) -> dict[str, Any]:
        """Run the job at that place for about `seconds`; returns "seconds_per_step" and "steps"."""
        return self.ask("time", seconds=seconds, at_least=at_least, place=place)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; a BenchmarkError if the worker fails or has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchmarkError(f"the {self.name} worker ended unasked. Its last words: {self._last_words()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise BenchmarkError(f"the {self.name} worker: {reply['error']}")
        return reply

    @property
    def ended(self) -> bool:
        """Whether its process is gone."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process: politely, or when it does not listen, firmly."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(_PATIENCE)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _last_words(self) -> str:
        words = self._log.read_text(errors="replace").strip()[-_LAST_WORDS:]
        return words or f"none (exit status {self._process.poll()})"


def serve(prepare: Callable[[Job], Prepared]) -> None:
    """The worker's end: answer commands until the parent closes the pipe."""
    replies = _claim_stdout()
    prepared: dict[int, Prepared] = {}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if request["command"] == "prepare":
                job = Job(**request["job"])
                if job.place == 0:  # first, so that no memory of theirs is counted against the next
                    prepared.clear()
                prepared[job.place] = prepare(job)
                reply = dict(prepared[job.place].report)
            else:
                reply = time_runs(prepared[request["place"]].run, request["seconds"], request["at_least"])
        except Exception as error:  # whatever it is, the parent says it in its own words
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


def time_runs(run: Callable[[], object], seconds: float, at_least: int) -> dict[str, float]:
    """Mean seconds of `run` over at least `seconds` and `at_least` runs, after one that wakes threads and caches."""
    run()
    steps = 0
    start = time.perf_counter()
    elapsed = 0.0
    while steps < at_least or elapsed < seconds:
        run()
        steps += 1
        elapsed = time.perf_counter() - start
    return {"seconds_per_step": elapsed / steps, "steps": steps}


def _claim_stdout() -> TextIO:
    """The pipe to the parent; what libraries and compilers print goes to stderr instead."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


def _environment(threads: int) -> dict[str, str]:
    """The parent's environment, the threads fixed, and this repository importable."""
    root = str(Path(__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}

"""Comparisons of foveate with PyTorch's modes and other runtimes: prepare all workers, check answers, time in turn."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.modes import AS_WRITTEN, Mode
from benchmarks.peers import Peer
from benchmarks.workers import CHECKED_STEPS, Job, Kind, Worker

FOVEATE = "foveate"

PAUSE = 0.1
"""Seconds before each timing, in which the threads of the worker before stop spinning and sleep."""

LEAST_RUNS = 3

FIRST_LOSS_BOUND = 1e-4
LOSS_CHANGE_BOUND = 1e-2
OUTPUT_BOUND = 1e-4

Reports: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What each worker said of its first runs, by the name of its column."""

Rounds: TypeAlias = Mapping[str, Sequence[float]]
"""Seconds of one run in each round, by the name of the column."""

Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How comparisons are made."""

    kind: Kind
    modes: Sequence[Mode]
    rounds: int
    seconds: float
    threads: int
    peers: Sequence[Peer] = ()


@dataclass(frozen=True)
class Case:
    """One row of the table; with a base, each worker times that network too, right before the other."""

    net: str
    batch_size: int
    base: str | None = None

    def __str__(self) -> str:
        return f"{self.net}, batch {self.batch_size}"


def compare(settings: Settings, cases: Sequence[Case], tell: Tell) -> Iterator[dict[str, Any]]:
    """The result of each case as soon as it is there; `tell` hears what happens meanwhile.

    A mode whose answer is not foveate's, or whose worker failed, has a sentence in the case's "errors" for its numbers.
    Where foveate failed, or every mode, the case has nothing but an "error".

    Raises:
        BenchmarkError: there is no PyTorch.
    """
    with TemporaryDirectory(prefix="foveate-benchmark-") as name, ExitStack() as stack:
        crew: dict[str, Worker] = {}
        for number, case in enumerate(cases):
            _complete(crew, settings, Path(name), stack)
            try:
                yield _compare_one(settings, crew, case, Path(name) / f"{number}.npz", tell)
            except BenchmarkError as error:
                yield {"net": case.net, "batch_size": case.batch_size, "error": str(error)}


def _complete(crew: dict[str, Worker], settings: Settings, folder: Path, stack: ExitStack) -> None:
    """A process for foveate, which comes first, and one for each mode of PyTorch; one that has ended is replaced."""
    if find_spec("torch") is None:
        raise BenchmarkError("there is no PyTorch to compare with; install it: pip install torch==2.13.0")
    modules = {FOVEATE: "foveate_worker", **{mode.name: "pytorch_worker" for mode in settings.modes}}
    modules |= {peer.name: "onnx_worker" for peer in settings.peers}
    for name, module in modules.items():
        if name not in crew or crew[name].ended:
            crew[name] = Worker(name, f"benchmarks.{module}", settings.threads, folder)
            stack.callback(crew[name].close)


def _compare_one(
    settings: Settings, crew: Mapping[str, Worker], case: Case, arrays: Path, tell: Tell
) -> dict[str, Any]:
    failures, differences = Failures(), dict[str, dict[str, float]]()
    nets = [net for net in (case.base, case.net) if net is not None]
    for place, net in enumerate(nets):
        job = Job(settings.kind, net, case.batch_size, settings.threads, str(arrays), place=place)
        differences = _prepare(crew, job, failures, tell)
    rounds = _alternate(settings, crew, case, len(nets), failures, tell)
    if len(rounds) < 2:
        raise BenchmarkError("; ".join(failures.sentences.values()))
    own = {name: [each[-1] for each in times] for name, times in rounds.items()}
    base = {name: [each[0] for each in times] for name, times in rounds.items()}
    return {
        "net": case.net,
        "batch_size": case.batch_size,
        "differences": {name: differences[name] for name in rounds if name != FOVEATE},
        **({"errors": failures.sentences} if failures.sentences else {}),
        "rounds": own,
        **({} if case.base is None else {"base_rounds": base}),
        **summarize(own),
    }


class Failures:
    """What went wrong with each mode; what goes wrong with foveate itself is raised."""

    def __init__(self) -> None:
        self.sentences: dict[str, str] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Keep the sentence on a mode that fails."""
        try:
            yield
        except BenchmarkError as error:
            if name == FOVEATE:
                raise
            self.sentences[name] = str(error)


def _prepare(crew: Mapping[str, Worker], job: Job, failures: Failures, tell: Tell) -> dict[str, dict[str, float]]:
    """Let every worker that has not failed prepare the job; returns how far each answer is from foveate's."""
    case = Case(job.net, job.batch_size)
    reports: dict[str, Mapping[str, Any]] = {}
    differences: dict[str, dict[str, float]] = {}
    for name in [name for name in crew if name not in failures.sentences]:
        tell(f"{case}: preparing {name}")
        with failures.of(name):
            reports[name] = crew[name].prepare(replace(job, mode=name))
            if name != FOVEATE:
                differences |= check(job.kind, case, {FOVEATE: reports[FOVEATE], name: reports[name]})
    Path(job.arrays).unlink()
    return differences


def _alternate(
    settings: Settings, crew: Mapping[str, Worker], case: Case, jobs: int, failures: Failures, tell: Tell
) -> dict[str, list[list[float]]]:
    """Every worker once a round, each round beginning with another, so none always comes after the same.

    A worker times each of its jobs. Those that failed, before or meanwhile, are left out; and foveate is not timed
    alone.
    """
    rounds: dict[str, list[list[float]]] = {name: [] for name in crew}
    for number in range(settings.rounds):
        tell(f"{case}: round {number + 1} of {settings.rounds}")
        names = [name for name in crew if name not in failures.sentences]
        first = number % len(names)
        for name in names[first:] + names[:first] if len(names) > 1 else ():
            time.sleep(PAUSE)
            with failures.of(name):
                times = [crew[name].time(settings.seconds, LEAST_RUNS, place) for place in range(jobs)]
                rounds[name].append([each["seconds_per_step"] for each in times])
    return {name: times for name, times in rounds.items() if name not in failures.sentences}


def check(kind: Kind, case: Case, reports: Reports) -> dict[str, dict[str, float]]:
    """How far each mode's answer is from foveate's; a BenchmarkError where that is too far."""
    measure = _loss_differences if kind == "train" else _output_difference
    ours = reports[FOVEATE]
    return {name: measure(f"{case}: {name}", ours, theirs) for name, theirs in reports.items() if name != FOVEATE}


def _loss_differences(place: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    first = _within(FIRST_LOSS_BOUND, f"{place} begins with the loss", theirs["losses"][0], ours["losses"][0])
    changes = (losses["losses"][-1] - losses["losses"][0] for losses in (theirs, ours))
    change = _within(LOSS_CHANGE_BOUND, f"{place} changes the loss over {CHECKED_STEPS - 1} steps by", *changes)
    return {"first_loss": first, "loss_change": change}


def _within(bound: float, sentence: str, theirs: float, ours: float) -> float:
    difference = abs(theirs - ours) / abs(ours) if ours else abs(theirs)
    if not (isfinite(difference) and difference <= bound):
        raise BenchmarkError(
            f"{sentence} {theirs:.6g}, but foveate {ours:.6g}: they differ by more than {bound:g} of it, "
            "so that the two do not compute the same thing and their times cannot be compared"
        )
    return difference


def _output_difference(place: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    expected, actual = np.asarray(ours["output"]), np.asarray(theirs["output"])
    difference = float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
    if not (isfinite(difference) and difference <= OUTPUT_BOUND):
        raise BenchmarkError(
            f"{place} gives an output that differs from foveate's by {difference:.2g} of its norm, more than "
            f"{OUTPUT_BOUND:g}, so the two do not compute the same thing and their times cannot be compared"
        )
    return {"output": difference}


def summarize(rounds: Rounds) -> dict[str, Any]:
    """Medians, how many times as long as foveate each mode takes, and the best mode.

    "ratio" is the ratio of medians, "ratio_of_rounds" the median of the rounds' ratios; "spread" is what separates
    the slowest from the fastest round, in medians.
    """
    medians = {name: median(seconds) for name, seconds in rounds.items()}
    modes = [name for name in rounds if name != FOVEATE]
    ratios = {name: medians[name] / medians[FOVEATE] for name in modes}
    best = min(modes, key=lambda name: medians[name])
    return {
        "medians": medians,
        "spread": {name: (max(seconds) - min(seconds)) / medians[name] for name, seconds in rounds.items()},
        "ratio": ratios,
        "ratio_of_rounds": {name: _ratio_of_rounds(rounds[name], rounds[FOVEATE]) for name in modes},
        "best_mode": best,
        "ratio_to_best": ratios[best],
        "ratio_to_as_written": ratios.get(AS_WRITTEN.name),
    }


def _ratio_of_rounds(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return median(their / our for their, our in zip(theirs, ours, strict=True))

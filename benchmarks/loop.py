"""An epoch of training with random changes against its bare steps: the same steps on batches that are ready.

The steps are those of the epoch, called again in turn with it from the same state, so both must give the same losses.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from unittest.mock import patch

import typer

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.options import BatchSize, Net
from benchmarks.reports import check_writable, write_report
from foveate.engines import Program, State, StepResult
from foveate.training import Epoch, Progress

CHANGES = fv.Augmentation(shift=2, flip=True)
"""The random changes of the demo."""

OPTIMIZER = fv.SGD()


@dataclass(frozen=True)
class Round:
    """Seconds, and processor seconds of all threads, of an epoch and of its bare steps."""

    epoch: float
    epoch_cpu: float
    bare: float
    bare_cpu: float


class _Measured(Progress):
    """What an epoch took from its first step on, and the loss of each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.seconds = self.cpu = 0.0
        self._began = _clocks()

    def start(self, epochs: int, steps: int, done: int) -> None:
        """An epoch begins."""
        self.begin()

    def step(self, epoch: int, samples: int, loss: float, accuracy: float | None, step_loss: float) -> None:
        """A step of it is done."""
        self.losses.append(step_loss)

    def epoch(self, row: Epoch) -> None:
        """It is finished."""
        self.end()

    def begin(self) -> None:
        """Start the clocks."""
        self._began = _clocks()

    def end(self) -> None:
        """Read the clocks."""
        self.seconds, self.cpu = (now - then for now, then in zip(_clocks(), self._began, strict=True))


class _Training:
    """Trains a network for an epoch, or takes that epoch's steps alone; each time from one state, on one program."""

    def __init__(self, net: str, batch_size: int, data: fv.Dataset, preprocessing: fv.Preprocessing) -> None:
        graph = fv.zoo.make(net, input_shape=data.shape, classes=len(data.classes))
        self._model = fv.Model(graph, classes=data.classes, preprocessing=preprocessing, seed=0)
        self._data, self._batch_size = data, batch_size
        self._calls: list[tuple[Any, ...]] = []
        step = Program.step

        def noted(program: Program, state: State, inputs: Any, targets: Any, **options: Any) -> StepResult:
            self._calls.append((program, inputs, targets, options))
            return step(program, state, inputs, targets, **options)

        with patch.object(Program, "step", noted):
            self.epoch()  # which also compiles

    def epoch(self) -> _Measured:
        """Train for an epoch."""
        model, measured = self._model, _Measured()
        model.state, model.training = self._new_state(), {}
        options: dict[str, Any] = {
            "batch_size": self._batch_size,
            "optimizer": OPTIMIZER,
            "schedule": fv.Constant(1e-3),
        }
        model.fit(self._data, epochs=1, augmentation=CHANGES, progress=measured, **options)
        return measured

    def bare(self) -> _Measured:
        """Take the steps of that epoch."""
        measured, state = _Measured(), self._new_state()
        measured.begin()
        for program, inputs, targets, options in self._calls:
            measured.losses.append(program.step(state, inputs, targets, **options).loss)
        measured.end()
        return measured

    def _new_state(self) -> State:
        return self._model.engine.new_state(self._model.graph, OPTIMIZER, seed=self._model.seed)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def loop(
    net: str,
    batch_size: int,
    steps: int,
    rounds: int,
    splits: fv.Splits,
    tell: Callable[[str], object] = lambda _: None,
) -> list[Round]:
    """An epoch of `steps` batches and its bare steps, timed in turn.

    Raises:
        BenchmarkError: the two differ in the loss of a step.
    """
    count = steps * batch_size
    if count > len(splits.train):
        raise BenchmarkError(f"{steps} steps of {batch_size} images are more than the {len(splits.train)} there are")
    training = _Training(net, batch_size, splits.train.subset(range(count)), splits.preprocessing)
    found = []
    for number in range(rounds):
        measured = {}
        for kind in ("epoch", "bare") if number % 2 else ("bare", "epoch"):
            measured[kind] = getattr(training, kind)()
        epoch, bare = measured["epoch"], measured["bare"]
        if epoch.losses != bare.losses:
            raise BenchmarkError("the steps of an epoch give other losses when they are called alone")
        found.append(Round(epoch.seconds, epoch.cpu, bare.seconds, bare.cpu))
        tell(f"round {number + 1}: {_told(found[-1:])}")
    tell(f"{net}, median of {rounds} rounds of {steps} steps: {_told(found)}")
    return found


def ratios(rounds: list[Round]) -> tuple[float, float]:
    """How often an epoch takes the time of its bare steps, and their processor time: medians over rounds."""
    return median(each.epoch / each.bare for each in rounds), median(each.epoch_cpu / each.bare_cpu for each in rounds)


def _told(rounds: list[Round]) -> str:
    seconds, cpu = ratios(rounds)
    return f"an epoch takes {seconds:.3f} of its bare steps' time, {cpu:.3f} of their processor time"


def command(
    net: Net = "vgg6",
    batch_size: BatchSize = 128,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the epoch.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often both are timed; medians are reported.")] = 7,
    epochs: Annotated[int, typer.Option(min=0, help="Also train this many, in foveate and by hand in PyTorch.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every round to this file.")] = None,
) -> None:
    """Time an epoch of training with random changes against its bare steps.

    Example: python -m benchmarks loop --rounds 9
    """
    check_writable(json_file)
    splits = fv.datasets.fashion_mnist()
    found = loop(net, batch_size, steps, rounds, splits, lambda line: print(line, flush=True))
    report: dict[str, Any] = {"load": os.getloadavg(), "rounds": [asdict(each) for each in found]}
    write_report(json_file, report)
    if epochs:
        from benchmarks.recipes import compared  # needs PyTorch

        images = len(splits.train)
        report["recipes"] = compared(net, images, epochs, lambda line: print(line, flush=True))
        write_report(json_file, report)

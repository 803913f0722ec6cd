"""Trainings killed at random moments and resumed, which must end with the same bits as one that was left alone.

Each training is a fork of a process that has everything imported, so the moments lie in training and writing.
"""

import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import foveate as fv
from benchmarks.errors import BenchmarkError
from foveate.files import read_checkpoint, read_model
from foveate.training import History, RunFolder

KILLS_IN_A_RUN = 3
"""How often a run is killed before it may end."""

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"augmentation": fv.Augmentation(shift=1, flip=True)},
    "adamw": {"optimizer": fv.AdamW(), "schedule": fv.Cosine(0.01), "checkpoint_every": 1},
    "accumulated": {"accumulate": 2, "clip_norm": 0.5, "checkpoint_every": 1},
    "averaged": {"ema": 0.9, "keep_checkpoints": 1},
    "early stopping": {"patience": 1, "ema": 0.5, "schedule": fv.Constant(0.3)},
    "plateau": {"schedule": fv.ReduceOnPlateau(0.3, factor=0.3, patience=0), "keep_checkpoints": 3},
}
"""What `fit` is given besides the data, by name."""


@dataclass
class Report:
    """What a campaign did."""

    kills: int = 0
    runs: int = 0

    def __str__(self) -> str:
        return f"{self.kills} kills in {self.runs} runs: all ended with the bits of those left alone"


def campaign(
    count: int, *, seed: int = 0, engine: str = "native", tell: Callable[[str], object] = lambda _: None
) -> Report:
    """Kill and resume until `count` kills have hit.

    Args:
        count: how many kills.
        seed: of the moments.
        engine: the engine's name.
        tell: called with a line on each run.

    Raises:
        BenchmarkError: a run ended with other bits, left something behind, or did not resume.
    """
    random, report = np.random.default_rng(seed), Report()
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        wholes = {}
        while report.kills < count:
            name = list(SETTINGS)[report.runs % len(SETTINGS)]
            if name not in wholes:
                began = time.perf_counter()
                _end(_started(engine, name, place / name), name)
                wholes[name] = _result(place / name), time.perf_counter() - began
            expected, seconds = wholes[name]
            folder = place / f"{name} {report.runs}"
            kills = _killed(engine, name, folder, random, seconds, min(KILLS_IN_A_RUN, count - report.kills))
            _check(name, expected, _result(folder), folder)
            report.kills, report.runs = report.kills + kills, report.runs + 1
            tell(f"{name}: {kills} kills, {report.kills} of {count} in all")
            shutil.rmtree(folder)
    return report


def _killed(engine: str, name: str, folder: Path, random: np.random.Generator, seconds: float, most: int) -> int:
    """Train into a folder, and kill and resume that at most so often; returns how often."""
    kills = 0
    while kills < most:
        process = _started(engine, name, folder)
        time.sleep(random.uniform(0, 0.9 * seconds))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):  # it had ended before
            _check_status(status, name)
            return kills
        kills += 1
        for path in RunFolder(folder).checkpoints():
            read_checkpoint(path)  # each is whole at any time
    _end(_started(engine, name, folder), name)
    return kills


def _started(engine: str, name: str, folder: Path) -> int:
    """The number of a process that trains, or resumes if there is a checkpoint."""
    process = os.fork()
    if not process:
        try:
            train(engine, name, folder)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return process


def _end(process: int, name: str) -> None:
    """Wait for a process, and see that it ended well."""
    _check_status(os.waitpid(process, 0)[1], name)


def _check_status(status: int, name: str) -> None:
    if status:
        raise BenchmarkError(f"{name}: a training ended with the status {os.waitstatus_to_exitcode(status)}")


def small_task(engine: str, count: int) -> tuple[fv.Model, fv.Dataset]:
    """A network with dropout and running statistics, and `count` samples of noise."""
    net = fv.Sequential(
        fv.Conv2d(4, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.Dropout(0.2),
        fv.GlobalAvgPool2d(), fv.Linear(3),
    )  # fmt: skip
    random = np.random.default_rng(0)
    inputs, labels = random.integers(0, 256, (count, 1, 6, 6), np.uint8), random.integers(0, 3, count)
    return fv.Model(net.build((1, 6, 6)), engine=engine), fv.Dataset(inputs, labels, ("a", "b", "c"))


def train(engine: str, name: str, folder: Path) -> None:
    """Four epochs of seven steps with the settings of that name."""
    if engine == "native":
        fv.set_threads(1)
    model, data = small_task(engine, 66)
    options: dict[str, Any] = {"checkpoint_every": 3, **SETTINGS[name]}
    model.fit(
        data.subset(np.arange(52)),
        validation=data.subset(np.arange(52, 66)),
        epochs=4,
        batch_size=8,
        out=folder,
        progress=False,
        resume=bool(RunFolder(folder).checkpoints()),
        overwrite=not RunFolder(folder).checkpoints(),
        **options,
    )


def _result(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The arrays of a model, and its history without times."""
    run = RunFolder(folder)
    rows = [replace(row, seconds=0.0, images_per_second=0.0) for row in History.from_csv(run.history).epochs]
    return read_model(run.model)[0], [asdict(row) for row in rows]


def _check(name: str, expected: tuple[dict[str, Any], Any], found: tuple[dict[str, Any], Any], folder: Path) -> None:
    for array, values in expected[0].items():
        if not np.array_equal(values, found[0][array]):
            raise BenchmarkError(f"{name}: {array} has other bits than in a training that was left alone")
    if expected[1] != found[1]:
        raise BenchmarkError(f"{name}: the history is another than that of a training that was left alone")
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    if hidden:
        raise BenchmarkError(f"{name}: {hidden[0]} was left behind")

"""Training on shards against training from memory: the time and the processor time of an epoch, and the memory.

The processes that are compared take turns of a second or two, in which all others are stopped, so none prepares data
in the time of another and all see the same other load.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

import numpy as np
from PIL import Image

import foveate as fv
from benchmarks.errors import BenchmarkError
from foveate.data.shards.tars import TarWriter

TURN = 1.5
"""Seconds of a turn."""

SHARD_MB = 16.0

KINDS = ("memory", "arrays", "png")
"""Where samples are: in memory, in shards as arrays, in shards as PNG images."""

TRAIN = """
import json, os, sys, time
import numpy as np
from benchmarks.memory import peak
import foveate as fv
from foveate.training import Progress
kind, folder, buffer, net = sys.argv[1:]
splits = fv.datasets.shards(folder, buffer=float(buffer))
train = splits.train
if kind == "memory":
    train = fv.Dataset(np.load(folder + "/../inputs.npy"), np.load(folder + "/../labels.npy"), train.classes)
graph = fv.zoo.make(net, input_shape=train.shape, classes=len(train.classes))
model = fv.Model(graph, classes=train.classes, preprocessing=splits.preprocessing, seed=0)
class Told(Progress):
    def start(self, epochs, steps, done):
        self.cpu = time.process_time()
        print("begin", flush=True)
    def epoch(self, row):
        seconds = time.process_time() - self.cpu
        print(json.dumps({"cpu": seconds, "waiting": row.waiting, "loss": row.train_loss, "bytes": peak()}), flush=True)
model.fit(train, epochs=1, batch_size=128, schedule=fv.OneCycle(0.01), progress=Told())
"""


@dataclass(frozen=True)
class Epoch:
    """An epoch of one kind: seconds, processor seconds, the share of waiting for data, the loss, bytes at most."""

    seconds: float
    cpu: float
    waiting: float
    loss: float
    bytes: float


def shards(
    count: int, rounds: int, buffer: float, net: str, tell: Callable[[str], object], kinds: Sequence[str] = KINDS
) -> dict[str, list[Epoch]]:
    """Train `net` for an epoch of `count` images of Fashion-MNIST, `rounds` times from each kind of place.

    Raises:
        BenchmarkError: a training fails, or one ends with another loss than the same training before.
    """
    with TemporaryDirectory() as place:
        root = Path(place)
        tell(f"packing {count:,} images of Fashion-MNIST")
        folders = _packed(root, count)
        found: dict[str, list[Epoch]] = {kind: [] for kind in kinds}
        for number in range(rounds):
            commands = {
                kind: [sys.executable, "-c", TRAIN, kind, str(folders[kind]), str(buffer), net] for kind in kinds
            }
            for kind, epoch in in_turns(commands).items():
                found[kind].append(epoch)
                if epoch.loss != found[kind][0].loss:
                    raise BenchmarkError(f"training from {kind} twice gives different losses")
            tell(f"round {number + 1}: {', '.join(f'{kind} {found[kind][-1].seconds:.1f} s' for kind in kinds)}")
    for kind in kinds:
        tell(_line(kind, found))
    return found


def _line(kind: str, found: Mapping[str, Sequence[Epoch]]) -> str:
    base, own = found["memory"], found[kind]
    seconds, cpu = (
        float(np.median([getattr(each, name) / getattr(other, name) for each, other in zip(own, base, strict=True)]))
        for name in ("seconds", "cpu")
    )
    waiting = max(each.waiting for each in own)
    return (
        f"{kind}: {seconds:.3f} of the time from memory, {cpu:.3f} of the processor time, waiting for data "
        f"{waiting:.1%}, {max(each.bytes for each in own) / 1e6:,.0f} MB at most"
    )


def in_turns(commands: Mapping[str, Sequence[str]]) -> dict[str, Epoch]:
    """What each program measured, while it alone of them was running."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    seconds = dict.fromkeys(commands, 0.0)
    done: dict[str, Epoch] = {}
    try:
        for kind, command in commands.items():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            processes[kind] = process
            if _line_from(process, 600.0) != b"begin":
                raise BenchmarkError(_failure(process))
            process.send_signal(signal.SIGSTOP)
        while len(done) < len(processes):
            for kind, process in processes.items():
                if kind in done:
                    continue
                since = time.perf_counter()
                process.send_signal(signal.SIGCONT)
                line = _line_from(process, TURN)
                seconds[kind] += time.perf_counter() - since
                if line is None:
                    process.send_signal(signal.SIGSTOP)
                elif not line:
                    raise BenchmarkError(_failure(process))
                else:
                    done[kind] = Epoch(seconds=seconds[kind], **json.loads(line))
                    process.communicate()
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    return done


def _line_from(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """The next line of a program, empty at its end; None if there is none in time."""
    stream = cast(IO[bytes], process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        if not selector.select(seconds):
            return None
    return stream.readline().strip()


def _failure(process: subprocess.Popen[bytes]) -> str:
    _, errors = process.communicate()
    return (errors.decode().strip().splitlines() or [f"status {process.returncode}"])[-1]


def _packed(root: Path, count: int) -> dict[str, Path]:
    """The images in shards of both kinds, and in two files for those who want them in memory."""
    given = fv.datasets.fashion_mnist()
    train = given.train.subset(range(min(count, len(given.train))))
    parts = fv.Splits(train, given.validation, given.test, given.preprocessing, name=given.name)
    fv.datasets.pack(parts, root / "arrays", shard_size=SHARD_MB, progress=False)
    order = np.random.default_rng(0).permutation(len(train))
    np.save(root / "inputs.npy", train.inputs[order])
    np.save(root / "labels.npy", train.labels[order])
    (root / "png").mkdir()
    (root / "png" / "classes.txt").write_text("\n".join(train.classes))
    for part, data in (("train", train), ("validation", given.validation), ("test", given.test)):
        _write_images(root / "png", part, data)
    fv.datasets.shards(root / "png", progress=False)  # makes the index
    return {"memory": root / "arrays", "arrays": root / "arrays", "png": root / "png"}


def _write_images(folder: Path, part: str, data: fv.Dataset) -> None:
    each = int(SHARD_MB * 1e6 / 2560)
    for shard, start in enumerate(range(0, len(data), each)):
        writer = TarWriter(folder / f"{part}-{shard:06d}.tar")
        for row in range(start, min(start + each, len(data))):
            file = BytesIO()
            Image.fromarray(data.inputs[row, 0]).save(file, "PNG")
            writer.add(f"{row:09d}.png", file.getvalue())
            writer.add(f"{row:09d}.cls", str(int(data.labels[row])).encode())
        writer.finish()


def report(found: Mapping[str, Sequence[Epoch]]) -> dict[str, Any]:
    """Plain data, with the load of the machine."""
    return {"load": os.getloadavg(), **{kind: [vars(each) for each in epochs] for kind, epochs in found.items()}}

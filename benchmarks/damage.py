"""What foveate makes of damaged model files: each must end as one sentence, soon and in little memory.

Two ways of damage: single bits flipped anywhere in a file, which its checksum must find; and descriptions changed by
somebody who knows the format, checksum and all, which every other check must bear.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
from safetensors.numpy import load as load_arrays

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.memory import peak
from benchmarks.packing import packed
from foveate.errors import FoveateError
from foveate.files import read_checkpoint
from foveate.files.container import read_header
from foveate.files.description import FEATURES
from foveate.training import History

LARGEST_RUN = 10**6
"""Numbers in all layers of a network that is run."""

LONGEST = 2.0
"""Seconds of the processor that a file may take to be refused, or to be read and summarised."""

MOST_GROWTH = 500e6
"""Bytes by which the memory may grow over all files."""

NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 7, 255, 10**6, 2**31 - 1, 2**31, 2**63, 10**30, -(10**12), 0.5, -0.0, 1e-320, 1e308,
    "", "x", "conv1", "input", "x" * 10_000, "a\0b", "\ud800", "../../etc/passwd", "__class__", "Conv2d", "Softmax",
    [], [0], [[]], [[1, 1], [10**9, 10**9]], [2**31] * 3, {}, {"kind": "classification"}, {"": None},
)  # fmt: skip
"""What an entry is replaced by."""


@dataclass(frozen=True)
class Report:
    """What came of some damaged files."""

    refused: int
    read: int
    slowest: float
    growth: float

    def __str__(self) -> str:
        return (
            f"{self.refused} refused in a sentence, {self.read} read; the slowest took {self.slowest:.2f} s, "
            f"memory grew by {self.growth / 1e6:.0f} MB"
        )


def flipped_bits(count: int, seed: int = 0) -> Report:
    """The model file with one bit flipped, `count` times at another place.

    Raises:
        BenchmarkError: a file was read all the same, or ended otherwise than in a sentence.
    """
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        path = _written(Path(folder))
        content = path.read_bytes()

        def files() -> Iterator[bytes]:
            for place in random.integers(0, 8 * len(content), count).tolist():
                changed = bytearray(content)
                changed[place // 8] ^= 1 << (place % 8)
                yield bytes(changed)

        report = _tried(path, files(), lambda model: None)
    if report.read:
        raise BenchmarkError(f"{report.read} of {count} files with a bit flipped were read: {report}")
    return report


def mutated_descriptions(count: int, seed: int = 0) -> Report:
    """The model file with one to three entries of its description changed, `count` times; the checksums fit.

    What can still be read is summarised and run on one input.

    Raises:
        BenchmarkError: a file ended otherwise than in a sentence or an answer, took too long, or too much memory.
    """
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        path = _written(Path(folder))
        arrays, document = load_arrays(path.read_bytes()), dict(read_header(path, FEATURES).document)

        def files() -> Iterator[bytes]:
            for _ in range(count):
                changed = copy.deepcopy(document)
                for _ in range(random.integers(1, 4)):
                    _mutate(changed, random)
                yield packed(arrays, changed)

        return _tried(path, files(), _used)


def mutated_checkpoints(count: int, seed: int = 0) -> Report:
    """A checkpoint with one to three entries of its document changed, `count` times; the checksums fit.

    What can still be read is loaded as a model, and its history as a training does that goes on.

    Raises:
        BenchmarkError: as `mutated_descriptions`.
    """
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        path = _trained(Path(folder))
        arrays, document = load_arrays(path.read_bytes()), dict(read_header(path, FEATURES).document)

        def files() -> Iterator[bytes]:
            for _ in range(count):
                changed = copy.deepcopy(document)
                for _ in range(random.integers(1, 4)):
                    _mutate(changed, random)
                yield packed(arrays, changed)

        return _tried(path, files(), lambda _: History.from_json(read_checkpoint(path).history).to_json())


def _trained(folder: Path) -> Path:
    """A checkpoint after the first of two epochs."""
    graph = fv.Sequential(fv.Flatten(), fv.BatchNorm1d(), fv.Linear(2)).build((1, 2, 2))
    inputs = np.random.default_rng(0).integers(0, 256, (8, 1, 2, 2)).astype(np.uint8)
    data = fv.Dataset(inputs, np.arange(8) % 2, ("a", "b"))
    fv.Model(graph, engine="reference").fit(data, validation=data, epochs=1, out=folder, progress=False)
    return folder / "checkpoint.safetensors"


def _tried(path: Path, files: Iterator[bytes], use: Callable[[fv.Model], object]) -> Report:
    refused, read, slowest = 0, 0, 0.0
    before = peak()
    for number, content in enumerate(files):
        path.write_bytes(content)
        start = process_time()
        try:
            use(fv.load(path))
            read += 1
        except FoveateError as error:
            refused += 1
            if "\n" in str(error):
                raise BenchmarkError(f"file {number}: more than a sentence: {error}") from None
        except Exception as error:
            raise BenchmarkError(f"file {number}: {type(error).__name__} {error}") from error
        slowest = max(slowest, process_time() - start)
        if slowest > LONGEST:
            raise BenchmarkError(f"file {number} took {slowest:.1f} s")
    growth = peak() - before
    if growth > MOST_GROWTH:
        raise BenchmarkError(f"memory grew by {growth / 1e6:.0f} MB")
    return Report(refused, read, slowest, growth)


def _written(folder: Path) -> Path:
    """A model that has a bit of everything."""
    net = fv.Sequential(
        fv.Conv2d(4, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Dropout(0.2),
        fv.Residual(fv.Conv2d(4, 3, padding="same", groups=2), fv.LeakyReLU()),
        fv.GroupNorm(2), fv.AvgPool2d(2, ceil_mode=True), fv.Flatten(), fv.Linear(3),
    )  # fmt: skip
    graph = net.build((1, 12, 12), quiet=True)
    preprocessing = fv.Preprocessing((1, 12, 12), (0.5,), (0.25,), resize=16)
    model = fv.Model(graph, classes=("cat", "dog", "bird"), preprocessing=preprocessing).freeze("conv1")
    model.remarks, model.splits, model.names = {"author": "x"}, {"test": [1]}, {"conv1.weight": "stem"}
    model.save(folder / "model.safetensors")
    return folder / "model.safetensors"


def _used(model: fv.Model) -> None:
    """Ask for a summary, and where the network is small for the answer to one input."""
    model.summary().to_json()
    if sum(prod(shape) for shape in model.graph.shapes.values()) > LARGEST_RUN:
        return
    model.outputs({name: np.zeros((1, *shape), np.float32) for name, shape in model.graph.inputs.items()})


def _mutate(document: Any, random: np.random.Generator) -> None:
    """Change one entry: replaced by something nasty, left out, renamed, doubled, or a number made much larger."""
    holder, key = _entry(document, random)
    kind = random.integers(5)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 2 and isinstance(holder, dict):
        holder[f"{key}s"] = holder.pop(key)
    elif kind == 3 and isinstance(holder[key], int | float) and abs(holder[key]) < 1e200:
        holder[key] = holder[key] * 10 ** int(random.integers(1, 10)) + int(random.integers(-1, 2))
    else:
        holder[key] = copy.deepcopy(NASTY[random.integers(len(NASTY))])


def _entry(document: Any, random: np.random.Generator) -> tuple[Any, Any]:
    """A random entry of the JSON tree, as what holds it and its key; deep ones as likely as those near the root."""
    entries: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        each = stack.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each))
        entries += [(each, key) for key in keys]
        stack += [each[key] for key in keys if isinstance(each[key], dict | list)]
    return entries[random.integers(len(entries))]

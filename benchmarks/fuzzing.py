"""Damaged data files for the readers of IDX, CIFAR and NumPy files: each must end in an array or in one sentence.

Good files are changed at random, again and again. With atheris installed (`pip install atheris`), `--guided` lets
coverage choose the changes: inputs that reach new lines of the readers are changed further.
"""

import gzip
import importlib.util
import io
import pickle
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np

from benchmarks.damage import LONGEST, MOST_GROWTH, Report
from benchmarks.errors import BenchmarkError
from benchmarks.memory import peak
from foveate.data.arrays import read_array
from foveate.data.cifar import binary_records, members, python_records
from foveate.data.idx import read_idx
from foveate.errors import FoveateError

NUMBERS = (0, 1, 2, 7, 255, 256, 1000, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
"""What lengths and sizes in a file are replaced by."""

_LABELS = ("coarse_labels", "fine_labels")
_BATCHES = {"train", "test", "train.bin", "test.bin"}


@dataclass(frozen=True)
class Reader:
    """Something that reads a file, and good files for it; those that are gzipped are changed inside, too."""

    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]


def _read_cifar(path: Path) -> None:
    """A file as an archive and as each kind of batch; all three must bear it."""
    content = path.read_bytes()
    errors = []
    for way in (_read_archive, lambda _: _read_batch("train", content), lambda _: _read_batch("train.bin", content)):
        try:
            way(path)
        except FoveateError as error:
            errors.append(error)
    if len(errors) == 3:
        raise errors[0]


def _read_archive(path: Path) -> None:
    for name, content in members(path, _BATCHES):
        _read_batch(name, content)


def _read_batch(name: str, content: bytes | bytearray) -> None:
    if name.endswith(".bin"):
        binary_records(content, name, 3074)
    else:
        python_records(content, name, _LABELS)


def _idx_seeds() -> list[bytes]:
    pixels = np.arange(60, dtype=np.uint8).tobytes()
    whole = b"\0\0\x08\3" + struct.pack(">3I", 5, 4, 3) + pixels
    return [whole, gzip.compress(whole), b"\0\0\x08\1" + struct.pack(">I", 60) + pixels]


def _cifar_seeds() -> list[bytes]:
    batch = {"data": np.zeros((2, 3072), np.uint8), **{name: [1, 2] for name in _LABELS}, "filenames": ["a", "b"]}
    pickles = [pickle.dumps(batch, protocol=protocol) for protocol in (2, 4, 5)]
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in {"long" * 30: b"x", "train": pickles[0], "test.bin": bytes(2 * 3074)}.items():
            entry = tarfile.TarInfo(f"cifar/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return [*pickles, bytes(2 * 3074), held.getvalue(), gzip.compress(held.getvalue())]


def _npz_seeds() -> list[bytes]:
    seeds = []
    for array in (np.zeros((2, 3), np.uint8), np.asfortranarray(np.ones((3, 4), np.float32)), np.array("text")):
        file = io.BytesIO()
        np.save(file, array)
        seeds.append(file.getvalue())
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, x=np.zeros((2, 3), np.uint8), y=np.arange(5))
        seeds.append(file.getvalue())
    return seeds


READERS = {
    "idx": Reader(read_idx, _idx_seeds),
    "cifar": Reader(_read_cifar, _cifar_seeds),
    "npz": Reader(read_array, _npz_seeds),
}


def fuzzed(name: str, count: int, seed: int = 0) -> Report:
    """Let a reader read `count` damaged files.

    Args:
        name: one of `READERS`.
        count: how many files.
        seed: chooses the damage.

    Raises:
        BenchmarkError: a file ended otherwise than in a sentence or an array, took too long, or too much memory.
    """
    reader = READERS[name]
    refused, read, slowest, before = 0, 0, 0.0, peak()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for number, content in enumerate(damaged(reader.seeds(), count, seed)):
            path.write_bytes(content)
            start = process_time()
            if refuses(reader, path, f"file {number} of seed {seed}"):
                refused += 1
            else:
                read += 1
            slowest = max(slowest, process_time() - start)
            if slowest > LONGEST:
                raise BenchmarkError(f"file {number} of seed {seed} took {slowest:.1f} s")
            if peak() - before > MOST_GROWTH:
                raise BenchmarkError(f"file {number} of seed {seed} took {(peak() - before) / 1e6:.0f} MB")
    return Report(refused, read, slowest, peak() - before)


def refuses(reader: Reader, path: Path, name: str) -> bool:
    """Whether the reader refuses a file in a sentence.

    Raises:
        BenchmarkError: it does so in any other way.
    """
    try:
        reader.read(path)
    except FoveateError as error:
        if "\n" in str(error):
            raise BenchmarkError(f"{name}: more than a sentence: {error}") from None
        return True
    except Exception as error:
        raise BenchmarkError(f"{name}: {type(error).__name__} {error}") from error
    return False


def damaged(seeds: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Good files with one to six changes each."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        content = seeds[random.integers(len(seeds))]
        inside = content[:2] == b"\x1f\x8b" and random.random() < 0.7
        changed = bytearray(gzip.decompress(content) if inside else content)
        for _ in range(random.integers(1, 7)):
            _change(changed, seeds[random.integers(len(seeds))], random)
        yield gzip.compress(bytes(changed), compresslevel=1) if inside else bytes(changed)


def _change(content: bytearray, other: bytes, random: np.random.Generator) -> None:
    """One change: a bit, a byte, a number, a piece lost, doubled, moved or taken from another file, or the end cut."""
    # Most of a file is pixels: half of the changes hit its beginning, where the headers are.
    reach = max(1, len(content) if random.random() < 0.5 else min(len(content), 300))
    place, length = int(random.integers(reach)), int(random.integers(1, 65))
    piece = slice(place, place + length)
    kind = random.integers(8)
    if not content or kind == 0:
        start = int(random.integers(len(other)))
        content[place:place] = other[start : start + length]
    elif kind == 1:
        content[place] ^= 1 << int(random.integers(8))
    elif kind == 2:
        content[place] = int(random.integers(256))
    elif kind == 3:
        size, order = int(random.choice([1, 2, 4, 8])), str(random.choice(["little", "big"]))
        number = NUMBERS[random.integers(len(NUMBERS))] % 2 ** (8 * size)
        content[place : place + size] = number.to_bytes(size, order)
    elif kind == 4:
        del content[piece]
    elif kind == 5:
        content[place:place] = content[piece] * int(random.integers(1, 5))
    elif kind == 6:
        content[piece] = bytes(random.integers(256, size=length, dtype=np.uint8))
    else:
        del content[place:]


def guided(name: str, count: int, seed: int = 0) -> str:
    """Let coverage choose the damage, in a process of its own; returns the last line that atheris said.

    Raises:
        BenchmarkError: atheris is not installed, or found something; what it found is in the message.
    """
    if importlib.util.find_spec("atheris") is None:
        raise BenchmarkError("atheris is not installed; pip install atheris, or leave --guided out")
    with TemporaryDirectory() as folder:
        for number, content in enumerate(READERS[name].seeds()):
            (Path(folder) / f"seed{number}").write_bytes(content)
        command = [sys.executable, "-m", "benchmarks.guided_worker", name, folder, str(count), str(seed + 1)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    lines = done.stderr.strip().splitlines()
    if done.returncode:
        raise BenchmarkError(f"the reader of {name} failed under atheris:\n" + "\n".join(lines[-30:]))
    return next((line for line in reversed(lines) if line.startswith("Done ")), lines[-1] if lines else "")

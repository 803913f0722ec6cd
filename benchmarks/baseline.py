"""What the native engine computes, bit for bit: hashes of parameters and logits, written once and checked ever after.

A change of the engine that should change no number is checked against a record made before it. The same bits come out
wherever oneDNN chooses the same kernels and blocks: a record belongs to a `machine`, and a file may hold several.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import environment
from benchmarks.errors import BenchmarkError
from benchmarks.exchange import Array, random_batch
from foveate import SGD, CrossEntropy, load, set_threads, zoo
from foveate.engines import State, get_engine
from foveate.engines.native import library
from foveate.graph import Graph

THREADS = 2
STEPS, STEP_BATCH, LEARNING_RATE = 20, 32, 0.05
LOGITS_BATCH = 2
STEPPED = ("resnet20", "mobilenet_like")


def measurements() -> dict[str, Callable[[], str]]:
    """Everything that a full record holds: a name for each hash, and what computes it."""
    return {
        **{f"logits of {name}": partial(hash_of_logits, name) for name in zoo.NETWORKS},
        **{f"{STEPS} steps of {name}": partial(hash_after_steps, name) for name in STEPPED},
        "demo epoch": hash_after_demo_epoch,
    }


def machine() -> dict[str, Any]:
    """What decides the bits: oneDNN's version and instruction set, the caches for which it cuts blocks, the threads."""
    return {
        "onednn": library.onednn_version(),
        "instruction_set": library.instruction_set(),
        "caches": environment.core_caches(),
        "threads": THREADS,
    }


def measure(names: Iterable[str], report: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """The hashes called `names`, in a process of this many threads."""
    set_threads(THREADS)
    everything, hashes = measurements(), {}
    for name in names:
        report(name)
        hashes[name] = everything[name]()
    return hashes


def recorded(path: Path) -> dict[str, str] | None:
    """The hashes that `path` holds for this machine, or None where it has no record of one like it."""
    here = machine()
    return next((record["hashes"] for record in _read(path) if record["machine"] == here), None)


def write(path: Path, hashes: Mapping[str, str]) -> None:
    """Put `hashes` into `path` as the record of this machine; records of others stay."""
    here = machine()
    others = [record for record in _read(path) if record["machine"] != here] if path.exists() else []
    facts = environment.describe(THREADS)
    made_on = {name: facts[name] for name in ("cpu", "system", "versions")}
    records = [*others, {"machine": here, "made_on": made_on, "hashes": dict(hashes)}]
    path.write_text(json.dumps({"format": 1, "records": records}, indent=2) + "\n")


def check(path: Path, report: Callable[[str], None]) -> int:
    """Compute all that `path` has recorded for this machine again; returns how many hashes were compared.

    Raises:
        BenchmarkError: a hash differs, or there is no record of such a machine.
    """
    expected = recorded(path)
    if expected is None:
        raise BenchmarkError(
            f"{path} has no record of a machine like this one ({json.dumps(machine())}); make one from the code "
            f"before the change, with python -m benchmarks baseline --write {path}"
        )
    found = measure(expected, report)
    different = [name for name in expected if found[name] != expected[name]]
    if different:
        raise BenchmarkError(f"{len(different)} of {len(expected)} results have other bits: {', '.join(different)}")
    return len(expected)


def hash_of_logits(name: str) -> str:
    """Of what the zoo's network `name` answers to a random batch, no parameter or statistic at its initial value."""
    graph, engine = zoo.make(name), get_engine("native")
    state = engine.new_state(graph, seed=0)
    _disturb(state)
    inputs, _ = random_batch(graph.input_shape, graph.output_shape[0], LOGITS_BATCH)
    logits = engine.compile(graph, batch_size=LOGITS_BATCH, mode="inference").forward(state, inputs)[graph.only_output]
    return _hash({graph.only_output: logits})


def hash_after_steps(name: str) -> str:
    """Of the parameters and statistics of `name` after some steps on one random batch."""
    graph, engine, optimizer = zoo.make(name), get_engine("native"), SGD()
    state = engine.new_state(graph, optimizer, seed=0)
    program = engine.compile(graph, batch_size=STEP_BATCH, mode="training", loss=CrossEntropy(), optimizer=optimizer)
    inputs, targets = random_batch(graph.input_shape, graph.output_shape[0], STEP_BATCH)
    for _ in range(STEPS):
        program.step(state, inputs, targets, learning_rate=LEARNING_RATE)
    return hash_of_state(graph, state)


def hash_after_demo_epoch() -> str:
    """Of the parameters and statistics that `foveate train fashion-mnist --epochs 1` writes."""
    with TemporaryDirectory() as folder:
        options = ["--epochs", "1", "--threads", str(THREADS), "--out", folder]
        command = [sys.executable, "-m", "foveate", "train", "fashion-mnist", *options]
        # Threads that wait by spinning stand in each other's way where something else runs too.
        variables = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
        if done.returncode:
            raise BenchmarkError(f"foveate train fashion-mnist ended with status {done.returncode}: {done.stderr}")
        model = load(Path(folder) / "model.safetensors")
    return hash_of_state(model.graph, model.state)


def hash_of_state(graph: Graph, state: State) -> str:
    """SHA-256 of every parameter and statistic with its name, in the order of the names."""
    return _hash({name: state.read(name) for name in sorted([*graph.parameters, *graph.statistics])})


def _disturb(state: State) -> None:
    """Move biases, scales and statistics off 0 and 1, so it shows where one of them is forgotten."""
    random = np.random.default_rng(1)
    for name in sorted(state.names()):
        array = state.read(name)
        if array.ndim == 1:
            state.load(name, array + random.uniform(-0.1, 0.1, array.shape).astype(np.float32))


def _hash(arrays: Mapping[str, Array]) -> str:
    digest = sha256()
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BenchmarkError(f"{name} is not finite, so its bits would tell little")
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text())
        records: list[dict[str, Any]] = content["records"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} is no file of records: {error}") from None
    if content["format"] != 1:
        raise BenchmarkError(f"{path} has the format {content['format']}; this program reads format 1")
    return records

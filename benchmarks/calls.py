"""Random calls of the library, in processes of their own: each must end in an answer or in a sentence.

A call makes random layers with random options, joins them, compiles for a random batch, mode and engine, and runs what
is small. A process that ends by a signal names its call, which `tried(seed, number)` makes again.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from math import prod
from tempfile import TemporaryFile
from threading import Event, Timer
from time import process_time
from typing import Any

import numpy as np

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.memory import peak
from foveate.engines import get_engine
from foveate.layers import Layer
from foveate.layers.registry import built_in_layers

LONGEST = 2.0
"""Seconds of the processor that a call may take."""

PATIENCE = 60.0
"""Seconds after which a process that is silent is ended: importing the library and a call take far less."""

MOST_MEMORY = 1e9
"""Bytes that a process may hold at most, with all that it imported."""

LARGEST_RUN = 200_000
"""Numbers in all layers of a batch that is run, and a hundredth of its multiply-accumulates."""

IN_A_PROCESS = 250
PROGRAM = "from benchmarks.calls import batch; batch({seed}, {first}, {count})"

_NUMBERS = (0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 16, 17)
_RARE = (-1, 255, 65_537, 2**31 - 1, 2**31, 2**63, 10**30)
_REALS = (0.0, 0.1, 0.5, 1.0, 1.5, -1.0, 1e-30, 1e30, float("inf"), float("nan"))
_WORDS = (
    "same", "valid", "zeros", "reflect", "replicate", "circular", "nearest", "bilinear", "linear", "tanh", "none",
    "auto", "he", "xavier", "ones", "",
)  # fmt: skip
_CHANCE_OF_RARE = 0.03
_CHANCE_OF_REFUSAL = 0.02
"""That a layer which is refused ends its call."""


@dataclass
class Counts:
    """What came of some calls; `failures` are sentences on those that ended as they should not."""

    calls: int = 0
    refused: int = 0
    compiled: int = 0
    ran: int = 0
    slowest: float = 0.0
    memory: float = 0.0
    failures: tuple[str, ...] = ()

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.calls + other.calls,
            self.refused + other.refused,
            self.compiled + other.compiled,
            self.ran + other.ran,
            max(self.slowest, other.slowest),
            max(self.memory, other.memory),
            (*self.failures, *other.failures),
        )

    def __str__(self) -> str:
        return (
            f"{self.refused:,} refused in a sentence, {self.ran:,} ran, {self.compiled:,} only compiled; the slowest "
            f"took {self.slowest:.2f} s, a process held {self.memory / 1e6:.0f} MB at most"
        )


def random_calls(count: int, seed: int = 0, report: Callable[[str], object] = lambda _: None) -> Counts:
    """`count` calls, many to a process; `report` is told the progress.

    Raises:
        BenchmarkError: a process ended by a signal or not at all, or a call otherwise than in an answer or a sentence,
            too late or with too much memory; or no process starts.
    """
    total, first = Counts(), 0
    while first < count:
        report(f"{first:,} of {count:,} calls, {len(total.failures)} failed")
        made = _in_a_process(seed, first, min(IN_A_PROCESS, count - first))
        total, first = total + made, first + made.calls
    if total.failures:
        raise BenchmarkError(
            "\n".join((f"{len(total.failures)} of {count:,} calls failed:", *total.failures, str(total)))
        )
    return total


def _in_a_process(seed: int, first: int, count: int) -> Counts:
    """What came of the calls that a process made; the last of them failed where it did not make all."""
    command = [sys.executable, "-c", PROGRAM.format(seed=seed, first=first, count=count)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"}
    made = Counts()
    with TemporaryFile("w+") as wrong:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=wrong, text=True, env=environment) as process:
            silent = Event()
            for line in _lines(process, silent):
                if line.startswith("{"):
                    found = json.loads(line)
                    made = Counts(**{**found, "failures": tuple(found["failures"])})
        if made.calls == count and not process.returncode:
            return made
        wrong.seek(0)
        reason = wrong.read().strip()[-300:]
    place = f"seed {seed}, call {first + made.calls}"
    if process.returncode >= 0:  # Python ended outside of the call, and would do so again
        raise BenchmarkError(f"{place}: {reason}")
    reason = f"no end in {PATIENCE:g} s" if silent.is_set() else signal.Signals(-process.returncode).name
    return made + Counts(calls=1, failures=(f"{place}: {reason}",))


def _lines(process: subprocess.Popen[str], silent: Event) -> Iterator[str]:
    """What a process prints; where it is silent for too long, it is ended and `silent` set."""
    assert process.stdout is not None

    def end() -> None:
        silent.set()
        process.kill()

    while True:
        timer = Timer(PATIENCE, end)
        timer.start()
        line = process.stdout.readline()
        timer.cancel()
        if not line:
            return
        yield line


def batch(seed: int, first: int, count: int) -> None:
    """What a process does: make the calls, and print after each what came of all so far."""
    total = Counts()
    for number in range(first, first + count):
        before = process_time()
        counts = Counts(calls=1)
        try:
            if tried(seed, number):
                counts.ran = 1
            else:
                counts.compiled = 1
        except fv.FoveateError:
            counts.refused = 1
        except Exception as error:
            counts.failures = (f"seed {seed}, call {number}: {type(error).__name__} {error}"[:300],)
        counts.slowest = process_time() - before
        counts.memory = peak()
        if counts.slowest > LONGEST:
            counts.failures += (f"seed {seed}, call {number}: took {counts.slowest:.1f} s",)
        if total.memory <= MOST_MEMORY < counts.memory:
            counts.failures += (f"seed {seed}, call {number}: {counts.memory / 1e6:.0f} MB",)
        total += counts
        print(json.dumps(vars(total)), flush=True)


def tried(seed: int, number: int) -> bool:
    """Make call `number` of `seed`; whether what was compiled was small enough to be run."""
    random = np.random.default_rng([seed, number])
    graph = _graph(random)
    graph.summary().to_json()
    sizes = (1, 1, 2, 3, 5, 8) if random.random() > _CHANCE_OF_RARE else (0, -1, 2**31, 2**32, 2**40)
    size = int(random.choice(np.array(sizes, object)))
    numbers = sum(prod(shape) for shape in graph.shapes.values()) + sum(
        prod(p.shape) for p in graph.parameters.values()
    )
    costs = sum(node.cost.macs for node in graph.nodes) // 100
    small = max(numbers, costs) * max(1, size) <= LARGEST_RUN
    if not small and 1 <= size <= 8:  # nothing is wrong with a large network but the time it takes
        return False
    engine = get_engine(str(random.choice(["native", "native", "reference"])))
    mode = str(random.choice(["inference", "differentiable", "training"]))
    options: dict[str, Any] = {"mode": "training" if mode == "training" else "inference"}
    if mode == "training":
        optimizers = (None, fv.SGD(), fv.AdamW())
        options |= {"loss": fv.CrossEntropy(), "optimizer": optimizers[random.integers(len(optimizers))]}
    elif mode == "differentiable":
        options |= {"differentiable": True}
    program = engine.compile(graph, batch_size=size, **options)
    state = engine.new_state(graph, options.get("optimizer"), seed=number)
    inputs = {name: random.standard_normal((size, *shape)).astype(np.float32) for name, shape in graph.inputs.items()}
    with np.errstate(all="ignore"):
        if mode == "training":
            program.step(state, inputs, _targets(random, graph, size), learning_rate=0.01)
            return True
        outputs = program.forward(state, inputs)
        if mode == "differentiable":
            program.backward({name: np.ones_like(each) for name, each in outputs.items()})
            for name in (*graph.inputs, *graph.parameters):
                program.gradient(name)
    return True


def _graph(random: np.random.Generator) -> fv.Graph:
    rank = int(random.integers(1, 5))
    shape = tuple(_number(random) or int(random.random() > _CHANCE_OF_RARE) for _ in range(rank))
    builder = fv.GraphBuilder()
    values = [builder.input(shape)]
    for _ in range(random.integers(1, 5)):
        values.append(_added(random, builder, values))
    return builder.build(values[-1], quiet=True)


def _added(random: np.random.Generator, builder: fv.GraphBuilder, values: list[Any]) -> Any:
    """One more layer; what is refused is mostly tried again with another, so that something is left to run."""
    while True:
        try:
            layer = _layer(random)
            least, most = layer.inputs_expected
            count = least if most == least else int(random.integers(least, least + 2))
            chosen = [values[int(place)] for place in random.integers(max(0, len(values) - 2), len(values), count)]
            return builder.add(layer, *chosen)
        except fv.FoveateError:
            if random.random() < _CHANCE_OF_REFUSAL:
                raise


def _layer(random: np.random.Generator) -> Layer:
    types = built_in_layers()
    kind = types[random.integers(len(types))]
    options: dict[str, Any] = {}
    for each in fields(kind):  # type: ignore[arg-type]
        has_default = each.default is not MISSING or each.default_factory is not MISSING
        if each.init and not (has_default and random.random() < 0.6):
            options[each.name] = _value(random, str(each.type))
    return kind(**options)


def _value(random: np.random.Generator, annotation: str) -> Any:
    """What may stand there, or for once something else."""
    kinds: Mapping[str, Any] = {
        "bool": lambda: bool(random.integers(2)),
        "float": lambda: float(random.choice(_REALS[:5] if random.random() > _CHANCE_OF_RARE else _REALS)),
        "str": lambda: str(random.choice(_WORDS)),
        "Literal": lambda: str(random.choice(_WORDS)),
        "Padding": lambda: _several(random) if random.random() < 0.7 else str(random.choice(_WORDS[:2])),
        "Sequence": lambda: _several(random),
        "tuple": lambda: _several(random),
        "Ints": lambda: _several(random),
    }
    if random.random() < _CHANCE_OF_RARE:
        return random.choice(np.array([None, True, "x", (), 0.5, ((1, 2), (3, 4)), -1], object))
    return next((make for word, make in kinds.items() if word in annotation), lambda: _number(random))()


def _several(random: np.random.Generator) -> Any:
    """One number, or a few, of which some are pairs."""
    if random.random() < 0.5:
        return _number(random)
    pair = random.random() < 0.2
    return tuple((_number(random), _number(random)) if pair else _number(random) for _ in range(random.integers(1, 4)))


def _number(random: np.random.Generator) -> int:
    numbers = _RARE if random.random() < _CHANCE_OF_RARE / 3 else _NUMBERS
    return int(numbers[random.integers(len(numbers))])


def _targets(random: np.random.Generator, graph: fv.Graph, size: int) -> Any:
    channels, *positions = graph.output_shape
    return random.integers(0, channels, (size, *positions))

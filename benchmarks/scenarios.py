"""What several threads, many sizes and many networks ask of a model: scenarios that end in a sentence or an error.

Each runs in a process of its own, because what they look for may end the process. `stress` runs them for long, the
tests for a moment.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Event
from time import perf_counter

import numpy as np

from benchmarks.environment import resident_memory
from benchmarks.errors import BenchmarkError
from benchmarks.exchange import Array
from foveate import (
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Dataset,
    Dropout,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Model,
    ReLU,
    Sequential,
    explain,
    load,
    set_threads,
)
from foveate.engines import register
from foveate.layers import Shape

THREADS, LARGEST_BATCH = 8, 40
SWITCH_INTERVAL = 1e-5
"""Seconds after which Python turns to another thread: so short that threads meet in the middle of everything."""
ALLOWED_GROWTH = 16
"""Megabytes; what an allocator keeps for itself is no leak."""
CLASSES = ("dark", "grey", "light")


@dataclass(frozen=True)
class Double(Layer):
    """y = 2x: a layer of one's own, which the engine calls back for in Python."""

    label = "double"

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """As the input."""
        return input_shapes[0]


register(Double, lambda layer, inputs, parameters: 2 * inputs[0], lambda layer, i, p, o, gradient: ([2 * gradient], {}))


@dataclass(frozen=True)
class Call:
    """One question to a model: what is asked, and of how many samples."""

    kind: str
    samples: int


def pictures(count: int) -> Dataset:
    """Random grey 24x24 images of three classes that differ in brightness."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, count)
    noise = random.normal(0, 25, (count, 1, 24, 24))
    inputs = np.clip(60 + 60 * labels[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    return Dataset(inputs, labels, CLASSES)


def trained(*own: Layer, seed: int = 0) -> Model:
    """A small convolutional network after one epoch, with the layers `own` in its middle."""
    network = Sequential(
        Conv2d(16, 3, padding=1), BatchNorm2d(), ReLU(), MaxPool2d(2),
        *own, Conv2d(16, 3, padding=1), ReLU(), Dropout(0.2), GlobalAvgPool2d(), Linear(3),
    )  # fmt: skip
    model = Model(network.build((1, 24, 24)), seed=seed)
    model.fit(pictures(256), epochs=1, batch_size=32, progress=False)
    return model


def one_model(calls: int) -> str:
    """Eight threads ask one model, `calls` times each."""
    return _asked_by_all(trained(), calls)


def own_layer(calls: int) -> str:
    """Eight threads ask a model with a layer that Python computes."""
    return _asked_by_all(trained(Double()), calls)


def two_models(calls: int) -> str:
    """Two threads ask a model each."""
    models, data = [trained(seed=seed) for seed in (0, 1)], pictures(LARGEST_BATCH)
    asked = _calls(0, 4 * calls)
    expected = [[_answer(model, data, call) for call in asked] for model in models]

    def ask(number: int) -> None:
        for call, right in zip(asked, expected[number], strict=True):
            _require_same(_answer(models[number], data, call), right, f"{call} of model {number + 1}")

    _in_threads(ask, range(len(models)))
    return f"2 threads asked {len(asked)} times each"


def training_beside_predicting(calls: int) -> str:
    """One thread trains a model, and another asks a second."""
    asked, data = trained(), pictures(LARGEST_BATCH)
    expected = asked.predict(data.inputs)
    undisturbed, disturbed = trained(seed=1), trained(seed=1)
    epochs = max(2, calls // 8)
    undisturbed.fit(pictures(256), epochs=epochs, batch_size=32, progress=False)
    done = Event()

    def train(_: int) -> None:
        try:
            disturbed.fit(pictures(256), epochs=epochs, batch_size=32, progress=False)
        finally:
            done.set()

    def ask(_: int) -> None:
        while not done.is_set():
            _require_same([asked.predict(data.inputs)], [expected], "a prediction beside a training")

    _in_threads(lambda number: (train, ask)[number](number), range(2))
    names = undisturbed.state.names()
    _require_same([disturbed.read(name) for name in names], [undisturbed.read(name) for name in names], "the training")
    return f"{epochs} epochs beside predictions"


def trained_in_a_thread(_: int) -> str:
    """A training in a second thread keeps to `set_threads`, and so has the bits of one in the first."""
    # More than this machine's default, whatever that is, so a thread that forgets shows.
    set_threads(1 + (os.cpu_count() or 1))
    first, second = trained(), []
    _in_threads(lambda _: second.append(trained()), range(1))
    names = first.state.names()
    _require_same([second[0].read(name) for name in names], [first.read(name) for name in names], "the training")
    return "a training in a thread has the bits of one outside"


def replaced_parameters(calls: int) -> str:
    """Threads ask a model for several batches at once while `fit` replaces its parameters again and again."""
    model = trained()
    raw = pictures(600).inputs
    fits, done, seen = max(3, calls // 16), Event(), [list[Array]() for _ in range(2)]
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.safetensors" for number in range(fits + 1)]
        model.save(files[0])

        def train() -> None:
            try:
                for file in files[1:]:
                    model.fit(pictures(128), epochs=1, batch_size=32, progress=False)
                    model.save(file)
            finally:
                done.set()

        def ask(number: int) -> None:
            while not done.is_set():
                seen[number].append(model.predict(raw))

        _in_threads(lambda number: train() if number == len(seen) else ask(number), range(len(seen) + 1))
        possible = [load(file).predict(raw).tobytes() for file in files]
    for answers in seen:
        place = 0
        for answer in answers:
            if answer.tobytes() not in possible[place:]:
                raise BenchmarkError("a prediction belongs neither to the old parameters nor to the new ones")
            place = possible.index(answer.tobytes(), place)
    return f"{sum(map(len, seen))} predictions during {fits} trainings"


def many_batch_sizes(_: int) -> str:
    """A model answers batches of a thousand different sizes; its memory stays what it is."""
    model, largest = trained(), 1000
    inputs = np.zeros((largest, 1, 24, 24), np.float32)
    return _stays_flat("batch sizes", lambda size: model.logits(inputs[:size], batch_size=size), range(1, largest + 1))


def many_lengths(_: int) -> str:
    """One engine runs a network for four hundred different lengths; what is given up leaves no memory behind."""
    network = Sequential(Conv1d(16, 9, padding=4), ReLU(), Conv1d(16, 9, stride=4), GlobalAvgPool1d(), Linear(3))

    def use(length: int) -> None:
        graph = network.build((1, length), quiet=True)
        Model(graph).logits(np.zeros((2, 1, length), np.float32))

    return _stays_flat("lengths", use, range(1000, 1400))


THREADED: dict[str, Callable[[int], str]] = {
    "one-model": one_model,
    "own-layer": own_layer,
    "two-models": two_models,
    "training-beside-predicting": training_beside_predicting,
    "trained-in-a-thread": trained_in_a_thread,
    "replaced-parameters": replaced_parameters,
}
"""Each takes how often a thread asks."""
SIZED: dict[str, Callable[[int], str]] = {"many-batch-sizes": many_batch_sizes, "many-lengths": many_lengths}
SCENARIOS = THREADED | SIZED


def _asked_by_all(model: Model, calls: int) -> str:
    data = pictures(LARGEST_BATCH)
    asked = [_calls(thread, calls) for thread in range(THREADS)]
    start = perf_counter()
    expected = [[_answer(model, data, call) for call in one] for one in asked]
    alone = perf_counter() - start

    def ask(thread: int) -> None:
        for call, right in zip(asked[thread], expected[thread], strict=True):
            _require_same(_answer(model, data, call), right, str(call))

    _in_threads(ask, range(THREADS))
    # Timed as users run it: changing threads every few instructions finds races, but costs more than the calls.
    start = perf_counter()
    _in_threads(ask, range(THREADS), interval=sys.getswitchinterval())
    together = perf_counter() - start
    return f"{THREADS} threads asked {calls} times each in {together / alone:.2f} of the time that one takes"


def _calls(thread: int, count: int) -> list[Call]:
    """Every kind in turn, with batches of every size; half of the threads ask for one size at about the same time."""
    kinds = ("predict", "evaluate", "logits", "grad_cam")
    return [Call(kinds[(thread + i) % len(kinds)], 1 + 7 * (i + thread % 2) % LARGEST_BATCH) for i in range(count)]


def _answer(model: Model, data: Dataset, call: Call) -> list[Array]:
    raw = data.inputs[: call.samples]
    if call.kind == "predict":
        return [model.predict(raw)]
    if call.kind == "evaluate":
        result = model.evaluate(data.subset(np.arange(call.samples)))
        return [np.array([result.accuracy, result.loss]), result.confusion]
    if call.kind == "logits":
        return [model.logits(raw.astype(np.float32) / 255)]
    return [explain.grad_cam(model, raw, target=1)]


def _require_same(found: Sequence[Array], expected: Sequence[Array], what: str) -> None:
    if [array.tobytes() for array in found] != [array.tobytes() for array in expected]:
        raise BenchmarkError(f"{what} has other bits than when nothing else ran")


def _in_threads(function: Callable[[int], None], numbers: Iterable[int], *, interval: float = SWITCH_INTERVAL) -> None:
    """function(number) for each number at the same time; the first error is raised."""
    numbers, before = list(numbers), sys.getswitchinterval()
    start = Barrier(len(numbers))

    def begin(number: int) -> None:
        start.wait()
        function(number)

    sys.setswitchinterval(interval)
    try:
        with ThreadPoolExecutor(len(numbers)) as pool:
            for future in [pool.submit(begin, number) for number in numbers]:
                future.result()
    finally:
        sys.setswitchinterval(before)


def _stays_flat(what: str, use: Callable[[int], object], sizes: Sequence[int]) -> str:
    """Use every size once, in a random order; after a tenth of them, and the largest, memory may not grow."""
    order = [int(size) for size in np.random.default_rng(0).permutation(sizes)]
    start = len(order) // 10
    for size in (sizes[-1], *order[:start]):
        use(size)
    before = resident_memory()
    for size in order[start:]:
        use(size)
    growth = (resident_memory() - before) / 2**20
    if growth > ALLOWED_GROWTH:
        raise BenchmarkError(
            f"memory grew by {growth:.1f} MB over {len(order) - start} {what}; at most {ALLOWED_GROWTH} MB are allowed"
        )
    return f"memory grew by {growth:.1f} MB over {len(order) - start} {what}"

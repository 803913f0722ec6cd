"""What a training spends beside its steps: the loop itself, progress, metrics, log files and callbacks."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer

import foveate as fv
from benchmarks.options import BatchSize, Net
from foveate.engines.program import Program
from foveate.training.progress import LiveBar


class Metric(fv.Callback):
    """A callback that looks at each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step(self, training: fv.Training) -> None:
        """Keep the loss."""
        self.losses.append(training.loss)


def overhead(net: str, batch_size: int, steps: int, tell: Callable[[str], object] = lambda _: None) -> dict[str, float]:
    """The share of an epoch that is spent neither in steps nor in waiting for data, by what is written each step."""
    random = np.random.default_rng(0)
    graph = fv.zoo.make(net)
    count, classes = steps * batch_size, graph.output_shape[0]
    inputs = random.integers(0, 256, (count, *graph.input_shape), np.uint8)
    data = fv.Dataset(inputs, random.integers(0, classes, count), [str(number) for number in range(classes)])
    shares = {}
    with TemporaryDirectory() as place:
        files = [fv.JSONLines(Path(place) / "log.jsonl", every=1), fv.TensorBoard(Path(place) / "events", every=1)]
        cases: dict[str, dict[str, Any]] = {
            "nothing": {"progress": False},
            "a bar and a callback": {"progress": LiveBar(io.StringIO()), "callbacks": [Metric()]},
            "a bar, a callback, JSON lines and TensorBoard at each step": {
                "progress": LiveBar(io.StringIO()),
                "callbacks": [Metric(), *files],
            },
        }
        for name, options in cases.items():
            model = fv.Model(graph, seed=0)
            model.fit(data.subset(range(2 * batch_size)), epochs=1, batch_size=batch_size, progress=False)
            shares[name] = _share(model, data, batch_size, options)
            tell(f"{name}: {shares[name]:.2%} of an epoch of {net}, {steps} steps of {batch_size} images")
    return shares


def _share(model: fv.Model, data: fv.Dataset, batch_size: int, options: dict[str, Any]) -> float:
    inside, step = 0.0, Program.step

    def timed(*arguments: Any, **given: Any) -> Any:
        nonlocal inside
        began = time.perf_counter()
        try:
            return step(*arguments, **given)
        finally:
            inside += time.perf_counter() - began

    with patch.object(Program, "step", timed):
        (row,) = model.fit(data, epochs=1, batch_size=batch_size, schedule=fv.Constant(1e-3), **options).epochs
    seconds = len(data) / row.images_per_second  # which `row.seconds` rounds to milliseconds
    return 1 - row.waiting - inside / seconds


def command(
    net: Net = "vgg6",
    batch_size: BatchSize = 128,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the epoch.")] = 100,
) -> None:
    """Measure what the loop, progress, log files and callbacks cost beside the steps of a training.

    Example: python -m benchmarks overhead
    """
    overhead(net, batch_size, steps, lambda line: print(line, flush=True))

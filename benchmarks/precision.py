"""The loss of the first steps of a training in a lower precision, beside that in float32."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import foveate
from benchmarks.errors import BenchmarkError
from benchmarks.options import BatchSize, Net
from foveate.engines import get_engine

SHOWN = 10
"""Lines of the report."""


@dataclass(frozen=True)
class Comparison:
    """The loss of each step in both precisions."""

    exact: NDArray[np.float64]
    lower: NDArray[np.float64]

    @property
    def furthest(self) -> float:
        """The largest difference between means over ten steps, relative to the first loss."""
        window = np.ones(10) / 10
        ours, exact = (np.convolve(losses, window, mode="valid") for losses in (self.lower, self.exact))
        return float(np.abs(ours - exact).max() / self.exact[0])


def compare(net: str, precision: str, device: str, steps: int, batch_size: int) -> Comparison:
    """Train twice from the same parameters on the same batches: a random pattern for each class, in noise."""
    graph, engine = foveate.zoo.make(net), f"torch:{device}"
    losses = [_losses(graph, name, steps, batch_size) for name in (engine, f"{engine}+{precision}")]
    return Comparison(*losses)


def _losses(graph: foveate.Graph, engine_name: str, steps: int, batch_size: int) -> NDArray[np.float64]:
    engine, optimizer = get_engine(engine_name), foveate.SGD()
    options: dict[str, Any] = {"loss": foveate.CrossEntropy(), "optimizer": optimizer}
    program = engine.compile(graph, batch_size=batch_size, mode="training", **options)
    state, random = engine.new_state(graph, optimizer, seed=0), np.random.default_rng(0)
    patterns = random.standard_normal((graph.output_shape[0], *graph.input_shape))
    losses = []
    for _ in range(steps):
        labels = random.integers(len(patterns), size=batch_size)
        inputs = patterns[labels] + random.standard_normal((batch_size, *graph.input_shape))
        losses.append(program.step(state, inputs, labels, learning_rate=0.001).loss)
    return np.array(losses)


def report(comparison: Comparison, precision: str, tell: Callable[[str], None]) -> None:
    """A line for some of the steps, and the largest difference."""
    tell(f"{'step':>5} {'float32':>9} {precision:>9}")
    steps = np.unique(np.linspace(0, len(comparison.exact) - 1, SHOWN).round().astype(int))
    for step in steps:
        tell(f"{step + 1:5} {comparison.exact[step]:9.4f} {comparison.lower[step]:9.4f}")
    tell(f"means over ten steps differ by at most {100 * comparison.furthest:.2g} % of the first loss")


def precision(
    net: Net = "vgg6",
    to: Annotated[str, typer.Option(help="The lower precision: bf16 or tf32.")] = "bf16",
    device: Annotated[str, typer.Option(help="Where: cpu, cuda, cuda:1.")] = "cpu",
    steps: Annotated[int, typer.Option(min=10, help="Training steps.")] = 100,
    batch_size: BatchSize = 64,
) -> None:
    """Compare the loss of a training in lower precision with that in float32, step by step.

    Example: python -m benchmarks precision --net vgg6 --device cuda
    """
    comparison = compare(net, to, device, steps, batch_size)
    report(comparison, to, lambda line: print(line, flush=True))
    if not np.isfinite(comparison.lower).all():
        raise BenchmarkError(f"in {to} the loss became NaN or infinite")

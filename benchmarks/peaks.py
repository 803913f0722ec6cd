"""What this machine does at most, measured through the native engine: arithmetic in a large product, memory in a pass.

    python -m benchmarks.peaks 2

prints both for two threads as JSON; a process of its own, so that no thread of it is awake while others are timed.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

import foveate as fv
from foveate.engines import get_engine
from foveate.layers import Layer

SIDE = 2048
"""Of the matrices that are multiplied."""

COPIED = 16 * 2**20
"""Numbers that are read and written, many times what caches hold."""

REPEATS = 7


@dataclass(frozen=True)
class Peaks:
    """Operations and bytes in a second."""

    flops: float
    bytes: float

    def share(self, flops: float, moved: float, seconds: float) -> float:
        """The larger of the shares of both that so much work in this time is."""
        return max(flops / seconds / self.flops, moved / seconds / self.bytes)


def measure(threads: int) -> Peaks:
    """The fastest of several runs, in this process."""
    fv.set_threads(threads)
    product = _fastest(fv.Linear(SIDE, bias=False), (SIDE,), SIDE)
    copy = _fastest(fv.Rescale(2), (COPIED,), 1)
    return Peaks(flops=2 * SIDE**3 / product, bytes=2 * 4 * COPIED / copy)


def _fastest(layer: Layer, shape: tuple[int, ...], batch_size: int) -> float:
    engine, graph = get_engine("native"), fv.Sequential(layer).build(shape, quiet=True)
    session = engine.compile(graph, batch_size=batch_size, mode="inference").new_session()
    state, x = engine.new_state(graph, seed=0), np.ones((batch_size, *shape), np.float32)
    profile: Callable[..., list[float]] = session.profile  # type: ignore[attr-defined]
    return min(max(profile(state, x, None)) for _ in range(REPEATS))


def measured_apart(threads: int) -> Mapping[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peaks", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    made: dict[str, float] = json.loads(done.stdout)
    return made


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))

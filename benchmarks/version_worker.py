"""Runs one network of whichever foveate its interpreter has, as often as it is asked; stands alone.

One JSON object a line: {"net": ..., "batch_size": ..., "kind": "train" or "forward"} prepares and gives back what the
network computed; {"seconds": ...} times it for this long and gives back the seconds of one run.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import foveate
from foveate.engines import get_engine

PAUSE = 0.1
"""Seconds in which the threads of the worker that ran before stop spinning."""


def prepare(net: str, batch_size: int, kind: str) -> tuple[Callable[[], Any], list[float]]:
    """What is timed, and the numbers that tell whether two versions computed the same."""
    engine, graph = get_engine("native"), foveate.zoo.make(net)
    random = np.random.default_rng(0)
    inputs = random.standard_normal((batch_size, *graph.input_shape)).astype(np.float32)
    if kind == "forward":
        program = engine.compile(graph, batch_size=batch_size, mode="inference")
        state = engine.new_state(graph, seed=0)
        output = program.forward(state, inputs)[graph.only_output]
        return lambda: program.forward(state, inputs), [float(value) for value in output.ravel()[:100]]
    targets = random.integers(0, graph.output_shape[0], batch_size)
    optimizer = foveate.SGD()
    state = engine.new_state(graph, optimizer, seed=0)
    program = engine.compile(
        graph, batch_size=batch_size, mode="training", loss=foveate.CrossEntropy(), optimizer=optimizer
    )
    losses = [program.step(state, inputs, targets, learning_rate=0.001).loss for _ in range(3)]
    return lambda: program.step(state, inputs, targets, learning_rate=1e-6), losses


def timed(run: Callable[[], Any], seconds: float) -> float:
    """Seconds of one run: the mean of as many as fit into `seconds`, after one that is not counted."""
    time.sleep(PAUSE)
    run()
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds or not count:
        run()
        count += 1
    return passed / count


def main() -> None:
    """Answer every line of standard input."""
    run: Callable[[], Any] = lambda: None  # noqa: E731 (replaced by the first job)
    for line in sys.stdin:
        asked = json.loads(line)
        if "net" in asked:
            run, numbers = prepare(**asked)
            answer: Any = {"numbers": numbers, "version": foveate.__file__}
        else:
            answer = timed(run, asked["seconds"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

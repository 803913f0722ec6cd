"""The worker that runs foveate's native engine, and writes the arrays from which the others start."""

from pathlib import Path

import numpy as np

from benchmarks.exchange import Array, Exchange, random_batch
from benchmarks.networks import network
from benchmarks.workers import (
    CHECKED_STEPS,
    CHECKING_RATES,
    MOMENTUM,
    MOST_CHANGE,
    TIMING_RATE,
    WEIGHT_DECAY,
    Job,
    Prepared,
    serve,
)
from foveate import SGD, CrossEntropy, set_threads
from foveate.engines import Engine, State, get_engine
from foveate.graph import Graph


def prepare(job: Job) -> Prepared:
    """Compile the program of the job, write what the others need, and run the steps that are checked."""
    set_threads(job.threads)
    engine = get_engine("native")
    graph = network(job.net, job.kind)
    inputs, targets = random_batch(graph.input_shape, graph.output_shape[0], job.batch_size)
    if job.kind == "train":
        return _training(job, engine, graph, inputs, targets)
    state = engine.new_state(graph, seed=0)
    _exchange(state, inputs, targets).write(Path(job.arrays))
    return _inference(engine, graph, state, inputs)


def _exchange(state: State, inputs: Array, targets: Array, learning_rate: float = 0.0) -> Exchange:
    return Exchange(inputs, targets, {name: state.read(name) for name in state.names()}, learning_rate)


def _training(job: Job, engine: Engine, graph: Graph, inputs: Array, targets: Array) -> Prepared:
    optimizer = SGD(momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY)
    program = engine.compile(graph, batch_size=len(inputs), mode="training", loss=CrossEntropy(), optimizer=optimizer)

    def step(state: State, learning_rate: float) -> float:
        return program.step(state, inputs, targets, learning_rate=learning_rate).loss

    for rate in CHECKING_RATES:
        state = engine.new_state(graph, optimizer, seed=0)
        exchange = _exchange(state, inputs, targets, rate)
        losses = [step(state, rate) for _ in range(CHECKED_STEPS)]
        if np.ptp(losses) <= MOST_CHANGE * losses[0]:  # not if one is NaN
            break
    exchange.write(Path(job.arrays))
    return Prepared(lambda: step(state, TIMING_RATE), {"losses": losses})


def _inference(engine: Engine, graph: Graph, state: State, inputs: Array) -> Prepared:
    program = engine.compile(graph, batch_size=len(inputs), mode="inference")

    def forward() -> Array:
        return program.forward(state, inputs)[graph.only_output]

    return Prepared(forward, {"output": np.asarray(forward()).ravel().tolist()})


if __name__ == "__main__":
    serve(prepare)

"""The worker that runs foveate's native engine, and writes the arrays from which the others start."""

from pathlib import Path

import numpy as np

from benchmarks.exchange import Array, Exchange, random_batch
from benchmarks.networks import network
from benchmarks.workers import CHECKED_STEPS, CHECKING_RATE, MOMENTUM, TIMING_RATE, WEIGHT_DECAY, Job, Prepared, serve
from foveate import SGD, CrossEntropy, set_threads
from foveate.engines import Engine, State, get_engine
from foveate.graph import Graph


def prepare(job: Job) -> Prepared:
    """Compile the program of the job, write what the others need, and run the steps that are checked."""
    set_threads(job.threads)
    engine = get_engine("native")
    graph = network(job.net, job.kind)
    inputs, targets = random_batch(graph.input_shape, graph.output_shape[0], job.batch_size)
    optimizer = SGD(momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY) if job.kind == "train" else None
    state = engine.new_state(graph, optimizer, seed=0)
    Exchange(inputs, targets, {name: state.read(name) for name in state.names()}).write(Path(job.arrays))
    if job.kind == "train":
        return _training(engine, graph, state, inputs, targets)
    return _inference(engine, graph, state, inputs)


def _training(engine: Engine, graph: Graph, state: State, inputs: Array, targets: Array) -> Prepared:
    program = engine.compile(
        graph, batch_size=len(inputs), mode="training", loss=CrossEntropy(), optimizer=state.optimizer
    )

    def step(learning_rate: float = TIMING_RATE) -> float:
        return program.step(state, inputs, targets, learning_rate=learning_rate).loss

    return Prepared(step, {"losses": [step(CHECKING_RATE) for _ in range(CHECKED_STEPS)]})


def _inference(engine: Engine, graph: Graph, state: State, inputs: Array) -> Prepared:
    program = engine.compile(graph, batch_size=len(inputs), mode="inference")

    def forward() -> Array:
        return program.forward(state, inputs)[graph.only_output]

    return Prepared(forward, {"output": np.asarray(forward()).ravel().tolist()})


if __name__ == "__main__":
    serve(prepare)

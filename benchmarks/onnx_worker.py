"""A worker that runs a network in onnxruntime or OpenVINO, from an ONNX file with the arrays of foveate's worker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import foveate as fv
from benchmarks.exchange import Exchange
from benchmarks.networks import network
from benchmarks.workers import Job, Prepared, serve
from foveate.interop.onnx.wire import written
from foveate.interop.onnx.writing import message_of

WARM_UP = 3
"""Runs before anything is timed."""


def prepare(job: Job) -> Prepared:
    """Write the network as ONNX, compile it for the batch, and run it."""
    graph, exchange = network(job.net, job.kind), Exchange.read(Path(job.arrays))
    model = fv.Model(graph, engine="reference")
    for name, array in exchange.state.items():
        model.state.load(name, array)
    file = b"".join(map(bytes, written(message_of(model))))
    run = _RUNTIMES[job.mode](file, exchange.inputs, job.threads)
    output = run()
    for _ in range(WARM_UP):
        run()
    return Prepared(run, {"output": np.asarray(output).ravel().tolist()})


def _onnxruntime(file: bytes, inputs: Any, threads: int) -> Callable[[], Any]:
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: inputs}
    return lambda: session.run(None, given)[0]


def _openvino(file: bytes, inputs: Any, threads: int) -> Callable[[], Any]:
    import openvino  # type: ignore[import-not-found,import-untyped,unused-ignore]

    core = openvino.Core()
    model = core.read_model(model=file)
    model.reshape(list(inputs.shape))
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", options)
    return lambda: compiled([inputs])[0]


_RUNTIMES: dict[str, Callable[[bytes, Any, int], Callable[[], Any]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}


if __name__ == "__main__":
    serve(prepare)

"""From a model to an ONNX file: the messages, the metadata, and the comparison with what was written."""

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foveate.errors import FileError
from foveate.files.atomic import write_atomically
from foveate.interop.onnx import operators_of_structure  # noqa: F401 (it fills the table)
from foveate.interop.onnx.building import FLOAT, Writing
from foveate.interop.onnx.operators import write
from foveate.interop.onnx.tensors import Array
from foveate.interop.onnx.wire import Message, written
from foveate.layers import Shape
from foveate.log import logger
from foveate.model import Model
from foveate.text import named, printable

OPSET, IR = 21, 10
"""The version of the operators that is written, and of the format that has it."""

LONGEST_REASON = 200
"""The most letters of another library's error in a sentence."""

PRODUCER = "foveate"
LARGEST_FILE = 2**31 - 1
"""The most bytes that readers of the format take."""


def _port(name: str, shape: Shape) -> Message:
    sizes: list[Message] = [{"dim_param": "batch"}, *({"dim_value": size} for size in shape)]
    return {"name": name, "type": {"tensor_type": {"elem_type": FLOAT, "shape": {"dim": sizes}}}}


def message_of(model: Model) -> Message:
    """The model as ONNX's message.

    Raises:
        EngineError: ONNX has no counterpart of a layer.
    """
    graph = model.graph
    writing = Writing(graph, {name: model.read(name) for name in model.state.names()})
    for node in graph.nodes:
        write(node.layer, node, writing)
    told = {name: value for name, value in model.described().items() if name not in ("graph", "features")}
    about = [{"key": PRODUCER, "value": json.dumps(told)}]
    if model.classes is not None:
        about.append({"key": "class_names", "value": json.dumps(list(model.classes))})
    if told.get("preprocessing"):
        about.append({"key": "preprocessing", "value": json.dumps(told["preprocessing"])})
    return {
        "ir_version": IR,
        "producer_name": PRODUCER,
        "opset_import": [{"domain": "", "version": OPSET}],
        "graph": {
            "name": graph.name,
            "node": writing.nodes,
            "initializer": list(writing.tensors.values()),
            "input": [_port(name, shape) for name, shape in graph.inputs.items()],
            "output": [_port(name, graph.shapes[name]) for name in graph.outputs],
        },
        "metadata_props": about,
    }


class Comparison(NamedTuple):
    """The largest difference of a file's outputs, relative to the largest output, and what ran the file, in words."""

    difference: float
    judge: str


def write_onnx(model: Model, path: Path) -> Comparison:
    """Write the file, run it again, and compare; see `to_onnx`."""
    pieces = list(written(message_of(model)))
    size = sum(map(len, pieces))
    if size > LARGEST_FILE:
        raise FileError(
            f"{named(path)} was not written: it would have {size:,} bytes, and ONNX files have at most {LARGEST_FILE:,}"
        )
    write_atomically(path, *_joined(pieces))
    return compared(model, path)


def _joined(pieces: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Short pieces together, long ones as they are."""
    waiting = bytearray()
    for piece in pieces:
        if len(piece) < 1 << 16:
            waiting += piece
        else:
            yield bytes(waiting)
            waiting = bytearray()
            yield piece
    yield bytes(waiting)


def compared(model: Model, path: Path) -> Comparison:
    """How far the file's outputs are from the model's.

    The file is run by onnxruntime if that is installed and can, else read again and run by the reference engine.
    """
    generator = np.random.default_rng(0)
    inputs = {
        name: generator.standard_normal((2, *shape)).astype(np.float32) for name, shape in model.graph.inputs.items()
    }
    ours, (theirs, judge) = model.outputs(inputs), _run(path, inputs)
    difference = max(
        _difference(one, other.reshape(one.shape)) for one, other in zip(ours.values(), theirs, strict=True)
    )
    return Comparison(difference, judge)


def _difference(one: Array, other: Array) -> float:
    """The largest difference, relative to the largest number; NaN and infinity are as good as themselves."""
    differs = ~((one == other) | (np.isnan(one) & np.isnan(other)))
    if not differs.any():
        return 0.0
    largest = np.abs(one[np.isfinite(one)]).max(initial=0.0)
    found = float(np.abs(one[differs] - other[differs]).max()) / (float(largest) or 1.0)
    return found if np.isfinite(found) else float("inf")


def _run(path: Path, inputs: dict[str, Any]) -> tuple[list[Array], str]:
    """The outputs, and what computed them."""
    judge = "the reference engine"
    if find_spec("onnxruntime") is not None:
        try:
            return _run_elsewhere(path, inputs), "onnxruntime"
        except Exception as error:  # an older one, which does not know these versions of operators
            logger.info("onnxruntime cannot run %s: %s", path, error)
            judge += f" (onnxruntime cannot: {printable(str(error), LONGEST_REASON)})"
    from foveate.interop.onnx.importing import imported

    again = imported(path, None, "reference")
    return list(again.outputs(dict(zip(again.graph.inputs, inputs.values(), strict=True))).values()), judge


def _run_elsewhere(path: Path, inputs: dict[str, Any]) -> list[Array]:
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))

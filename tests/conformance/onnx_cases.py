"""ONNX's published cases, and the backend that runs them: every model goes through a file and `from_onnx`."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.case import node as node_tests

import foveate as fv

Array: TypeAlias = NDArray[Any]

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
FOLDERS = ("pytorch-converted", "pytorch-operator", "simple")

ALL_ARE_DATA = ("Add", "Sub", "Mul", "Div", "Sum", "Mean", "Max", "Min", "Concat", "MatMul", "Pow", "PRelu")
"""Operators all of whose inputs depend on the network's; of others only the first does."""


ELEMENTWISE = (
    *("Add", "Celu", "Clip", "DequantizeLinear", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid"),
    *("LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Pow", "PRelu", "QuantizeLinear", "Reciprocal"),
    *("Selu", "Shrink", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu"),
)
"""Operators whose cases with vectors are run with a sample of one number for each of theirs."""


@dataclass(frozen=True)
class OnnxCase:
    """A model, the arrays of its inputs by name, and what its outputs must be."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, Array]
    expected: tuple[Array, ...]

    @property
    def folder(self) -> str:
        """Where it comes from: a folder of the package, or "node"."""
        return self.name.split("/")[0]


class FoveateRep(BackendRep):
    """A prepared model; it takes its inputs in order."""

    def __init__(self, model: fv.Model) -> None:
        self.model = model

    def run(self, inputs: Sequence[Array], **options: Any) -> tuple[Array, ...]:
        named = {
            name: np.asarray(array, np.float32) for name, array in zip(self.model.graph.inputs, inputs, strict=True)
        }
        return tuple(self.model.outputs(named, batch_size=len(inputs[0])).values())


class FoveateBackend(Backend):
    """foveate as a backend of the onnx package."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> FoveateRep:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(model, path)
            return FoveateRep(fv.from_onnx(path, engine=options.get("engine")))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


@cache
def folder_cases() -> dict[str, OnnxCase]:
    """The cases that the onnx package holds as files, by "folder/name"."""
    paths = chain.from_iterable(sorted((DATA / folder).iterdir()) for folder in FOLDERS)
    return {case.name: case for case in map(_read_case, paths)}


@cache
def node_cases(module: str) -> dict[str, OnnxCase]:
    """The cases of one operator, which the onnx package makes when the operator's module is imported.

    Left out are the same cases written in other operators ("expanded").
    """
    before = len(node_tests._NodeTestCases)
    with np.errstate(all="ignore"):
        importlib.import_module(f"{node_tests.__name__}.{module}")
    cases = {}
    for made in node_tests._NodeTestCases[before:]:
        if "_expanded" not in made.name:
            ((inputs, outputs),) = made.data_sets
            name = f"node/{made.name}"
            cases[name] = _with_constants(name, made.model, inputs, outputs)
    return cases


def error(case: OnnxCase, engine: Any) -> float:
    """The largest relative error of any output."""
    rep = FoveateBackend.prepare(case.model, engine=engine)
    made = rep.run(list(case.inputs.values()))
    return max(_relative(ours, theirs) for ours, theirs in zip(made, case.expected, strict=True))


def _relative(ours: Array, theirs: Array) -> float:
    wanted = np.asarray(theirs, np.float64)
    made = ours.reshape(wanted.shape).astype(np.float64)
    if not np.array_equal(np.isnan(made), np.isnan(wanted)):
        return np.inf
    made, wanted = np.nan_to_num(made), np.nan_to_num(wanted)
    return float(np.linalg.norm(made - wanted)) / (float(np.linalg.norm(wanted)) or 1)


def _read_case(folder: Path) -> OnnxCase:
    model = onnx.load(folder / "model.onnx")
    data = min(folder.glob("test_data_set_*"))
    inputs = [_read_array(data / f"input_{number}.pb") for number in range(len(list(data.glob("input_*.pb"))))]
    outputs = [_read_array(data / f"output_{number}.pb") for number in range(len(list(data.glob("output_*.pb"))))]
    return _with_constants(f"{folder.parent.name}/{folder.name}", model, inputs, outputs)


def _read_array(path: Path) -> Array:
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        return numpy_helper.to_array(tensor)
    except Exception:  # a sequence, or words
        return np.zeros(0)


def _with_constants(name: str, source: onnx.ModelProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> OnnxCase:
    """A case of one operator, its inputs other than the data made arrays of the file."""
    model = onnx.ModelProto()
    model.CopyFrom(source)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    names = [value.name for value in graph.input if value.name not in weights]
    every = bool(graph.node) and (len(graph.node) > 1 or graph.node[0].op_type in ALL_ARE_DATA)
    named = dict(zip(names, inputs, strict=False))
    data = named if every and min(map(np.ndim, named.values()), default=0) > 1 else dict(list(named.items())[:1])
    if every and len({len(np.atleast_1d(array)) for array in data.values()}) > 1:
        data = dict(list(named.items())[:1])
    if len(graph.node) == 1 and graph.node[0].op_type in ELEMENTWISE and set(map(np.ndim, named.values())) <= {0, 1}:
        vectors = {key: array for key, array in named.items() if np.ndim(array) == 1}
        data = _as_samples(graph, vectors if every else dict(list(named.items())[:1]))
    if len(graph.node) == 1 and graph.node[0].op_type == "Gemm" and np.shape(inputs[-1])[:1] == np.shape(inputs[0])[:1]:
        data = {key: named[key] for key in (names[0], names[-1])}  # a bias for each sample
    for value in list(graph.input):
        if value.name in named and value.name not in data:
            graph.input.remove(value)
            array = named[value.name]
            tensor = array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(np.asarray(array))
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = value.name
    return OnnxCase(name, model, {key: np.asarray(array) for key, array in data.items()}, tuple(outputs))


def _as_samples(graph: onnx.GraphProto, vectors: dict[str, Array]) -> dict[str, Array]:
    """Vectors as batches of samples of one number, in the graph too."""
    for value in graph.input:
        if value.name in vectors:
            value.type.tensor_type.shape.dim.add().dim_value = 1
    return {name: np.reshape(array, (-1, 1)) for name, array in vectors.items()}

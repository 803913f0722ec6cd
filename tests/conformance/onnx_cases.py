"""ONNX's published cases as foveate graphs: a loader for the tests, no larger than those cases need."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.backend.test.case import node as node_tests

import foveate as fv
from foveate.graph.builder import Value

Array: TypeAlias = NDArray[Any]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
FOLDERS = ("pytorch-converted", "pytorch-operator")


class UnsupportedError(Exception):
    """The case asks for something that foveate has no layer or option for."""


@dataclass(frozen=True)
class OnnxCase:
    """A model, the arrays of its inputs by name, and what its first output must be."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, Array]
    expected: Array


@dataclass(frozen=True)
class Loaded:
    """A case as foveate runs it; ONNX's output has `ones` more axes at its end, all of length 1."""

    graph: fv.Graph
    arrays: dict[str, Array]
    inputs: dict[str, Array]
    batch_size: int
    ones: int


@dataclass(frozen=True)
class Edge:
    """A value of the graph that is built; ONNX sees `ones` more axes of length 1 at its end."""

    value: Value
    ones: int = 0


@dataclass(frozen=True)
class Operator:
    """One node of the ONNX graph."""

    kind: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; words as str."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def require(self, condition: bool, what: str) -> None:
        """Raise an UnsupportedError unless `condition` holds."""
        if not condition:
            raise UnsupportedError(f"{self.kind}: {what}")


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
    importlib.import_module(f"{node_tests.__name__}.{module}")
    cases = {}
    for made in node_tests._NodeTestCases[before:]:
        if "_expanded" not in made.name:
            ((inputs, outputs),) = made.data_sets
            name = f"node/{made.name}"
            cases[name] = OnnxCase(name, made.model, _named(made.model, inputs), outputs[0])
    return cases


def load(case: OnnxCase) -> Loaded:
    """The case as a foveate graph with its arrays.

    Raises:
        UnsupportedError: foveate has no layer or option for it.
        FoveateError: foveate refuses its numbers.
    """
    return _Loader(case).load()


def _read_case(folder: Path) -> OnnxCase:
    model = onnx.load(folder / "model.onnx")
    (data,) = folder.glob("test_data_set_*")
    count = len(list(data.glob("input_*.pb")))
    inputs = [_read_array(data / f"input_{number}.pb") for number in range(count)]
    return OnnxCase(
        f"{folder.parent.name}/{folder.name}", model, _named(model, inputs), _read_array(data / "output_0.pb")
    )


def _read_array(path: Path) -> Array:
    return numpy_helper.to_array(onnx.load_tensor(path))


def _named(model: onnx.ModelProto, arrays: Sequence[Array]) -> dict[str, Array]:
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights]
    return dict(zip(names, arrays, strict=True))


class _Loader:
    """Walks an ONNX graph, each operator adding its layer; what only constants go into stays an array."""

    def __init__(self, case: OnnxCase) -> None:
        self.case = case
        self.opset = next(opset.version for opset in case.model.opset_import if opset.domain in ("", "ai.onnx"))
        self.builder = fv.GraphBuilder()
        self.edges: dict[str, Edge] = {}
        self.arrays: dict[str, Array] = {}
        self.inputs: dict[str, Array] = {}
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in case.model.graph.initializer}

    def load(self) -> Loaded:
        for node in self.case.model.graph.node:
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            self._add(Operator(node.op_type, tuple(node.input), attributes), node.output[0])
        output = self.edges[self.case.model.graph.output[0].name]
        graph = self.builder.build(output.value, quiet=True)
        (batch_size,) = {len(array) for array in self.inputs.values()}
        return Loaded(graph, self.arrays, self.inputs, batch_size, output.ones)

    def _add(self, op: Operator, output: str) -> None:
        if op.kind == "Constant":
            self.constants[output] = numpy_helper.to_array(op.get("value"))
        elif op.kind == "Transpose" and op.inputs[0] in self.constants:
            self.constants[output] = self.constants[op.inputs[0]].transpose(op.get("perm"))
        else:
            op.require(op.kind in _OPERATORS, "there is no such layer")
            self.edges[output] = _OPERATORS[op.kind](self, op)

    def edge(self, op: Operator, number: int = 0) -> Edge:
        """The operator's input as a value of the graph; one of the case's arrays becomes an input of the graph."""
        name = op.inputs[number]
        if name not in self.edges:
            op.require(name in self.case.inputs, "one of its operands is a constant")
            array = self.case.inputs[name]
            op.require(array.ndim > 1, "its input has no batch axis")
            with np.errstate(over="ignore"):
                single = array.astype(np.float32)
            op.require(np.array_equal(single, array), "its input is not exact in float32")
            self.inputs[f"input_{name}"] = single
            self.edges[name] = Edge(self.builder.input(array.shape[1:], f"input_{name}"))
        return self.edges[name]

    def optional(self, op: Operator, number: int) -> Array | None:
        """The operator's input as an array, or None where there is none."""
        return self.constant(op, number) if len(op.inputs) > number and op.inputs[number] else None

    def constant(self, op: Operator, number: int) -> Array:
        """The operator's input as an array."""
        known = self.case.inputs | self.constants
        op.require(op.inputs[number] in known, "one of its parameters is computed")
        return known[op.inputs[number]]

    def join(self, layer: fv.Layer, *edges: Edge, ones: int | None = None, **arrays: Array | None) -> Edge:
        """Add a layer whose parameters are `arrays`."""
        value = self.builder.add(layer, *(edge.value for edge in edges))
        given = {name: array for name, array in arrays.items() if array is not None}
        self.arrays |= {f"{value.name}.{name}": np.array(array, np.float32) for name, array in given.items()}
        return Edge(value, edges[0].ones if ones is None else ones)


@dataclass(frozen=True)
class _Windows:
    """Window attributes of an operator, without the axes of length 1 that ONNX has more."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Pairs

    @classmethod
    def of(cls, op: Operator, edge: Edge, kernel: Sequence[int]) -> "_Windows":
        axes, rank = len(kernel), len(edge.value.shape) - 1
        op.require(axes == rank + edge.ones, "kernel and input have different axes")
        op.require(set(kernel[rank:]) <= {1}, "windows slide over an axis of length 1")
        pads = op.get("pads", [0] * 2 * axes)
        options = [op.get("strides", [1] * axes), op.get("dilations", [1] * axes), list(_pairs(pads))]
        return cls(tuple(kernel[:rank]), *(tuple(option[:rank]) for option in options))

    def padding_for(self, op: Operator, sizes: Iterable[int]) -> Pairs | str:
        """The padding, also where it follows from the input's sizes."""
        how = op.get("auto_pad", "NOTSET")
        if how == "SAME_UPPER":
            return "same"
        if how == "SAME_LOWER":
            totals = [
                max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
                for size, kernel, stride, dilation in zip(
                    sizes, self.kernel_size, self.stride, self.dilation, strict=True
                )
            ]
            return tuple((total - total // 2, total // 2) for total in totals)
        return self.padding if how == "NOTSET" else "valid"


def _pairs(pads: Sequence[int]) -> Iterable[tuple[int, int]]:
    """ONNX lists where padding begins for every axis, and then where it ends."""
    half = len(pads) // 2
    return zip(map(int, pads[:half]), map(int, pads[half:]), strict=True)


def _spatial(name: str, edge: Edge) -> Any:
    """The layer type `name` for the number of the edge's spatial axes."""
    rank = len(edge.value.shape) - 1
    if not hasattr(fv, f"{name}{rank}d"):
        raise UnsupportedError(f"there is no {name}{rank}d")
    return getattr(fv, f"{name}{rank}d")


def _convolution(loader: _Loader, op: Operator) -> Edge:
    edge, weight, bias = loader.edge(op), loader.constant(op, 1), loader.optional(op, 2)
    windows = _Windows.of(op, edge, op.get("kernel_shape", weight.shape[2:]))
    layer = _spatial("Conv", edge)(
        len(weight),
        windows.kernel_size,
        stride=windows.stride,
        padding=windows.padding_for(op, edge.value.shape[1:]),
        dilation=windows.dilation,
        groups=op.get("group", 1),
        bias=bias is not None,
    )
    return loader.join(layer, edge, weight=weight, bias=bias)


def _transposed_convolution(loader: _Loader, op: Operator) -> Edge:
    edge, weight, bias = loader.edge(op), loader.constant(op, 1), loader.optional(op, 2)
    windows = _Windows.of(op, edge, op.get("kernel_shape", weight.shape[2:]))
    groups = op.get("group", 1)
    padding, output_padding = _transposed_padding(op, windows, edge.value.shape[1:])
    layer = _spatial("ConvTranspose", edge)(
        weight.shape[1] * groups,
        windows.kernel_size,
        stride=windows.stride,
        padding=padding,
        output_padding=output_padding,
        dilation=windows.dilation,
        groups=groups,
        bias=bias is not None,
    )
    return loader.join(layer, edge, weight=weight, bias=bias)


def _transposed_padding(op: Operator, windows: _Windows, sizes: Sequence[int]) -> tuple[Pairs, tuple[int, ...]]:
    """Padding and output padding, also where they follow from the output's sizes."""
    extra = tuple(op.get("output_padding", [0] * len(sizes)))
    how, wanted = op.get("auto_pad", "NOTSET"), op.get("output_shape")
    if wanted is None and not how.startswith("SAME"):
        return windows.padding, extra
    wanted = wanted or [size * stride for size, stride in zip(sizes, windows.stride, strict=True)]
    surplus = [
        (size - 1) * stride + dilation * (kernel - 1) + 1 - target
        for size, stride, dilation, kernel, target in zip(
            sizes, windows.stride, windows.dilation, windows.kernel_size, wanted, strict=True
        )
    ]
    halves = [(max(total, 0) // 2, max(total, 0) - max(total, 0) // 2) for total in surplus]
    padding = tuple(halves if how == "SAME_UPPER" else [(end, begin) for begin, end in halves])
    return padding, tuple(max(-total, 0) for total in surplus)


def _pooling(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    windows = _Windows.of(op, edge, op.get("kernel_shape"))
    options = {"ceil_mode": bool(op.get("ceil_mode", 0))}
    if op.kind == "AveragePool":
        options["count_include_pad"] = bool(op.get("count_include_pad", 0))
    layer = _spatial({"AveragePool": "AvgPool", "MaxPool": "MaxPool"}[op.kind], edge)(
        windows.kernel_size,
        stride=windows.stride,
        padding=windows.padding_for(op, edge.value.shape[1:]),
        dilation=windows.dilation,
        **options,
    )
    return loader.join(layer, edge)


def _global_pooling(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    name = {"GlobalAveragePool": "GlobalAvgPool", "GlobalMaxPool": "GlobalMaxPool"}[op.kind]
    return loader.join(_spatial(name, edge)(), edge, ones=edge.ones + len(edge.value.shape) - 1)


def _batch_normalization(loader: _Loader, op: Operator) -> Edge:
    op.require(not op.get("training_mode", 0), "it computes new running statistics, not the output alone")
    edge = loader.edge(op)
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: loader.constant(op, number) for number, name in enumerate(names, start=1)}
    flat = len(edge.value.shape) == 1
    layer_type = fv.BatchNorm1d if flat else _spatial("BatchNorm", edge)
    return loader.join(layer_type(eps=op.get("epsilon", 1e-5)), edge, **arrays)


def _sample_normalization(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    eps = op.get("epsilon", 1e-5)
    if op.kind == "InstanceNormalization":
        layer = _spatial("InstanceNorm", edge)(eps=eps, affine=True)
    elif op.kind == "GroupNormalization":
        layer = fv.GroupNorm(op.get("num_groups"), eps=eps)
    else:
        rank = len(edge.value.shape) + 1
        axis = op.get("axis", -1) % rank
        op.require(axis > 0, "it normalises over the batch too")
        layer = fv.LayerNorm(trailing_axes=rank - axis, eps=eps)
    return loader.join(layer, edge, weight=loader.constant(op, 1), bias=loader.constant(op, 2))


def _response_normalization(loader: _Loader, op: Operator) -> Edge:
    options = {"alpha": op.get("alpha", 1e-4), "beta": op.get("beta", 0.75), "k": op.get("bias", 1.0)}
    return loader.join(fv.LocalResponseNorm(op.get("size"), **options), loader.edge(op))


def _linear(loader: _Loader, op: Operator) -> Edge:
    """Gemm is alpha A B + beta C, MatMul is A B."""
    edge, weight, bias = loader.edge(op), loader.constant(op, 1), loader.optional(op, 2)
    op.require(not op.get("transA", 0), "the batch is its input's last axis")
    weight = op.get("alpha", 1.0) * (weight if op.get("transB", 0) else weight.T)
    if bias is not None:
        op.require(bias.size == bias.shape[-1] if bias.ndim else True, "each sample has a bias of its own")
        bias = op.get("beta", 1.0) * np.broadcast_to(bias.ravel(), len(weight))
    return loader.join(fv.Linear(len(weight), bias=bias is not None), edge, weight=weight, bias=bias)


def _prelu(loader: _Loader, op: Operator) -> Edge:
    edge, slope = loader.edge(op), loader.constant(op, 1)
    per_channel = slope.ndim == 1 if loader.opset < 7 else slope.shape[1:] == (1,) * (len(edge.value.shape) - 1)
    op.require(slope.size == 1 or per_channel, "its slopes are not one for each channel")
    return loader.join(fv.PReLU(per_channel=slope.size > 1), edge, weight=slope.ravel())


def _pad(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    pads, value, axes = _pad_options(loader, op, len(edge.value.shape) + 1)
    mode = op.get("mode", "constant")
    op.require(mode != "constant" or value == 0, f"it pads with {value}")
    pairs = [(0, 0)] * (len(edge.value.shape) + 1)
    for axis, pair in zip(axes, _pairs(pads), strict=True):
        pairs[axis] = pair
    op.require(pairs[0] == (0, 0), "it pads the batch")
    if mode == "constant":
        return loader.join(fv.Pad(tuple(pairs[1:])), edge)
    op.require(pairs[1] == (0, 0), "it mirrors channels")
    channels, *sizes = edge.value.shape
    name = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}[mode]
    identity = _spatial("Conv", edge)(
        channels, 1, padding=tuple(pairs[2:]), groups=channels, bias=False, padding_mode=name
    )
    return loader.join(identity, edge, weight=np.ones((channels, 1, *[1] * len(sizes)), np.float32))


def _pad_options(loader: _Loader, op: Operator, rank: int) -> tuple[Sequence[int], float, Sequence[int]]:
    """Pads, value and axes, which were attributes before version 11."""
    if "pads" in op.attributes:
        return op.get("pads"), op.get("value", 0.0), range(rank)
    pads, value, axes = loader.constant(op, 1), loader.optional(op, 2), loader.optional(op, 3)
    return pads.tolist(), 0.0 if value is None else float(value), range(rank) if axes is None else axes.tolist()


def _softmax(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    rank = len(edge.value.shape) + 1
    op.require(op.get("axis", 1 if loader.opset < 13 else -1) % rank == 1, "it is not over the channels")
    op.require(loader.opset >= 13 or rank == 2, "before version 13 it is over the channels and all positions")
    return loader.join(getattr(fv, op.kind)(), edge)


def _flatten(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    op.require(op.get("axis", 1) % (len(edge.value.shape) + 1 + edge.ones) == 1, "it flattens the batch too")
    return loader.join(fv.Flatten(), edge, ones=0)


def _concatenation(loader: _Loader, op: Operator) -> Edge:
    edges = [loader.edge(op, number) for number in range(len(op.inputs))]
    rank = len(edges[0].value.shape) + 1
    op.require(op.get("axis") % rank == 1, "it is not along the channels")
    return loader.join(fv.Concatenate(), *edges)


def _joined(layer_type: Callable[[], fv.Layer]) -> Callable[[_Loader, Operator], Edge]:
    def add(loader: _Loader, op: Operator) -> Edge:
        first, second = loader.edge(op, 0), loader.edge(op, 1)
        op.require(len(first.value.shape) == len(second.value.shape), "it repeats an operand along missing axes")
        return loader.join(layer_type(), first, second)

    return add


def _unsqueeze(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    op.require(op.get("axes") == [len(edge.value.shape) + 1 + edge.ones], "the new axis is not the last")
    return Edge(edge.value, edge.ones + 1)


def _squeeze(loader: _Loader, op: Operator) -> Edge:
    edge = loader.edge(op)
    op.require(edge.ones > 0 and op.get("axes") == [len(edge.value.shape) + edge.ones], "no last axis of length 1")
    return Edge(edge.value, edge.ones - 1)


def _activation(make: Callable[[Operator], fv.Layer]) -> Callable[[_Loader, Operator], Edge]:
    return lambda loader, op: loader.join(make(op), loader.edge(op))


_OPERATORS: dict[str, Callable[[_Loader, Operator], Edge]] = {
    "Add": _joined(fv.Add),
    "AveragePool": _pooling,
    "BatchNormalization": _batch_normalization,
    "Concat": _concatenation,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Elu": _activation(lambda op: fv.ELU(op.get("alpha", 1.0))),
    "Flatten": _flatten,
    "Gelu": _activation(lambda op: fv.GELU(op.get("approximate", "none"))),
    "Gemm": _linear,
    "GlobalAveragePool": _global_pooling,
    "GlobalMaxPool": _global_pooling,
    "GroupNormalization": _sample_normalization,
    "HardSwish": _activation(lambda _: fv.Hardswish()),
    "InstanceNormalization": _sample_normalization,
    "LRN": _response_normalization,
    "LayerNormalization": _sample_normalization,
    "LeakyRelu": _activation(lambda op: fv.LeakyReLU(op.get("alpha", 0.01))),
    "LogSoftmax": _softmax,
    "MatMul": _linear,
    "MaxPool": _pooling,
    "Mul": _joined(fv.Multiply),
    "PRelu": _prelu,
    "Pad": _pad,
    "Relu": _activation(lambda _: fv.ReLU()),
    "Sigmoid": _activation(lambda _: fv.Sigmoid()),
    "Softmax": _softmax,
    "Softplus": _activation(lambda _: fv.Softplus()),
    "Squeeze": _squeeze,
    "Tanh": _activation(lambda _: fv.Tanh()),
    "Unsqueeze": _unsqueeze,
}

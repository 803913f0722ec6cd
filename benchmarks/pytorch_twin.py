"""A foveate graph as the PyTorch model that a PyTorch user would write for it, with the same names.

A chain of layers becomes an nn.Sequential. Any other graph becomes, by torch.fx, a module whose forward is plain Python
code, line by line as one writes it, so activations are let go as early as in code written by hand.
"""

import operator
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import reduce, singledispatch
from math import inf
from typing import Any, TypeAlias

import torch
from torch import fx, nn
from torch.nn import functional

from benchmarks.errors import BenchmarkError
from benchmarks.exchange import Array
from foveate.graph import Graph, Node
from foveate.layers import ELU, Add, Concatenate, Dropout, Flatten, Layer, LeakyReLU, Linear, Pad, ReLU, Sigmoid, Tanh
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.pooling import AveragePooling, GlobalAveragePooling, MaxPooling, Pooling

Parts: TypeAlias = list[tuple[str, nn.Module]]
"""What one layer becomes: modules one after the other, each with what its name has after the layer's."""

Pairs: TypeAlias = Sequence[tuple[int, int]]

_CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_MAX_POOLS: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE_POOLS: dict[int, type[nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_GLOBAL_POOLS: dict[int, type[nn.Module]] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
_NORMALIZATIONS: dict[int, type[nn.Module]] = {
    0: nn.BatchNorm1d,
    1: nn.BatchNorm1d,
    2: nn.BatchNorm2d,
    3: nn.BatchNorm3d,
}


class Padding(nn.Module):
    """Padding with a constant; `pairs` are (begin, end) for the last axes."""

    def __init__(self, pairs: Pairs, value: float = 0.0) -> None:
        super().__init__()
        self.amounts = [amount for pair in reversed(pairs) for amount in pair]
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The padded tensor."""
        return functional.pad(x, self.amounts, value=self.value)


class Subsampling(nn.Module):
    """Every n-th position of each spatial axis."""

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.index = (slice(None), slice(None), *(slice(None, None, stride) for stride in strides))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The view of `x`."""
        return x[self.index]


def twin(graph: Graph) -> nn.Module:
    """A PyTorch model that computes what `graph` does; its parameters are PyTorch's own until `load_arrays`.

    Raises:
        BenchmarkError: a layer has no counterpart in PyTorch, or the graph has several inputs or outputs.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise BenchmarkError(f"{graph.name} has several inputs or outputs; only networks with one of each are compared")
    return _sequential(graph) if _is_chain(graph) else _module(graph)


def load_arrays(module: nn.Module, arrays: Mapping[str, Array]) -> None:
    """Copy foveate's parameters and statistics, by their names, into the twin."""
    own = module.state_dict()
    tensors = {name: torch.from_numpy(array).to(own[name].dtype) for name, array in arrays.items() if name in own}
    strange = [*(set(arrays) - set(own)), *(name for name in set(own) - set(arrays) if not _is_counter(name))]
    if strange:
        raise BenchmarkError(f"foveate and its PyTorch twin name arrays differently: {', '.join(sorted(strange))}")
    module.load_state_dict(tensors, strict=False)


def decay_groups(module: nn.Module, graph: Graph, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for PyTorch's optimisers: like foveate, biases and normalisation are spared the decay."""
    named = dict(module.named_parameters())
    decayed = [named[name] for name, parameter in graph.parameters.items() if parameter.decay]
    spared = [named[name] for name, parameter in graph.parameters.items() if not parameter.decay]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _is_chain(graph: Graph) -> bool:
    before = [graph.only_input, *(node.name for node in graph.nodes)]
    follows = all(node.inputs == (name,) for node, name in zip(graph.nodes, before, strict=False))
    plain = all("." not in node.name and node.parameters == node.name for node in graph.nodes)
    return follows and plain and graph.only_output == before[-1]


def _sequential(graph: Graph) -> nn.Module:
    return nn.Sequential(
        OrderedDict((node.name + suffix, part) for node in graph.nodes for suffix, part in parts(node.layer, node))
    )


def _module(graph: Graph) -> nn.Module:
    """Like code written by hand: one line a layer, in the graph's order."""
    code = fx.Graph()
    modules: dict[str, nn.Module] = {}
    values = {graph.only_input: code.placeholder("x")}
    for node in graph.nodes:
        values[node.name] = _line(code, modules, node, [values[name] for name in node.inputs])
    code.output(values[graph.only_output])
    return fx.GraphModule(modules, code, class_name=graph.name)


def _line(code: fx.Graph, modules: dict[str, nn.Module], node: Node, inputs: list[fx.Node]) -> fx.Node:
    if isinstance(node.layer, Add):
        return reduce(lambda left, right: code.call_function(operator.add, (left, right)), inputs)
    if isinstance(node.layer, Concatenate):
        return code.call_function(torch.cat, (inputs, 1))
    (value,) = inputs
    for suffix, part in parts(node.layer, node):
        target = node.parameters + suffix
        modules.setdefault(target, part)
        value = code.call_module(target, (value,))
    return value


@singledispatch
def parts(layer: Layer, node: Node) -> Parts:
    """The modules of `layer` at its place `node`."""
    raise BenchmarkError(f"{node} has no PyTorch twin; add one to benchmarks/pytorch_twin.py")


@parts.register
def _(layer: Convolution, node: Node) -> Parts:
    pairs = _padding(node)
    convolution = _CONVOLUTIONS[layer.spatial_axes](
        node.input_shapes[0][0],
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=tuple(begin for begin, _ in pairs) if _symmetric(pairs) else 0,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
    )
    return [("", convolution)] if _symmetric(pairs) else [("_padding", Padding(pairs)), ("", convolution)]


@parts.register
def _(layer: MaxPooling, node: Node) -> Parts:
    pairs = _padding(node)
    if set(layer.kernel_size) == {1} and not any(map(any, pairs)):
        return [("", Subsampling(layer.stride))]
    make = _MAX_POOLS[layer.spatial_axes]
    padding = _pooling_padding(layer, pairs)
    if padding is None:
        _refuse_ceil_mode(layer.ceil_mode, node)
        return [("_padding", Padding(pairs, -inf)), ("", make(layer.kernel_size, layer.stride, 0, layer.dilation))]
    return [("", make(layer.kernel_size, layer.stride, padding, layer.dilation, ceil_mode=layer.ceil_mode))]


@parts.register
def _(layer: AveragePooling, node: Node) -> Parts:
    pairs = _padding(node)
    make = _AVERAGE_POOLS[layer.spatial_axes]
    padding = _pooling_padding(layer, pairs)
    if padding is None:
        _refuse_ceil_mode(layer.ceil_mode or not layer.count_include_pad, node)
        return [("_padding", Padding(pairs)), ("", make(layer.kernel_size, layer.stride))]
    return [("", make(layer.kernel_size, layer.stride, padding, layer.ceil_mode, layer.count_include_pad))]


@parts.register
def _(layer: GlobalAveragePooling, node: Node) -> Parts:
    return [("", _GLOBAL_POOLS[layer.spatial_axes](1)), ("_flatten", nn.Flatten())]


@parts.register
def _(layer: BatchNormalization, node: Node) -> Parts:
    if layer.frozen:
        raise BenchmarkError(f"{node} is frozen, which a PyTorch model cannot say of one layer; train it unfrozen")
    channels, *spatial = node.input_shapes[0]
    make = _NORMALIZATIONS[len(spatial)]
    return [("", make(channels, eps=layer.eps, momentum=layer.momentum, affine=layer.affine))]


@parts.register
def _(layer: Linear, node: Node) -> Parts:
    return [("", nn.Linear(node.input_shapes[0][0], layer.out_features, bias=layer.bias))]


@parts.register
def _(layer: Pad, node: Node) -> Parts:
    return [("", Padding(layer.padding))]


@parts.register
def _(layer: Flatten, node: Node) -> Parts:
    return [("", nn.Flatten())]


@parts.register
def _(layer: Dropout, node: Node) -> Parts:
    return [("", nn.Dropout(layer.rate))]


@parts.register
def _(layer: ReLU, node: Node) -> Parts:
    return [("", nn.ReLU())]


@parts.register
def _(layer: LeakyReLU, node: Node) -> Parts:
    return [("", nn.LeakyReLU(layer.slope))]


@parts.register
def _(layer: ELU, node: Node) -> Parts:
    return [("", nn.ELU(layer.alpha))]


@parts.register
def _(layer: Sigmoid, node: Node) -> Parts:
    return [("", nn.Sigmoid())]


@parts.register
def _(layer: Tanh, node: Node) -> Parts:
    return [("", nn.Tanh())]


def _padding(node: Node) -> Pairs:
    """(begin, end) of each axis, "same" resolved."""
    return [window.padding for window in node.layer.windows(node.input_shapes) or ()]


def _symmetric(pairs: Pairs) -> bool:
    return all(begin == end for begin, end in pairs)


def _pooling_padding(layer: Pooling, pairs: Pairs) -> tuple[int, ...] | None:
    """Padding as PyTorch's pooling takes it, or None where it does not: one for both sides, at most half a window."""
    halves = [size // 2 for size in layer.kernel_size]
    if not _symmetric(pairs) or any(begin > half for (begin, _), half in zip(pairs, halves, strict=True)):
        return None
    return tuple(begin for begin, _ in pairs)


def _refuse_ceil_mode(refused: bool, node: Node) -> None:
    if refused:
        raise BenchmarkError(f"{node} pads in a way that PyTorch's pooling has no words for; it has no twin")

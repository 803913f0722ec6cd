"""How each node computes on tensors: with the modules of the table, by a rule of its own, or in NumPy."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from foveate.engines import definitions
from foveate.engines.definitions import definition_of
from foveate.engines.group import Group
from foveate.engines.reference.structure import RANDOM_BITS
from foveate.engines.torch.arrays import TYPES, to_numpy, to_tensor
from foveate.engines.torch.joining import joined
from foveate.engines.torch.modules import Parts, parts
from foveate.engines.torch.precision import keeps_float32
from foveate.engines.torch.synchronised import normalized
from foveate.errors import EngineError
from foveate.graph import Node
from foveate.layers import Dropout, SpatialDropout
from foveate.layers.normalization import BatchNormalization
from foveate.layers.pooling import LPPooling
from foveate.layers.registry import built_in_layers

Tensors: TypeAlias = Sequence[torch.Tensor]
ByName: TypeAlias = Mapping[str, torch.Tensor]


@dataclass
class Context:
    """What a form may need in addition to its tensors; a normalisation that measures replaces `statistics`.

    With a `group`, it measures over all its processes.
    """

    training: bool
    statistics: dict[str, torch.Tensor]
    random: Callable[[int], NDArray[np.uint64]]
    group: Group | None = None


Form: TypeAlias = Callable[[Tensors, ByName, Context], torch.Tensor]
"""form(inputs, parameters, context) -> output; parameters and statistics by their short names"""


@dataclass(frozen=True)
class Operation:
    """A node with the form that computes it, and the name that a list of steps gives this form.

    `parameters` and `statistics` are the full names of the node's arrays by their short ones.
    """

    node: Node
    compute: Form
    implementation: str
    parameters: Mapping[str, str]
    statistics: Mapping[str, str]

    @property
    def keeps_float32(self) -> bool:
        """Whether it computes in float32 even if others do in bfloat16."""
        return self.implementation == "numpy" or keeps_float32(self.node)


def operation_of(node: Node, dtype: type[np.floating], device: torch.device) -> Operation:
    """How `node` computes on `device`; what has no form in PyTorch runs in NumPy.

    Raises:
        EngineError: no engine knows how the layer computes.
    """
    compute, implementation = _form_of(node, dtype, device)
    parameters = _full(node, node.layer.parameters(node.input_shapes))
    return Operation(node, compute, implementation, parameters, _full(node, node.layer.statistics(node.input_shapes)))


def _full(node: Node, names: Iterable[str]) -> dict[str, str]:
    return {name: f"{node.parameters}.{name}" for name in names}


def _form_of(node: Node, dtype: type[np.floating], device: torch.device) -> tuple[Form, str]:
    layer, kind = node.layer, type(node.layer)
    if isinstance(layer, BatchNormalization):
        return _BatchNorm(layer), "torch"
    if isinstance(layer, Dropout | SpatialDropout):
        return _Dropout(layer), "torch"
    if isinstance(layer, LPPooling) and _pads_far(node, layer):
        return _InNumPy(node), "numpy"
    try:
        if kind in built_in_layers() and layer.inputs_expected != (1, 1):
            return _Joined(node), "torch"
        if kind in built_in_layers() or kind in parts.registry:
            return _Modules(_made(node, dtype, device)), "torch"
    except EngineError:
        pass  # PyTorch cannot express this one
    return _InNumPy(node), "numpy"


def _pads_far(node: Node, layer: LPPooling) -> bool:
    """Whether PyTorch's modules, which pad what they then pool, would write many times the input."""
    windows, sizes = layer.windows(node.input_shapes), node.input_shapes[0][1:]
    return prod(size + sum(window.padding) for size, window in zip(sizes, windows, strict=True)) > 100 * prod(sizes)


def _made(node: Node, dtype: type[np.floating], device: torch.device) -> Parts:
    """The modules of the table, without memory for parameters: those of a state take their places."""
    with torch.device("meta"):
        made = parts(node.layer, node)
    if not any(True for _, module in made for _ in module.buffers()):
        return made
    return [(suffix, module.to(device, TYPES[dtype])) for suffix, module in parts(node.layer, node)]


class _Modules:
    """Modules in sequence; each session has its own, because they hold the parameters of the last state."""

    def __init__(self, made: Parts) -> None:
        self._modules = [module for _, module in made]
        self._holder = next(module for suffix, module in made if not suffix)

    def __call__(self, inputs: Tensors, parameters: ByName, context: Context) -> torch.Tensor:
        self._holder._parameters.update(parameters)  # type: ignore[arg-type]  # any tensor will do
        (x,) = inputs
        for module in self._modules:
            x = module(x)
        return x


@dataclass
class _Joined:
    node: Node

    def __call__(self, inputs: Tensors, parameters: ByName, context: Context) -> torch.Tensor:
        output: torch.Tensor = joined(self.node.layer, self.node, inputs)
        return output


@dataclass
class _BatchNorm:
    layer: BatchNormalization

    def __call__(self, inputs: Tensors, parameters: ByName, context: Context) -> torch.Tensor:
        layer, old = self.layer, context.statistics
        if context.training and context.group is not None:
            return self._over_group(inputs[0], parameters, context, context.group)
        if context.training:  # the old ones stay until the step is known to count
            context.statistics = {name: tensor.clone() for name, tensor in old.items()}
        mean, var = context.statistics["running_mean"], context.statistics["running_var"]
        weight, bias = parameters.get("weight"), parameters.get("bias")
        return functional.batch_norm(inputs[0], mean, var, weight, bias, context.training, layer.momentum, layer.eps)

    def _over_group(self, x: torch.Tensor, parameters: ByName, context: Context, group: Group) -> torch.Tensor:
        like = next(iter(context.statistics.values()))
        y, context.statistics = normalized(self.layer, x.to(like.dtype), context.statistics, group)
        if not self.layer.affine:
            return y
        weight, bias = (parameters[name].reshape(-1, *(1,) * (x.ndim - 2)) for name in ("weight", "bias"))
        return y * weight + bias


@dataclass
class _Dropout:
    """Drops what the other engines drop: the numbers are drawn by NumPy, and decisions go to the device."""

    layer: Dropout | SpatialDropout

    def __call__(self, inputs: Tensors, parameters: ByName, context: Context) -> torch.Tensor:
        (x,) = inputs
        if not context.training:
            return x
        whole = isinstance(self.layer, SpatialDropout)
        shape = (*x.shape[:2], *(1,) * (x.ndim - 2)) if whole else tuple(x.shape)
        fraction = context.random(prod(shape)) >> np.uint64(64 - RANDOM_BITS)
        kept = fraction >= np.uint64(round(self.layer.rate * 2**RANDOM_BITS))
        return x * (to_tensor(kept.reshape(shape), x.device).to(x.dtype) / (1 - self.layer.rate))


@dataclass
class _InNumPy:
    node: Node

    def __post_init__(self) -> None:
        definition_of(self.node.layer)

    def __call__(self, inputs: Tensors, parameters: ByName, context: Context) -> torch.Tensor:
        own = definitions.Context(context.training, {}, context.random)
        call = _Call(self.node, tuple(parameters), own)
        output: torch.Tensor = _Defined.apply(call, *inputs, *parameters.values())  # type: ignore[no-untyped-call]
        return output


@dataclass
class _Call:
    """One run of a definition, from forward to backward."""

    node: Node
    names: tuple[str, ...]
    context: definitions.Context
    inputs: list[NDArray[Any]] = field(default_factory=list)
    parameters: dict[str, NDArray[Any]] = field(default_factory=dict)
    output: NDArray[Any] | None = None


class _Defined(torch.autograd.Function):
    """A layer's definition in NumPy, forward and backward."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: torch.Tensor) -> torch.Tensor:
        count, like = len(tensors) - len(call.names), tensors[0]
        arrays = [to_numpy(tensor) for tensor in tensors]
        call.inputs, call.parameters = arrays[:count], dict(zip(call.names, arrays[count:], strict=True))
        layer = call.node.layer
        call.output = definition_of(layer).forward(layer, call.inputs, call.parameters, call.context)
        ctx.call = call
        return to_tensor(np.array(call.output), like.device).to(like.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        call: _Call = ctx.call
        layer = call.node.layer
        assert call.output is not None
        to_inputs, to_parameters = definition_of(layer).backward(
            layer, call.inputs, call.parameters, call.output, to_numpy(gradient), call.context
        )
        found = [*to_inputs, *(to_parameters.get(name) for name in call.names)]
        return None, *(
            None if array is None else to_tensor(np.array(array), gradient.device).to(gradient.dtype) for array in found
        )

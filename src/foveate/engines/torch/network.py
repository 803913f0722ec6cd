"""A graph as the PyTorch model that a PyTorch user would write for it, with the same names.

A chain of layers becomes an nn.Sequential. With torch.fx, any other graph becomes a module whose forward is plain
Python code, with a line for each layer, so activations are freed as early as in code written by hand. Both can be
pickled and compiled, and hold only modules of torch.nn and those of `own`.
"""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import fx, nn
from torch.fx.proxy import GraphAppendingTracer

from foveate.engines.base import FloatArray
from foveate.engines.torch.joining import joined
from foveate.engines.torch.modules import Parts, parts
from foveate.errors import EngineError
from foveate.graph import Graph, Node
from foveate.layers.normalization import BatchNormalization

_TAKEN = {
    *("", "weight", "bias", "running_mean", "running_var", "about"),
    *(name for module in (nn.Sequential(), fx.GraphModule({}, fx.Graph())) for name in dir(module)),
}
"""Names that no module can have, because they mean something else to its parent."""


def torch_network(graph: Graph, frozen: frozenset[str] = frozenset()) -> nn.Module:
    """A PyTorch model that computes what `graph` does; until `load_arrays`, its parameters are PyTorch's initial ones.

    It takes the graph's inputs in order, and returns the only output, or a tuple of all outputs.

    Args:
        graph: the network.
        frozen: names of frozen parameters, and of statistics that are used but not measured.

    Raises:
        EngineError: PyTorch has no counterpart of a layer, or of how it shares its statistics.
    """
    module = _sequential(graph, frozen) if _is_chain(graph) else _module(graph, frozen)
    parameters, names = dict(module.named_parameters(remove_duplicate=False)), torch_names(graph)
    for name, parameter in graph.parameters.items():
        if name in frozen or not parameter.trainable:
            parameters[names[name]].requires_grad_(False)
    return module


def torch_names(graph: Graph) -> dict[str, str]:
    """The name of each parameter and statistic of `graph` in its PyTorch model; mostly the same."""
    return {
        name: f"{torch_path(name.rpartition('.')[0])}.{name.rpartition('.')[2]}"
        for name in (*graph.parameters, *graph.statistics)
    }


def torch_path(name: str) -> str:
    """A layer's name as a path of modules; a part that means something else to nn.Module gets a "_"."""
    return ".".join(f"{part}_" if part.rstrip("_") in _TAKEN else part for part in name.split("."))


def load_arrays(module: nn.Module, graph: Graph, arrays: Mapping[str, FloatArray]) -> None:
    """Copy the arrays of `graph`, by name, into the module that `torch_network` made for it.

    Raises:
        EngineError: the arrays are another network's.
    """
    own, names = module.state_dict(), torch_names(graph)
    strange = sorted(set(arrays) ^ set(names))
    if strange:
        raise EngineError(f"these arrays are not those of {graph.name}: {', '.join(strange)}")
    with torch.no_grad():
        for name, array in arrays.items():
            own[names[name]].copy_(torch.from_numpy(array))


def _is_chain(graph: Graph) -> bool:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return False
    before = [graph.only_input, *(node.name for node in graph.nodes)]
    follows = all(node.inputs == (name,) for node, name in zip(graph.nodes, before, strict=False))
    plain = all("." not in node.name and node.parameters == node.name for node in graph.nodes)
    return follows and plain and graph.only_output == before[-1] and not any(map(_joins, graph.nodes))


def _joins(node: Node) -> bool:
    return node.layer.inputs_expected != (1, 1)


def _sequential(graph: Graph, frozen: frozenset[str]) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            (_target(graph, node, suffix), part) for node in graph.nodes for suffix, part in _parts(node, frozen)
        )
    )


def _module(graph: Graph, frozen: frozenset[str]) -> nn.Module:
    """A module like code written by hand: one line per layer, in the graph's order."""
    code, modules = fx.Graph(), dict[str, nn.Module]()
    tracer = GraphAppendingTracer(code)
    values = {name: code.placeholder(name if name.isidentifier() else "x") for name in graph.inputs}
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        if _joins(node):
            values[node.name] = joined(node.layer, node, [fx.Proxy(value, tracer) for value in inputs]).node
        else:
            value = inputs[0]
            for suffix, part in _parts(node, frozen):
                target = _placed(modules, _target(graph, node, suffix), node, part)
                value = code.call_module(target, (value,))
            values[node.name] = value
    outputs = tuple(values[name] for name in graph.outputs)
    code.output(outputs[0] if len(outputs) == 1 else outputs)
    name = "".join(letter if letter.isalnum() else "_" for letter in graph.name)
    return fx.GraphModule(modules, code, class_name=name if name.isidentifier() else f"Network_{name}")


def _target(graph: Graph, node: Node, suffix: str) -> str:
    """The path of a node's module; the module with parameters is at their path."""
    holds = node.layer.parameters(node.input_shapes) or node.layer.statistics(node.input_shapes)
    if not suffix:
        return torch_path(node.parameters if holds else node.name)
    while node.name + suffix in graph.by_name:
        suffix += "_"
    return torch_path(node.name) + suffix


def _placed(modules: dict[str, nn.Module], target: str, node: Node, part: nn.Module) -> str:
    """Put a module at its target, where another node may have put an equal one, and return its place."""
    first = modules.setdefault(target, part)
    if repr(first) == repr(part):
        return target
    if part._buffers:  # which PyTorch moves to another type or device one by one
        raise EngineError(
            f'{node} shares running statistics with another layer as "{node.parameters}", but has other options, '
            "which PyTorch cannot express. Give both the same options, or parameters of their own"
        )
    part._parameters.update(first._parameters)  # the same parameters, but other steps or borders
    modules[torch_path(node.name)] = part
    return torch_path(node.name)


def _parts(node: Node, frozen: frozenset[str]) -> Parts:
    """The modules of the table; a normalisation whose statistics are frozen is written as one that is frozen itself.

    Its parameters say whether its scale and shift learn.
    """
    statistics = {f"{node.parameters}.{name}" for name in node.layer.statistics(node.input_shapes)}
    alone = isinstance(node.layer, BatchNormalization) and statistics & frozen
    return parts(node.layer.with_options(frozen=True) if alone else node.layer, node)

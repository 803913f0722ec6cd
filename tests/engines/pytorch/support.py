"""One way to run a graph as a PyTorch module, as `tests.support.run` runs it in an engine."""

import torch
from torch import nn

from foveate.engines.base import Mode
from foveate.engines.torch import load_arrays, torch_names, torch_network
from foveate.graph import Graph
from tests.support import Array, Arrays, Run


def made(graph: Graph, arrays: Arrays, mode: Mode = "training") -> nn.Module:
    """The module in float64, with `arrays`."""
    module = torch_network(graph).double().train(mode == "training")
    load_arrays(module, graph, arrays)
    return module


def run_module(module: nn.Module, graph: Graph, inputs: Arrays, seed: Array) -> Run:
    """The output, and the gradients of every input and parameter; nothing is frozen here."""
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in inputs.items()}
    parameters, names = dict(module.named_parameters(remove_duplicate=False)), torch_names(graph)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    output = module(*tensors.values())
    tensors |= {name: parameters[names[name]] for name in graph.parameters}
    gradients = torch.autograd.grad(output, list(tensors.values()), torch.tensor(seed))
    return Run(output.detach().numpy(), {name: g.numpy() for name, g in zip(tensors, gradients, strict=True)})

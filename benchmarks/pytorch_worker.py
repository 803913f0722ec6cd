"""A worker that runs PyTorch in one mode, from the arrays that foveate's worker wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.exchange import Exchange
from benchmarks.modes import AS_WRITTEN, MODES, Mode
from benchmarks.networks import network
from benchmarks.workers import CHECKED_STEPS, MOMENTUM, TIMING_RATE, WEIGHT_DECAY, Job, Prepared, serve
from foveate.engines.torch import load_arrays, torch_names, torch_network
from foveate.graph import Graph

WARM_UP = 3
"""Runs before anything is timed; torch.compile compiles in the first ones."""

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

Model = Callable[[torch.Tensor], torch.Tensor]


def prepare(job: Job) -> Prepared:
    """Write the network in PyTorch, bring it into the mode's layout, compile it, and run the steps that are checked."""
    torch.set_num_threads(job.threads)
    torch.compiler.reset()
    mode, graph, exchange = MODES[job.mode], network(job.net, job.kind), Exchange.read(Path(job.arrays))
    module = torch_network(graph)
    load_arrays(module, graph, exchange.state)
    inputs = torch.from_numpy(exchange.inputs)
    if mode.channels_last and inputs.dim() in _CHANNELS_LAST:
        layout = _CHANNELS_LAST[inputs.dim()]
        module.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs know it for tensors only
        inputs = inputs.to(memory_format=layout)
    if job.kind == "train":
        return _training(graph, module, mode, inputs, exchange)
    return _inference(module, mode, inputs)


def _training(graph: Graph, module: nn.Module, mode: Mode, inputs: torch.Tensor, exchange: Exchange) -> Prepared:
    groups, fused = decay_groups(module, graph, WEIGHT_DECAY), mode is not AS_WRITTEN
    rate, targets = exchange.learning_rate, torch.from_numpy(exchange.targets)
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True, fused=fused or None)
    model: Model = torch.compile(module, dynamic=False) if mode.compiled else module

    def step() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()

    losses = [step() for _ in range(CHECKED_STEPS)]
    for group in optimizer.param_groups:
        group["lr"] = TIMING_RATE
    for _ in range(WARM_UP):
        step()
    return Prepared(step, {"losses": losses})


def decay_groups(module: nn.Module, graph: Graph, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for PyTorch's optimisers: like foveate, biases and normalisation are spared the decay."""
    named, names = dict(module.named_parameters(remove_duplicate=False)), torch_names(graph)
    decayed = [named[names[name]] for name, parameter in graph.parameters.items() if parameter.decay]
    spared = [named[names[name]] for name, parameter in graph.parameters.items() if not parameter.decay]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def _inference(module: nn.Module, mode: Mode, inputs: torch.Tensor) -> Prepared:
    module.eval()
    # Freezing folds normalisation and packs the weights: the best that torch.compile offers on a CPU.
    model: Model = torch.compile(module, dynamic=False, options={"freezing": True}) if mode.compiled else module

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return model(inputs)

    output = forward()
    for _ in range(WARM_UP):
        forward()
    return Prepared(forward, {"output": output.reshape(-1).tolist()})


if __name__ == "__main__":
    serve(prepare)

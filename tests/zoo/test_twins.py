"""Loss and gradients of a training step, against the same network written in PyTorch with the same parameters."""

from dataclasses import replace
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from foveate.engines import Engine, get_engine
from foveate.graph import Graph
from foveate.zoo import make
from tests.support import Array, Arrays, beyond, normal, random_arrays, relative_error, state_with
from tests.zoo.torch_twins import TWINS

BATCH = 4
CLASSES = 5
SHAPE = (3, 64, 64)
LABELS = np.array([1, 4, 0, 2])
BATCHES = {"resnet18": 11, "mobilenet_v2": 25, "googlenet": 26}
"""Seeds of batches in which rounding to float32 turns hardly a ReLU or a maximum over."""

every_twin = pytest.mark.parametrize("name", TWINS)


@cache
def example(name: str, *, smooth: bool = False) -> tuple[Graph, Arrays, Array]:
    """The network without dropout, arrays for it and a batch.

    A `smooth` one has Tanh for its rectifiers and means for its maxima: where float32 is compared with float64, a
    single rectifier or maximum that rounding turns over would change gradients by a percent, and which ones turn
    differs from processor to processor.
    """
    graph = make(name, input_shape=SHAPE, classes=CLASSES)
    others = {fv.Dropout: fv.Dropout(0.0)} | ({fv.ReLU: fv.Tanh(), fv.ReLU6: fv.Tanh()} if smooth else {})
    nodes = [replace(node, layer=others.get(type(node.layer), node.layer)) for node in graph.nodes]
    if smooth:
        nodes = [replace(node, layer=mean_instead(node.layer)) for node in nodes]
    graph = replace(graph, nodes=tuple(nodes))
    return graph, random_arrays(graph, seed=3), normal((BATCH, *SHAPE), BATCHES[name])


def mean_instead(layer: fv.Layer) -> fv.Layer:
    """A mean over the same windows where the layer takes a maximum."""
    if not isinstance(layer, fv.MaxPool2d):
        return layer
    options = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "ceil_mode")}
    return fv.AvgPool2d(**options, count_include_pad=False)


def torchvision_name(name: str) -> str:
    return name.replace(".shortcut.", ".downsample.")


@cache
def torch_step(name: str, dtype: torch.dtype, *, smooth: bool = False) -> tuple[float, Arrays]:
    """Loss, gradients and the running statistics after the step, in PyTorch."""
    graph, arrays, x = example(name, smooth=smooth)
    twin = TWINS[name](CLASSES)
    named = {torchvision_name(key): torch.tensor(array) for key, array in arrays.items()}
    missing, unexpected = twin.load_state_dict(named, strict=False)
    assert unexpected == []
    assert {key.rsplit(".", 1)[1] for key in missing} <= {"num_batches_tracked"}
    twin = twin.to(dtype).train()
    for module in twin.modules() if smooth else ():
        for child, rectifier in module.named_children():
            if isinstance(rectifier, (nn.ReLU, nn.ReLU6)):
                setattr(module, child, nn.Tanh())
            if isinstance(rectifier, nn.MaxPool2d):
                pool = rectifier
                mean = nn.AvgPool2d(
                    pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, count_include_pad=False
                )
                setattr(module, child, mean)
    with patch("torch.relu", torch.tanh if smooth else torch.relu):
        outputs = twin(torch.tensor(x, dtype=dtype))
    loss = nn.functional.cross_entropy(outputs, torch.tensor(LABELS))
    loss.backward()
    gradients, state = dict(twin.named_parameters()), twin.state_dict()
    measured = {key: gradients[torchvision_name(key)].grad.double().numpy() for key in graph.parameters}
    measured |= {key: state[torchvision_name(key)].double().numpy() for key in graph.statistics}
    return loss.item(), measured


@cache
def typical(name: str, *, smooth: bool = False) -> float:
    """Root mean square of all gradients: a shift that the next normalisation removes has none but rounding."""
    gradients = joined(example(name)[0], torch_step(name, torch.float64, smooth=smooth)[1])
    return float(np.sqrt(np.mean(gradients**2)))


def joined(graph: Graph, measured: Arrays) -> Array:
    """All parameter gradients as one vector."""
    return np.concatenate([measured[key].ravel() for key in graph.parameters])


@cache
def step(engine: Engine, name: str, *, smooth: bool = False) -> tuple[float, Arrays]:
    """The same in an engine."""
    graph, arrays, x = example(name, smooth=smooth)
    state = state_with(engine, graph, arrays)
    program = engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy())
    loss = program.step(state, x, LABELS).loss
    measured = {key: program.gradient(key) for key in graph.parameters}
    return loss, measured | {key: state.read(key) for key in graph.statistics}


@every_twin
def test_the_reference_engine_in_float64_trains_like_pytorch(name: str, truth: Engine):
    exact_loss, exact = torch_step(name, torch.float64)
    loss, measured = step(truth, name)
    assert loss == pytest.approx(exact_loss, rel=1e-9)
    assert beyond(1e-8, measured, exact, typical=typical(name)) == {}


@every_twin
def test_the_native_engine_is_as_near_to_float64_as_pytorchs_float32(name: str):
    graph, _, _ = example(name)
    exact_loss, exact = torch_step(name, torch.float64, smooth=True)
    rounded_loss, rounded = torch_step(name, torch.float32, smooth=True)
    loss, measured = step(get_engine("native"), name, smooth=True)
    assert abs(loss - exact_loss) <= 3 * abs(rounded_loss - exact_loss) + 1e-5 * exact_loss
    ours, theirs, right = (joined(graph, arrays) for arrays in (measured, rounded, exact))
    assert relative_error(ours, right) <= 3 * relative_error(theirs, right) + 1e-4


@every_twin
def test_no_single_gradient_or_statistic_of_the_native_engine_is_wrong(name: str):
    """Each array by itself: a wrong small one would vanish in the norm of all."""
    _, exact = torch_step(name, torch.float64, smooth=True)
    _, rounded = torch_step(name, torch.float32, smooth=True)
    _, measured = step(get_engine("native"), name, smooth=True)
    usual = typical(name, smooth=True)
    allowed = {key: 3 * relative_error(rounded[key], exact[key], typical=usual) + 1e-3 for key in exact}
    errors = {key: relative_error(measured[key], exact[key], typical=usual) for key in exact}
    assert {key: error for key, error in errors.items() if not error <= allowed[key]} == {}

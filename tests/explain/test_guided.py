"""Guided backpropagation through all of ReLU's family, against the same rule as a function of PyTorch's autograd."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine
from foveate.explain.probe.attribution import guided_backpropagation, saliency
from foveate.explain.probe.guided import guided_graph
from foveate.layers import Layer
from foveate.layers.registry import built_in_layers
from tests.support import Array, bound, normal, random_arrays, relative_error

RECTIFIERS: dict[str, tuple[Layer, Callable[[torch.Tensor], torch.Tensor]]] = {
    "ReLU": (fv.ReLU(), torch.relu),
    "ReLU6": (fv.ReLU6(), F.relu6),
    "LeakyReLU": (fv.LeakyReLU(), lambda x: F.leaky_relu(x, 0.1)),
    "PReLU": (fv.PReLU(), lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype))),
    "ELU": (fv.ELU(), F.elu),
    "GELU": (fv.GELU(), F.gelu),
    "SiLU": (fv.SiLU(), F.silu),
    "Hardswish": (fv.Hardswish(), F.hardswish),
    "Mish": (fv.Mish(), F.mish),
    "SELU": (fv.SELU(), F.selu),
    "CELU": (fv.CELU(), F.celu),
    "Softplus": (fv.Softplus(), F.softplus),
    "ThresholdedReLU": (fv.ThresholdedReLU(0.1), lambda x: F.threshold(x, 0.1, 0.0)),
}


class Guided(torch.autograd.Function):
    """f(x) forward; backward f'(x) max(0, dy) where x > 0."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        context.save_for_backward(x)
        context.function = function
        return function(x)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> Any:
        (x,) = context.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(context.function(x).sum(), x)
        return gradients[0].clamp(min=0) * (x > 0) * slope, None


def network(rectifier: Layer, engine: Engine) -> fv.Model:
    again = rectifier.with_options()  # an object of its own: one with a slope that is learned would be shared in vain
    layers = (fv.Conv2d(6, 3, padding=1), rectifier, fv.Conv2d(5, 3), again, fv.GlobalAvgPool2d(), fv.Linear(3))
    model = fv.Model(fv.Sequential(*layers).build((2, 8, 8)), engine=engine)
    for name, array in random_arrays(model.graph).items():
        model.state.load(name, np.full_like(array, 0.25) if name.startswith("prelu") else 3 * array)
    return model


def twin(model: fv.Model, x: Array, rectify: Callable[[torch.Tensor], torch.Tensor]) -> Array:
    """The gradient of class 1 in PyTorch, in float64."""
    read = {name: torch.tensor(model.read(name)).double() for name in model.state.names()}
    images = torch.tensor(x).double().requires_grad_()
    hidden = rectify(F.conv2d(images, read["conv1.weight"], read["conv1.bias"], padding=1))
    hidden = rectify(F.conv2d(hidden, read["conv2.weight"], read["conv2.bias"]))
    F.linear(hidden.mean(dim=(2, 3)), read["linear1.weight"], read["linear1.bias"])[:, 1].sum().backward()
    assert images.grad is not None
    return images.grad.numpy()


@pytest.mark.parametrize("name", RECTIFIERS)
def test_every_rectifier_passes_back_only_what_is_positive(name: str, any_engine: Engine) -> None:
    layer, function = RECTIFIERS[name]
    model, x = network(layer, any_engine), normal((3, 2, 8, 8)).astype(np.float32)
    found = guided_backpropagation(model, x, 1)
    expected = twin(model, x, lambda values: Guided.apply(values, function))
    assert relative_error(found, expected) <= bound(any_engine, double=1e-6, single=1e-4)
    assert relative_error(saliency(model, x, 1), expected) > 0.1


def test_every_layer_of_the_family_is_tried() -> None:
    assert {kind.__name__ for kind in built_in_layers() if kind.rectifies} == set(RECTIFIERS)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v1", "efficientnet_lite0"])
def test_networks_of_the_zoo_with_other_rectifiers_can_be_guided(name: str) -> None:
    graph = fv.zoo.make(name)
    guided = guided_graph(graph)
    assert guided.parameters == graph.parameters
    assert not any(type(node.layer) in (fv.ReLU, fv.ReLU6) for node in guided.nodes)

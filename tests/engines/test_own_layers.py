"""A layer of one's own, taught to every engine by `register`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, register
from foveate.graph import Graph
from tests.engines.example import read
from tests.support import Array, Arrays, beyond, bound, normal, random_arrays, relative_error, run, state_with


@dataclass(frozen=True)
class LearnedPower(fv.Layer):
    """y = scale * |x|^exponent with a trainable scale for each channel: a layer of one's own."""

    label = "power"
    exponent: float = 1.5

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        self.check_inputs(input_shapes)
        return input_shapes[0]

    def parameters(self, input_shapes: Sequence[tuple[int, ...]]) -> dict[str, fv.Parameter]:
        return {"scale": fv.Parameter((input_shapes[0][0],), "ones", decay=False)}


def _power_forward(layer: LearnedPower, inputs: Sequence[Array], parameters: Arrays) -> Array:
    return parameters["scale"].reshape(-1, 1, 1) * np.abs(inputs[0]) ** layer.exponent


def _power_backward(
    layer: LearnedPower, inputs: Sequence[Array], parameters: Arrays, output: Array, gradient: Array
) -> tuple[list[Array], Arrays]:
    (x,) = inputs
    slope = layer.exponent * np.abs(x) ** (layer.exponent - 1) * np.sign(x)
    to_scale = (gradient * np.abs(x) ** layer.exponent).sum(axis=(0, 2, 3))
    return [gradient * parameters["scale"].reshape(-1, 1, 1) * slope], {"scale": to_scale}


register(LearnedPower, _power_forward, _power_backward)


OWN = fv.Sequential(
    fv.Conv2d(8, 3, padding=1), LearnedPower(1.5), fv.BatchNorm2d(), fv.GlobalAvgPool2d(), fv.Linear(3)
).build((2, 5, 5))  # fmt: skip


def own_in_torch(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    hidden = F.conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=1)
    hidden = p["power1.scale"].reshape(-1, 1, 1) * hidden.abs() ** 1.5
    hidden = F.batch_norm(hidden, None, None, p["bn1.weight"], p["bn1.bias"], training=True)
    return F.linear(hidden.mean((2, 3)), p["linear1.weight"], p["linear1.bias"])


def test_a_layer_of_ones_own_trains_in_every_engine(any_engine: Engine):
    optimizer = fv.SGD(momentum=0.9, nesterov=False, weight_decay=0.0)
    arrays = random_arrays(OWN)
    tensors = {name: torch.tensor(arrays[name], requires_grad=True) for name in OWN.parameters}
    theirs = torch.optim.SGD(tensors.values(), lr=0.1, momentum=0.9)
    state = state_with(any_engine, OWN, arrays, optimizer=optimizer)
    program = any_engine.compile(OWN, batch_size=4, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    losses = []
    for seed in range(3):
        x, labels = normal((4, 2, 5, 5), seed), np.array([0, 1, 2, 0])
        ours = program.step(state, x, labels, learning_rate=0.1).loss
        theirs.zero_grad()
        loss = F.cross_entropy(own_in_torch(torch.tensor(x), tensors), torch.tensor(labels))
        loss.backward()
        theirs.step()
        losses.append((ours, loss.item()))
    ours, expected = zip(*losses, strict=True)
    assert ours == pytest.approx(expected, rel=bound(any_engine, double=1e-10, single=1e-4))
    final = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), read(state, list(final)), final) == {}


def test_a_layer_of_ones_own_can_be_kept_and_differentiated_in_inference(engine: Engine, truth: Engine):
    arrays, x, seed = random_arrays(OWN), normal((4, 2, 5, 5)), normal((4, 3))
    ours, exact = (run(e, OWN, arrays, {"input": x}, seed, mode="inference") for e in (engine, truth))
    assert relative_error(ours.output, exact.output) <= 1e-5
    assert beyond(1e-4, ours.gradients, exact.gradients) == {}


def test_a_layer_of_ones_own_appears_in_the_summary_and_survives_a_file():
    assert OWN.summary().rows[1].layer == "LearnedPower"
    assert OWN.summary().rows[1].parameters == 8
    assert Graph.from_json(OWN.to_json()) == OWN

"""The reference engine's gradients against central differences: the calculus is right, whoever else agrees with it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine
from foveate.engines.base import Mode
from foveate.graph import Graph, Loss
from foveate.layers import Layer, Shape
from tests.engines.cases import ALL_CASES, Case
from tests.support import (
    Array,
    Arrays,
    beyond,
    normal,
    random_arrays,
    random_inputs,
    random_seed,
    run,
    single_layer,
    state_with,
)

STEP = 1e-5
BOUND = 1e-7


def central_differences(value: Callable[[Arrays], float], arrays: Arrays) -> Arrays:
    """The gradient of `value` with respect to each element of `arrays`."""
    gradients = {}
    for name, array in arrays.items():
        gradient = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            ahead, behind = array.copy(), array.copy()
            ahead[at] += STEP
            behind[at] -= STEP
            gradient[at] = (value({**arrays, name: ahead}) - value({**arrays, name: behind})) / (2 * STEP)
        gradients[name] = gradient
    return gradients


def apart_from_kinks(arrays: Arrays) -> Arrays:
    """No two numbers of an array nearer than the step, none near zero: no maximum or ReLU turns over."""
    moved = {}
    for name, array in arrays.items():
        ranks = array.ravel().argsort().argsort().reshape(array.shape)
        moved[name] = (ranks - array.size / 2 + 0.25) / array.size * 3
    return moved


@dataclass(frozen=True)
class Small:
    """A layer small enough for differences in every element."""

    layer: Layer
    shapes: tuple[Shape, ...]
    mode: Mode = "training"


FEW = 100
"""Numbers in inputs and parameters for which a difference in each takes a moment."""


def size_of(case: Case) -> int:
    """How many numbers its inputs and parameters have."""
    parameters = single_layer(case.layer, *case.shapes).parameters.values()
    return case.batch * sum(map(prod, case.shapes)) + sum(prod(parameter.shape) for parameter in parameters)


def small_cases() -> dict[str, Small]:
    """The small ones among the cases of all layers, and the smallest of each type."""
    least: dict[type[Layer], str] = {}
    for name in sorted(ALL_CASES, key=lambda name: size_of(ALL_CASES[name])):
        least.setdefault(type(ALL_CASES[name].layer), name)
    return {
        name: Small(case.layer, case.shapes, case.mode)
        for name, case in ALL_CASES.items()
        if size_of(case) <= FEW or name in least.values()
    }


SMALL = small_cases() | {
    "Conv1d": Small(fv.Conv1d(3, 3, stride=2, padding=((1, 2),), dilation=2), ((2, 7),)),
    "Conv2d": Small(fv.Conv2d(3, 2, stride=(2, 1), padding=1), ((2, 4, 3),)),
    "Conv2d, grouped, same": Small(fv.Conv2d(4, 3, stride=2, padding="same", groups=2, bias=False), ((2, 4, 3),)),
    "Conv3d": Small(fv.Conv3d(2, 2, padding=((1, 0), 0, 0)), ((1, 2, 3, 3),)),
    "MaxPool1d": Small(fv.MaxPool1d(3, stride=2, dilation=2, padding=1), ((2, 9),)),
    "MaxPool2d": Small(fv.MaxPool2d(2, stride=1, padding=((1, 0), (0, 1))), ((2, 3, 4),)),
    "MaxPool2d, ceil": Small(fv.MaxPool2d(2, ceil_mode=True), ((2, 3, 5),)),
    "MaxPool3d": Small(fv.MaxPool3d(2, stride=1), ((1, 3, 3, 2),)),
    "AvgPool1d": Small(fv.AvgPool1d(3, stride=2, padding=1, count_include_pad=False), ((2, 6),)),
    "AvgPool2d": Small(fv.AvgPool2d(2, padding=((1, 0), (0, 1))), ((2, 3, 4),)),
    "AvgPool2d, ceil": Small(fv.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), ((1, 4, 5),)),
    "AvgPool3d": Small(fv.AvgPool3d(2, stride=1), ((1, 3, 3, 2),)),
    "BatchNorm1d in training": Small(fv.BatchNorm1d(), ((3,),)),
    "BatchNorm2d in training": Small(fv.BatchNorm2d(), ((2, 3, 2),)),
    "BatchNorm2d in training, not affine": Small(fv.BatchNorm2d(affine=False), ((2, 3, 2),)),
    "BatchNorm2d in training, frozen": Small(fv.BatchNorm2d(frozen=True), ((2, 3, 2),)),
    "BatchNorm2d in inference": Small(fv.BatchNorm2d(), ((2, 3, 2),), "inference"),
    "BatchNorm3d in training": Small(fv.BatchNorm3d(), ((2, 2, 2, 2),)),
    "Conv2d, reflect": Small(fv.Conv2d(2, 3, padding=((1, 2), 1), padding_mode="reflect"), ((2, 3, 4),)),
    "Conv1d, replicate": Small(fv.Conv1d(2, 3, padding=2, padding_mode="replicate"), ((2, 4),)),
    "Conv1d, circular": Small(fv.Conv1d(2, 3, padding=3, padding_mode="circular", stride=2), ((2, 4),)),
    "ConvTranspose1d": Small(fv.ConvTranspose1d(3, 3, stride=2, padding=((1, 0),)), ((2, 4),)),
    "ConvTranspose2d": Small(
        fv.ConvTranspose2d(4, (2, 3), stride=2, padding=1, output_padding=1, dilation=(2, 1), groups=2), ((2, 3, 2),)
    ),
    "ConvTranspose3d": Small(fv.ConvTranspose3d(1, 2, stride=2, bias=False), ((2, 2, 1, 2),)),
    "InstanceNorm2d": Small(fv.InstanceNorm2d(affine=True), ((2, 3, 2),)),
    "InstanceNorm3d": Small(fv.InstanceNorm3d(affine=True), ((2, 2, 2, 2),)),
    "SpatialDropout at a fixed step": Small(fv.SpatialDropout(0.4), ((5, 2),)),
    "Dropout at a fixed step": Small(fv.Dropout(0.4), ((9,),)),
    "Dropout in inference": Small(fv.Dropout(0.4), ((5,),), "inference"),
}


@pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
def test_the_reference_gradients_of_a_layer_are_its_slopes(small: Small, truth: Engine):
    graph, batch = single_layer(small.layer, *small.shapes), 3
    inputs = apart_from_kinks(random_inputs(graph, batch))
    if isinstance(small.layer, fv.Log | fv.Raise):  # of negative numbers they have no slope
        inputs = {name: np.abs(array) for name, array in inputs.items()}
    arrays, seed = random_arrays(graph), random_seed(graph, batch)
    program = truth.compile(graph, batch_size=batch, mode=small.mode)

    def value(changed: Arrays) -> float:
        state = state_with(truth, graph, arrays | {name: changed[name] for name in graph.parameters})
        output = program.forward(state, {name: changed[name] for name in graph.inputs})["layer"]
        return float((seed * output).sum())

    slopes = central_differences(value, inputs | {name: arrays[name] for name in graph.parameters})
    ours = run(truth, graph, arrays, inputs, seed, mode=small.mode).gradients
    assert beyond(BOUND, ours, slopes) == {}


def slopes_of_the_loss(
    engine: Engine,
    graph: Graph,
    arrays: Arrays,
    x: Array,
    labels: Any,
    loss: Loss,
    weight: Array | None = None,
) -> tuple[Arrays, Arrays]:
    """The gradients that a step computed, and the slopes of its loss: of the input and the parameters."""
    program = engine.compile(graph, batch_size=len(x), mode="training", loss=loss, keep=("input",))

    def value(changed: Arrays) -> float:
        state = state_with(engine, graph, arrays | {name: changed[name] for name in graph.parameters})
        return program.step(state, changed["input"], labels, sample_weight=weight).loss

    variables = {"input": x} | {name: arrays[name] for name in graph.parameters}
    slopes = central_differences(value, variables)
    program.step(state_with(engine, graph, arrays), x, labels, sample_weight=weight)
    return {name: program.gradient(name) for name in variables}, slopes


@pytest.mark.parametrize("weight", [None, [1.0, 0.0, 2.5, 0.5]], ids=["equal", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_of_the_reference_loss_is_its_slope(truth: Engine, smoothing: float, weight: list[float] | None):
    graph = single_layer(fv.Linear(3), (2,))
    arrays, loss = random_arrays(graph), fv.CrossEntropy(label_smoothing=smoothing)
    weights = None if weight is None else np.array(weight)
    ours, slopes = slopes_of_the_loss(truth, graph, arrays, normal((4, 2)), [0, 2, 1, 2], loss, weights)
    assert beyond(BOUND, ours, slopes) == {}


@pytest.mark.parametrize("weight", [None, [1.0, 0.0, 2.5, 0.5]], ids=["equal", "weighted"])
@pytest.mark.parametrize("loss", [fv.BinaryCrossEntropy(), fv.MeanSquaredError()], ids=repr)
def test_the_gradient_of_a_loss_against_numbers_is_its_slope(truth: Engine, loss: Loss, weight: list[float] | None):
    graph = single_layer(fv.Linear(3), (2,))
    targets = np.random.default_rng(3).uniform(0, 1, (4, 3))
    weights = None if weight is None else np.array(weight)
    ours, slopes = slopes_of_the_loss(truth, graph, random_arrays(graph), normal((4, 2)), targets, loss, weights)
    assert beyond(BOUND, ours, slopes) == {}


def test_the_gradients_of_a_whole_reference_network_are_the_slopes_of_its_loss(truth: Engine):
    graph = fv.Sequential(
        fv.Conv2d(2, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.Tanh(),
        fv.Residual(fv.Conv2d(2, 3, padding="same"), fv.ELU(), fv.Dropout(0.3)),
        fv.Concat(fv.AvgPool2d(2), fv.Conv2d(1, 2, stride=2)),
        fv.Flatten(), fv.Linear(3),
    ).build((1, 4, 4))  # fmt: skip
    x, labels = normal((3, 1, 4, 4)), [2, 0, 1]
    ours, slopes = slopes_of_the_loss(truth, graph, random_arrays(graph), x, labels, fv.CrossEntropy())
    assert beyond(1e-6, ours, slopes) == {}

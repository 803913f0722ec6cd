"""What a state holds: arrays by name, statistics that move as PyTorch's, slots from which training goes on."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn

import foveate as fv
from foveate.engines import Engine
from tests.engines.example import BATCH, LABELS, NETWORK, batches, loaded, read, torch_network
from tests.support import beyond, bound, normal, random_arrays, relative_error, single_layer, state_with


def test_the_names_of_a_state_are_parameters_then_statistics_then_slots(engine: Engine):
    graph = fv.Sequential(fv.BatchNorm1d(), fv.Linear(2)).build((3,))
    state = engine.new_state(graph, fv.AdamW())
    parameters = ["bn1.weight", "bn1.bias", "linear1.weight", "linear1.bias"]
    assert state.names() == [*parameters, "bn1.running_mean", "bn1.running_var"]
    assert state.names(slots=True) == state.names() + [
        f"{slot}/{name}" for slot in ("mean", "mean_square") for name in parameters
    ]


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_var", "momentum/linear1.weight", "linear1.bias"])
def test_what_is_loaded_is_read_back_exactly_and_as_a_copy(engine: Engine, name: str):
    state = engine.new_state(NETWORK, fv.SGD())
    values = normal(state.read(name).shape, 7)
    state.load(name, values)
    state.read(name)[...] = 0
    assert np.array_equal(state.read(name), values)


def test_a_loaded_array_is_copied(engine: Engine):
    state = engine.new_state(NETWORK)
    values = np.ones(5, np.float32)
    state.load("conv2.bias", values)
    values[:] = 2
    assert state.read("conv2.bias").tolist() == [1] * 5


def test_every_engine_starts_from_the_same_parameters(engine: Engine, truth: Engine):
    state, exact = (e.new_state(NETWORK, seed=11) for e in (engine, truth))
    assert beyond(0, read(state), read(exact)) == {}


def test_a_name_with_a_slash_is_no_optimiser_slot(engine: Engine):
    """Refusing the name when the network is built is as good."""
    try:
        graph = fv.Named("a/b", fv.Linear(2)).build((3,))
    except fv.GraphError:
        return
    state = engine.new_state(graph, fv.SGD())
    assert state.read("a/b.weight").shape == state.read("momentum/a/b.weight").shape == (2, 3)


def test_optimiser_slots_can_be_read_and_loaded_so_that_training_goes_on_where_it_stopped(any_engine: Engine):
    optimizer = fv.SGD(momentum=0.9)
    program = any_engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer
    )
    through = state_with(any_engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    for x in batches(4):
        program.step(through, x, LABELS, learning_rate=0.1)
    stopped = state_with(any_engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    for x in batches(4)[:2]:
        program.step(stopped, x, LABELS, learning_rate=0.1)
    resumed = any_engine.new_state(NETWORK, optimizer, seed=99)
    for name in stopped.names(slots=True):
        resumed.load(name, stopped.read(name))
    for x in batches(4)[2:]:
        program.step(resumed, x, LABELS, learning_rate=0.1)
    assert beyond(0, read(resumed), read(through)) == {}


def test_adamw_goes_on_where_it_stopped_when_the_step_count_is_carried_over(any_engine: Engine):
    optimizer = fv.AdamW()
    program = any_engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer
    )
    through = state_with(any_engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    for x in batches(2):
        program.step(through, x, LABELS, learning_rate=0.01)
    resumed = any_engine.new_state(NETWORK, optimizer)
    for name in through.names(slots=True):
        resumed.load(name, through.read(name))
    resumed.step_count = through.step_count
    for state in (through, resumed):
        program.step(state, batches(3)[2], LABELS, learning_rate=0.01)
    assert through.step_count == 3
    assert beyond(0, read(resumed), read(through)) == {}


def test_a_program_sees_what_is_loaded_after_its_first_run(any_engine: Engine):
    program = any_engine.compile(NETWORK, batch_size=BATCH, mode="inference")
    first, second = random_arrays(NETWORK, 1), random_arrays(NETWORK, 2)
    state = state_with(any_engine, NETWORK, first)
    x = batches()[0]
    program.forward(state, x)
    for name, array in second.items():
        state.load(name, array)
    expected = program.forward(state_with(any_engine, NETWORK, second), x)["linear1"]
    assert relative_error(program.forward(state, x)["linear1"], expected) == 0


def test_inference_sees_what_training_has_learnt_since(any_engine: Engine):
    """The inference program ran before the steps: whatever it derived from the old parameters is stale."""
    optimizer = fv.SGD()
    state = state_with(any_engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    inference = any_engine.compile(NETWORK, batch_size=2, mode="inference")
    training = any_engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer
    )
    x = batches()[0]
    before = inference.forward(state, x[:2])["linear1"]
    training.step(state, x, LABELS, learning_rate=0.1)
    after = inference.forward(state, x[:2])["linear1"]
    network = loaded(torch_network(), read(state)).eval()
    with torch.no_grad():
        expected = network(torch.tensor(x[:2])).numpy()
    assert relative_error(before, expected) > 1e-2
    assert relative_error(after, expected) <= bound(any_engine, double=1e-12, single=1e-5)


def test_inference_sees_what_a_training_forward_has_measured_since(engine: Engine, truth: Engine):
    """Not only a step makes stale what the inference program derived: a forward pass moves the statistics."""
    outputs = []
    for e in (engine, truth):
        state = state_with(e, NETWORK, random_arrays(NETWORK))
        inference = e.compile(NETWORK, batch_size=BATCH, mode="inference")
        first, second = batches(2)
        before = inference.forward(state, first)["linear1"]
        e.compile(NETWORK, batch_size=BATCH, mode="training").forward(state, 3 * second)
        outputs.append(inference.forward(state, first)["linear1"])
        assert relative_error(outputs[-1], before) > 1e-2
    assert relative_error(*outputs) <= 1e-5


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, 0.25])
@pytest.mark.parametrize(
    ("layer_type", "theirs_type", "shape"),
    [
        (fv.BatchNorm1d, nn.BatchNorm1d, (5,)),
        (fv.BatchNorm1d, nn.BatchNorm1d, (5, 7)),
        (fv.BatchNorm2d, nn.BatchNorm2d, (16, 4, 3)),
        (fv.BatchNorm3d, nn.BatchNorm3d, (3, 2, 4, 3)),
    ],
)
def test_running_statistics_move_as_pytorchs(
    any_engine: Engine, layer_type: Any, theirs_type: Any, shape: tuple[int, ...], momentum: float
):
    graph = single_layer(layer_type(momentum=momentum), shape)
    arrays = random_arrays(graph)
    theirs = theirs_type(shape[0], momentum=momentum, dtype=torch.float64).train()
    theirs.running_mean.copy_(torch.tensor(arrays["layer.running_mean"]))
    theirs.running_var.copy_(torch.tensor(arrays["layer.running_var"]))
    state = state_with(any_engine, graph, arrays)
    program = any_engine.compile(graph, batch_size=4, mode="training")
    for seed in range(3):
        x = 2 * normal((4, *shape), seed) + 1
        program.forward(state, x)
        theirs(torch.tensor(x))
    expected = {"layer.running_mean": theirs.running_mean.numpy(), "layer.running_var": theirs.running_var.numpy()}
    assert beyond(bound(any_engine, double=1e-12, single=1e-5), read(state, list(expected)), expected) == {}


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_frozen_batch_norm_measures_nothing_trains_nothing_and_uses_its_running_statistics(
    any_engine: Engine, mode: Any
):
    graph = fv.Sequential(fv.BatchNorm2d(frozen=True), fv.GlobalAvgPool2d(), fv.Linear(3)).build((4, 5, 5))
    arrays, optimizer = random_arrays(graph), fv.SGD()
    state = state_with(any_engine, graph, arrays, optimizer=optimizer)
    x = normal((BATCH, 4, 5, 5))
    step = any_engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    step.step(state, x, LABELS % 3, learning_rate=0.5)
    normalization = [name for name in arrays if name.startswith("bn1.")]
    assert beyond(0, read(state, normalization), {name: arrays[name] for name in normalization}) == {}
    output = any_engine.compile(graph, batch_size=BATCH, mode=mode, keep=("bn1",))
    output.forward(state, x)
    expected = F.batch_norm(
        torch.tensor(x), *(torch.tensor(arrays[f"bn1.{n}"]) for n in ("running_mean", "running_var", "weight", "bias"))
    )
    assert relative_error(output.activation("bn1"), expected) <= bound(any_engine, double=1e-12, single=1e-5)


def test_inference_moves_no_statistic(engine: Engine):
    arrays = random_arrays(NETWORK)
    state = state_with(engine, NETWORK, arrays)
    engine.compile(NETWORK, batch_size=BATCH, mode="inference").forward(state, batches()[0])
    assert beyond(0, read(state), arrays) == {}


def test_a_training_forward_moves_the_statistics_as_a_step_would(engine: Engine):
    arrays = random_arrays(NETWORK)
    forward, step = (state_with(engine, NETWORK, arrays) for _ in range(2))
    engine.compile(NETWORK, batch_size=BATCH, mode="training").forward(forward, batches()[0])
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy())
    program.step(step, batches()[0], LABELS)
    assert beyond(1e-6, read(forward), read(step)) == {}
    assert relative_error(forward.read("bn1.running_mean"), arrays["bn1.running_mean"]) > 1e-2


def test_an_array_that_must_not_be_written_to_can_be_loaded(any_engine: Engine):
    state = any_engine.new_state(fv.Sequential(fv.Conv2d(4, 3)).build((3, 8, 8)))
    frozen = np.ones((4, 3, 3, 3), np.float32)
    frozen.setflags(write=False)
    state.load("conv1.weight", frozen)
    assert np.array_equal(state.read("conv1.weight"), frozen)

"""Parameters that are told not to learn, and normalisations that are told not to measure."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, Request
from foveate.graph import matching_arrays
from tests.engines.example import BATCH, LABELS, NETWORK, batches, loaded, read, torch_network
from tests.support import beyond, bound, normal, random_arrays, state_with

OPTIMIZER = fv.SGD(momentum=0.9, nesterov=True, weight_decay=0.05)


def test_what_is_not_frozen_learns_as_pytorchs_does_beside_frozen_layers(any_engine: Engine):
    """The first convolution and its normalisation are frozen: in PyTorch without gradients, and in eval mode."""
    arrays = random_arrays(NETWORK)
    network = loaded(torch_network(), arrays).train()
    network[1].eval()
    for parameter in [*network[0].parameters(), *network[1].parameters()]:
        parameter.requires_grad_(False)
    learning = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1]},
        {"params": [p for p in learning if p.ndim == 1], "weight_decay": 0.0},
    ]
    theirs = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.05)
    state = state_with(any_engine, NETWORK, arrays, optimizer=OPTIMIZER)
    program = any_engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=OPTIMIZER, freeze=["conv1", "bn*"]
    )
    for x in batches():
        program.step(state, x, LABELS, learning_rate=0.05)
        theirs.zero_grad()
        F.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)).backward()
        theirs.step()
    expected = {name: p.detach().numpy() for name, p in zip(NETWORK.parameters, network.parameters(), strict=True)}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), read(state, list(NETWORK.parameters)), expected) == {}


@pytest.mark.parametrize("optimizer", [OPTIMIZER, fv.AdamW()], ids=["SGD", "AdamW"])
@pytest.mark.parametrize("patterns", [("conv1",), ("bn1",), ("*.bias",), ("conv1", "conv2.weight", "linear1")], ids=str)
def test_frozen_arrays_keep_their_bits_and_all_others_move(engine: Engine, optimizer, patterns):
    state = state_with(engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    before = read(state)
    program = engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer, freeze=patterns
    )
    for x in batches(2):
        program.step(state, x, LABELS, learning_rate=0.1)
    after, frozen = read(state), matching_arrays(NETWORK, patterns)
    for name in state.names():
        assert (after[name] == before[name]).all() == (name in frozen), name


def test_a_frozen_stem_takes_no_way_back(engine: Engine):
    program = engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), freeze=["conv1", "bn1", "conv2"]
    )
    if engine.name == "native":
        assert {step.node for step in program.steps() if step.phase == "backward"} == {"linear1"}
    state = engine.new_state(NETWORK)
    program.step(state, batches(1)[0], LABELS)
    assert program.gradient("linear1.weight").any()
    with pytest.raises(fv.EngineError, match=r'gradient of "conv1.weight" is not computed: compile without freeze='):
        program.gradient("conv1.weight")


def test_a_pattern_that_matches_nothing_is_an_error(engine: Engine):
    with pytest.raises(fv.GraphError, match=r'no parameter is called "stem". Nearest: '):
        engine.compile(NETWORK, batch_size=2, mode="inference", freeze=["stem"])


def test_a_frozen_normalisation_takes_single_samples(engine: Engine):
    graph = fv.Sequential(fv.Linear(4), fv.BatchNorm1d(), fv.Linear(2)).build((3,))
    with pytest.raises(fv.EngineError, match="single value"):
        Request.of(graph, batch_size=1, mode="training")
    program = engine.compile(graph, batch_size=1, mode="training", loss=fv.CrossEntropy(), freeze=["bn1"])
    assert np.isfinite(program.step(engine.new_state(graph), np.ones((1, 3)), [1]).loss)


def test_a_filter_bank_is_a_constant_of_the_graph(any_engine: Engine):
    """A frozen convolution lets gradients through to what is before it, and has none itself."""
    bank = np.array([[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]], [[[1, 2, 1], [0, 0, 0], [-1, -2, -1]]]], float)
    graph = fv.Sequential(
        fv.Conv2d(1, 1, bias=False), fv.Conv2d(2, 3, bias=False, frozen=True), fv.Flatten(), fv.Linear(2, bias=False)
    ).build((3, 5, 5))
    state = state_with(any_engine, graph, random_arrays(graph), optimizer=OPTIMIZER)
    state.load("conv2.weight", bank)
    program = any_engine.compile(graph, batch_size=4, mode="training", loss=fv.CrossEntropy(), optimizer=OPTIMIZER)
    x, labels = normal((4, 3, 5, 5), 5), np.array([0, 1, 1, 0])
    first, last = (
        torch.tensor(state.read(n).astype(float), requires_grad=True) for n in ("conv1.weight", "linear1.weight")
    )
    hidden = F.conv2d(F.conv2d(torch.tensor(x), first), torch.tensor(bank)).flatten(1)
    F.cross_entropy(F.linear(hidden, last), torch.tensor(labels)).backward()
    program.step(state, x, labels, learning_rate=0.1)
    gradients = {"first": program.gradient("conv1.weight"), "last": program.gradient("linear1.weight")}
    expected = {"first": first.grad.numpy(), "last": last.grad.numpy()}
    assert beyond(bound(any_engine, double=1e-10, single=1e-5), gradients, expected) == {}
    assert (state.read("conv2.weight") == bank).all()
    with pytest.raises(fv.EngineError, match=r'gradient of "conv2.weight" is not computed: its layer is frozen'):
        program.gradient("conv2.weight")


@pytest.mark.parametrize("layer", [fv.Conv2d(2, 3, frozen=True), fv.ConvTranspose2d(2, 3, frozen=True)], ids=repr)
def test_frozen_layers_go_through_files_and_say_so(layer: fv.Layer):
    graph = fv.Sequential(layer, fv.Flatten(), fv.Linear(3, frozen=True)).build((1, 5, 5))
    assert fv.Graph.from_json(graph.to_json()) == graph
    assert [node.layer.describe().endswith(", frozen") for node in graph.nodes] == [True, False, True]
    assert not any(parameter.trainable for parameter in graph.parameters.values())

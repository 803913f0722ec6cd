"""What a program is compiled for, and networks of several outputs, each with a loss and a weight."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, Request
from foveate.graph import Graph
from tests.support import beyond, bound, normal, random_arrays, state_with


def two_headed() -> Graph:
    """A stem, a head that names a class and one that gives two numbers."""
    builder = fv.GraphBuilder()
    image = builder.input((2, 6, 6))
    stem = builder.add(fv.ReLU(), builder.add(fv.Conv2d(4, 3), image, name="stem"))
    flat = builder.add(fv.Flatten(), stem)
    return builder.build(
        builder.add(fv.Linear(3), flat, name="kind"), builder.add(fv.Linear(2), flat, name="place"), quiet=True
    )


GRAPH = two_headed()
LOSSES = {"kind": (fv.CrossEntropy(0.1), 0.7), "place": (fv.MeanSquaredError(), 2.5)}
KINDS = np.array([0, 2, 1, 1])


def test_losses_of_several_outputs_add_up_with_their_weights_as_in_pytorch(any_engine: Engine):
    arrays, x, places = random_arrays(GRAPH), normal((4, 2, 6, 6), 3), normal((4, 2), 4)
    state = state_with(any_engine, GRAPH, arrays)
    program = any_engine.compile(GRAPH, batch_size=4, mode="training", loss=LOSSES)
    result = program.step(state, x, {"kind": KINDS, "place": places})
    p = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    flat = F.relu(F.conv2d(torch.tensor(x), p["stem.weight"], p["stem.bias"])).flatten(1)
    kind = F.cross_entropy(F.linear(flat, p["kind.weight"], p["kind.bias"]), torch.tensor(KINDS), label_smoothing=0.1)
    place = F.mse_loss(F.linear(flat, p["place.weight"], p["place.bias"]), torch.tensor(places))
    (0.7 * kind + 2.5 * place).backward()
    assert result.loss == pytest.approx(0.7 * kind.item() + 2.5 * place.item(), rel=1e-5)
    assert result.losses == pytest.approx({"kind": kind.item(), "place": place.item()}, rel=1e-5)
    expected = {name: tensor.grad.numpy() for name, tensor in p.items()}
    gradients = {name: program.gradient(name) for name in GRAPH.parameters}
    assert beyond(bound(any_engine, double=1e-10, single=1e-5), gradients, expected) == {}


def test_an_output_without_a_loss_learns_nothing(engine: Engine):
    program = engine.compile(GRAPH, batch_size=4, mode="training", loss={"place": fv.MeanSquaredError()})
    program.step(engine.new_state(GRAPH), normal((4, 2, 6, 6), 3), {"place": normal((4, 2), 4)})
    assert program.gradient("place.weight").any()
    assert program.gradient("stem.weight").any()
    assert not program.gradient("kind.weight").any()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"kinds": fv.CrossEntropy()}, 'the loss is given for "kinds", which is not an output. Nearest: kind'),
        ({}, "loss is empty; name at least one output"),
        ({"kind": (fv.CrossEntropy(), -1.0)}, "the loss of kind has the weight -1.0; it must be at least 0"),
        ({"kind": (fv.CrossEntropy(), float("nan"))}, "the loss of kind has the weight nan"),
    ],
)
def test_losses_that_fit_no_output_are_refused(engine: Engine, loss: Any, message: str):
    with pytest.raises(fv.EngineError, match=message):
        engine.compile(GRAPH, batch_size=4, mode="training", loss=loss)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (KINDS, "there are losses on kind and place; give targets for each by name"),
        ({"kind": KINDS}, "targets are given for kind, but there are losses on kind, place"),
    ],
)
def test_targets_must_be_there_for_every_loss(engine: Engine, targets: Any, message: str):
    program = engine.compile(GRAPH, batch_size=4, mode="training", loss=LOSSES)
    with pytest.raises(fv.DataError, match=message):
        program.step(engine.new_state(GRAPH), normal((4, 2, 6, 6), 3), targets)


def test_a_request_is_a_value(engine: Engine):
    one, same = (Request.of(GRAPH, batch_size=4, mode="training", loss=LOSSES, freeze=["stem"]) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.batch_size = 5  # type: ignore[misc]
    assert engine.compile(GRAPH, one).request is one

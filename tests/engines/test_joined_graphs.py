"""Graphs that are no chain: shared parameters, several inputs and outputs, values used twice or not at all."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph
from tests.support import beyond, bound, normal, random_arrays, relative_error, run, state_with


def test_shared_parameters_gather_the_gradients_of_all_their_places(any_engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((4, 6, 6))
    first = builder.add(fv.Conv2d(4, 3, padding=1), x, name="first", parameters="shared")
    second = builder.add(fv.Conv2d(4, 3, padding=1), builder.add(fv.Tanh(), first), name="second", parameters="shared")
    graph = builder.build(second)
    theirs = nn.Conv2d(4, 4, 3, padding=1, dtype=torch.float64)
    arrays = {f"shared.{name}": p.detach().numpy() for name, p in theirs.named_parameters()}
    image, seed = normal((2, 4, 6, 6)), normal((2, 4, 6, 6), 1)
    output = theirs(torch.tanh(theirs(torch.tensor(image))))
    output.backward(torch.tensor(seed))
    ours = run(any_engine, graph, arrays, {"input": image}, seed)
    limit = bound(any_engine, double=1e-10, single=1e-4)
    assert relative_error(ours.output, output.detach()) <= limit
    assert relative_error(ours.gradients["shared.weight"], theirs.weight.grad) <= limit
    assert relative_error(ours.gradients["shared.bias"], theirs.bias.grad) <= limit


def test_shared_parameters_take_one_step_of_the_optimiser(any_engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((4,))
    hidden = builder.add(fv.Tanh(), builder.add(fv.Linear(4), x, parameters="shared"))
    graph = builder.build(builder.add(fv.Linear(4), hidden, parameters="shared"))
    optimizer = fv.SGD(momentum=0.9, nesterov=False, weight_decay=0.0)
    theirs = nn.Linear(4, 4, dtype=torch.float64)
    arrays = {f"shared.{name}": p.detach().numpy() for name, p in theirs.named_parameters()}
    state = state_with(any_engine, graph, arrays, optimizer=optimizer)
    descent = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    program = any_engine.compile(graph, batch_size=3, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    for seed in range(3):
        image = normal((3, 4), seed)
        program.step(state, image, [0, 1, 2], learning_rate=0.1)
        descent.zero_grad()
        F.cross_entropy(theirs(torch.tanh(theirs(torch.tensor(image)))), torch.tensor([0, 1, 2])).backward()
        descent.step()
    limit = bound(any_engine, double=1e-10, single=1e-4)
    assert relative_error(state.read("shared.weight"), theirs.weight.detach()) <= limit


def test_a_batch_norm_used_twice_measures_twice_in_order(any_engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((3, 4, 4))
    hidden = builder.add(fv.Sigmoid(), builder.add(fv.BatchNorm2d(), x, parameters="shared"))
    graph = builder.build(builder.add(fv.BatchNorm2d(), hidden, parameters="shared"))
    theirs = nn.BatchNorm2d(3, dtype=torch.float64).train()
    image = normal((5, 3, 4, 4))
    theirs(torch.sigmoid(theirs(torch.tensor(image))))
    state = any_engine.new_state(graph)
    any_engine.compile(graph, batch_size=5, mode="training").forward(state, image)
    limit = bound(any_engine, double=1e-12, single=1e-5)
    assert relative_error(state.read("shared.running_mean"), theirs.running_mean) <= limit
    assert relative_error(state.read("shared.running_var"), theirs.running_var) <= limit


def two_inputs_and_outputs() -> Graph:
    builder = fv.GraphBuilder()
    image, features = builder.input((2, 4, 4), "image"), builder.input((5,), "features")
    seen = builder.add(fv.GlobalAvgPool2d(), builder.add(fv.Conv2d(3, 3), image), name="seen")
    joined = builder.add(fv.Concatenate(), seen, features, name="joined")
    return builder.build(builder.add(fv.Linear(2), joined, name="class"), seen)


def test_several_inputs_and_outputs_have_names(any_engine: Engine):
    graph = two_inputs_and_outputs()
    arrays = random_arrays(graph)
    given = {"image": normal((3, 2, 4, 4)), "features": normal((3, 5), 1)}
    seeds = {"class": normal((3, 2), 2), "seen": normal((3, 3), 3)}
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in (given | arrays).items()}
    seen = F.conv2d(tensors["image"], tensors["conv1.weight"], tensors["conv1.bias"]).mean((2, 3))
    classes = F.linear(torch.cat([seen, tensors["features"]], 1), tensors["class.weight"], tensors["class.bias"])
    expected = torch.autograd.grad([classes, seen], list(tensors.values()), [torch.tensor(s) for s in seeds.values()])
    program = any_engine.compile(graph, batch_size=3, mode="inference", differentiable=True)
    outputs = program.forward(state_with(any_engine, graph, arrays), given)
    program.backward(seeds)
    assert list(outputs) == ["class", "seen"]
    limit = bound(any_engine, double=1e-10, single=1e-4)
    assert beyond(limit, outputs, {"class": classes.detach(), "seen": seen.detach()}) == {}
    gradients = {name: program.gradient(name) for name in tensors}
    assert beyond(limit, gradients, dict(zip(tensors, expected, strict=True))) == {}


def test_a_value_added_to_itself_gets_both_gradients(any_engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((3,))
    graph = builder.build(builder.add(fv.Add(), x, x))
    ours = run(any_engine, graph, {}, {"input": np.ones((1, 3))}, np.array([[1.0, 2.0, 3.0]]))
    assert ours.output.tolist() == [[2, 2, 2]]
    assert ours.gradients["input"].tolist() == [[2, 4, 6]]


def test_a_node_that_no_output_needs_gets_no_gradient(any_engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((3,))
    builder.add(fv.Linear(2), x, name="idle")
    graph = builder.build(builder.add(fv.Linear(2), x, name="used"))
    ours = run(any_engine, graph, random_arrays(graph), {"input": normal((2, 3))}, normal((2, 2)))
    assert not np.any(ours.gradients["idle.weight"])
    assert np.any(ours.gradients["used.weight"])

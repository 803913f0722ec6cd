"""What a program gives out: outputs, kept values and gradients as copies, and what it says of itself."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, get_engine
from foveate.engines.base import Mode
from tests.engines.example import BATCH, LABELS, NETWORK, batches, loaded, torch_network
from tests.support import beyond, bound, normal, random_arrays, relative_error, run, single_layer, state_with


def test_a_kept_activation_is_a_copy_that_later_runs_leave_alone(engine: Engine):
    program = engine.compile(NETWORK, batch_size=BATCH, mode="inference", keep=("conv1", "bn1", "relu1", "input"))
    state = state_with(engine, NETWORK, random_arrays(NETWORK))
    first, second = batches(2)
    program.forward(state, first)
    names = ("input", "conv1", "bn1", "relu1", "linear1")
    held = {name: program.activation(name) for name in names}
    before = {name: array.copy() for name, array in held.items()}
    program.forward(state, second)
    assert beyond(0, held, before) == {}
    assert relative_error(program.activation("input"), second) <= 1e-7


def test_outputs_and_gradients_are_copies_that_later_runs_leave_alone(engine: Engine):
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", differentiable=True, keep=("pool1",))
    state = state_with(engine, NETWORK, random_arrays(NETWORK))
    seed = normal((BATCH, 4))
    names = ("linear1", "input", "pool1", "conv1.weight")
    output = program.forward(state, batches()[0])["linear1"]
    program.backward({"linear1": seed})
    held = {"linear1": output} | {name: program.gradient(name) for name in names[1:]}
    before = {name: array.copy() for name, array in held.items()}
    program.forward(state, batches(2)[1])
    program.backward({"linear1": -seed})
    assert beyond(0, held, before) == {}


@pytest.mark.parametrize("name", ["input", "conv1", "relu1", "linear1"])
def test_writing_into_an_activation_changes_nothing_in_the_program(engine: Engine, name: str):
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", differentiable=True, keep=(name,))
    program.forward(state_with(engine, NETWORK, random_arrays(NETWORK)), batches()[0])
    program.activation(name)[...] = 0
    assert np.any(program.activation(name))
    seed = normal((BATCH, 4))
    program.backward({"linear1": seed})
    before = program.gradient("conv1.weight")
    program.gradient("conv1.weight")[...] = 0
    assert np.any(before)
    assert np.array_equal(program.gradient("conv1.weight"), before)


def test_writing_into_an_output_changes_nothing_in_the_program(engine: Engine):
    program = engine.compile(NETWORK, batch_size=BATCH, mode="inference")
    program.forward(state_with(engine, NETWORK, random_arrays(NETWORK)), batches()[0])["linear1"][...] = 0
    assert np.any(program.activation("linear1"))


def test_an_array_that_is_written_into_after_the_forward_pass_does_not_change_its_gradients(engine: Engine):
    program = engine.compile(NETWORK, batch_size=BATCH, mode="inference", differentiable=True, keep=("input",))
    x = batches()[0].astype(np.float32)
    program.forward(state_with(engine, NETWORK, random_arrays(NETWORK)), x)
    seed = normal((BATCH, 4))
    program.backward({"linear1": seed})
    before = program.gradient("conv1.weight")
    program.forward(state_with(engine, NETWORK, random_arrays(NETWORK)), x)
    x[...] = 0
    program.backward({"linear1": seed})
    assert np.any(program.activation("input"))
    assert relative_error(program.gradient("conv1.weight"), before) <= 1e-6


def test_every_node_can_be_kept_with_the_values_that_the_reference_gives(engine: Engine, truth: Engine):
    names = [node.name for node in NETWORK.nodes]
    arrays, x = random_arrays(NETWORK), batches()[0]
    kept = []
    for e in (engine, truth):
        program = e.compile(NETWORK, batch_size=BATCH, mode="inference", keep=names)
        program.forward(state_with(e, NETWORK, arrays), x)
        kept.append({name: program.activation(name) for name in names})
    assert beyond(1e-5, *kept) == {}


def test_the_gradients_of_kept_nodes_are_pytorchs(any_engine: Engine):
    arrays, x = random_arrays(NETWORK), batches()[0]
    network = loaded(torch_network(), arrays).train()
    names = ["input", "conv1", "bn1", "relu1", "pool1", "conv2", "leaky_relu1", "flatten1"]
    values = [torch.tensor(x, requires_grad=True)]
    for layer in network[:-1]:
        values.append(layer(values[-1]))
    loss = F.cross_entropy(network[-1](values[-1]), torch.tensor(LABELS))
    gradients = torch.autograd.grad(loss, values)
    expected = {name: gradient.numpy() for name, gradient in zip(names, gradients, strict=True)}
    program = any_engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), keep=names)
    program.step(state_with(any_engine, NETWORK, arrays), x, LABELS)
    ours = {name: program.gradient(name) for name in names}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), ours, expected) == {}


def test_the_gradient_of_the_input_of_an_inference_program_is_pytorchs_in_evaluation(any_engine: Engine):
    arrays, x, seed = random_arrays(NETWORK), batches()[0], normal((BATCH, 4))
    network = loaded(torch_network(), arrays).eval()
    image = torch.tensor(x, requires_grad=True)
    expected = torch.autograd.grad(network(image), [image, *network.parameters()], torch.tensor(seed))
    ours = run(any_engine, NETWORK, arrays, {"input": x}, seed, mode="inference")
    named = dict(zip(("input", *NETWORK.parameters), (g.numpy() for g in expected), strict=True))
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), ours.gradients, named) == {}


def test_seeds_at_several_kept_nodes_add_up(any_engine: Engine):
    arrays, x = random_arrays(NETWORK), batches()[0]
    network = loaded(torch_network(), arrays).eval()
    image = torch.tensor(x, requires_grad=True)
    hidden = network[:4](image)
    seeds = {"pool1": normal(hidden.shape, 1), "linear1": normal((BATCH, 4), 2)}
    total = (hidden * torch.tensor(seeds["pool1"])).sum() + (network[4:](hidden) * torch.tensor(seeds["linear1"])).sum()
    (expected,) = torch.autograd.grad(total, [image])
    program = any_engine.compile(NETWORK, batch_size=BATCH, mode="inference", differentiable=True, keep=("pool1",))
    program.forward(state_with(any_engine, NETWORK, arrays), x)
    program.backward(seeds)
    limit = bound(any_engine, double=1e-10, single=1e-4)
    assert relative_error(program.gradient("input"), expected) <= limit


def test_gradients_do_not_pile_up_from_one_backward_pass_to_the_next(engine: Engine):
    program = engine.compile(NETWORK, batch_size=BATCH, mode="inference", differentiable=True)
    program.forward(state_with(engine, NETWORK, random_arrays(NETWORK)), batches()[0])
    seed = normal((BATCH, 4))
    program.backward({"linear1": seed})
    first = program.gradient("conv1.weight")
    program.backward({"linear1": seed})
    assert relative_error(program.gradient("conv1.weight"), first) <= 1e-6


def test_inputs_of_other_number_types_are_accepted(any_engine: Engine):
    graph = single_layer(fv.ReLU(), (3,))
    program = any_engine.compile(graph, batch_size=2, mode="inference")
    output = program.forward(any_engine.new_state(graph), [[1, -2, 3], [0, 5, -6]])["layer"]
    assert output.tolist() == [[1, 0, 3], [0, 5, 0]]


def test_a_transposed_view_gives_the_same_as_its_copy(any_engine: Engine):
    state = state_with(any_engine, NETWORK, random_arrays(NETWORK))
    program = any_engine.compile(NETWORK, batch_size=BATCH, mode="inference")
    x = normal((BATCH, 8, 8, 3)).transpose(0, 3, 1, 2)
    expected = program.forward(state, x.copy(order="C"))["linear1"]
    assert np.array_equal(program.forward(state, x)["linear1"], expected)


def test_the_steps_of_a_training_program_name_their_node_and_phase(engine: Engine):
    program = engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=fv.SGD(), keep=("conv1",)
    )
    steps = program.steps()
    assert {step.phase for step in steps} <= {"prepare", "forward", "backward", "update"}
    assert {"forward", "backward"} <= {step.phase for step in steps}
    assert all(step.operation and step.implementation and step.bytes >= 0 for step in steps)
    assert {step.node for step in steps if step.phase != "update"} <= set(NETWORK.by_name)
    assert {"conv1", "linear1"} <= {step.node for step in steps}


def test_an_inference_program_has_no_backward_steps(engine: Engine):
    steps = engine.compile(NETWORK, batch_size=2, mode="inference").steps()
    assert {step.phase for step in steps} <= {"prepare", "forward"}
    assert steps


def test_a_step_prints_as_one_line(engine: Engine):
    step = engine.compile(NETWORK, batch_size=2, mode="inference").steps()[0]
    assert "\n" not in str(step)
    assert all(word in str(step) for word in (step.node, step.phase, step.operation, step.implementation))


def test_a_program_knows_how_much_memory_it_owns(engine: Engine):
    sizes = []
    for batch in (2, 64):
        program = engine.compile(NETWORK, batch_size=batch, mode="training", differentiable=True)
        program.forward(engine.new_state(NETWORK), normal((batch, 3, 8, 8)))
        program.backward({"linear1": normal((batch, 4))})
        sizes.append(program.memory)
    assert 0 < sizes[0] < sizes[1]


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_without_parameter_gradients_those_of_inputs_and_kept_nodes_stay_what_they_are(engine: Engine, mode: Mode):
    found = []
    for wanted in (True, False):
        program = engine.compile(
            NETWORK, batch_size=BATCH, mode=mode, keep=("pool1",), differentiable=True, parameter_gradients=wanted
        )
        program.forward(state_with(engine, NETWORK, random_arrays(NETWORK)), normal((BATCH, 3, 8, 8)))
        program.backward({"linear1": normal((BATCH, 4), 1)})
        found.append([program.gradient("input"), program.gradient("pool1")])
    for with_them, without in zip(*found, strict=True):
        assert relative_error(without, with_them) <= 1e-6
    sentence = 'the gradient of "conv1.weight" is not computed: compile without parameter_gradients=False'
    with pytest.raises(fv.EngineError, match=f"^{sentence}$"):
        program.gradient("conv1.weight")


def test_without_parameter_gradients_the_native_engine_runs_and_holds_less():
    compile_network = partial(
        get_engine("native").compile, NETWORK, batch_size=BATCH, mode="inference", differentiable=True
    )
    whole, less = compile_network(), compile_network(parameter_gradients=False)
    assert sum("weights" in step.operation for step in whole.steps()) > 0
    assert sum("weights" in step.operation for step in less.steps()) == 0
    assert less.memory < whole.memory


def test_a_loss_needs_parameter_gradients(engine: Engine):
    with pytest.raises(fv.EngineError, match=r"^a program with a loss learns parameters; leave parameter_gradients=Fa"):
        engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), parameter_gradients=False)


@pytest.mark.parametrize("options", [{}, {"differentiable": True}, {"mode": "training", "loss": fv.CrossEntropy()}])
def test_a_program_that_nobody_needs_is_gone_at_once(any_engine: Engine, options: dict):
    """Large networks' workspaces must not wait for the garbage collector, which counts objects and not bytes."""
    graph = fv.zoo.lenet5()
    program = any_engine.compile(graph, **{"batch_size": 1, "mode": "inference", **options})
    program.forward(any_engine.new_state(graph), np.zeros((1, *graph.input_shape), np.float32))
    known = weakref.ref(program)
    gc.disable()
    try:
        del program
        assert known() is None
    finally:
        gc.enable()

"""The table from layer to torch.nn: every layer and option computes there what the reference engine says."""

import pytest
import torch
from torch import nn

import foveate as fv
from foveate.engines import Engine
from foveate.engines.torch import load_arrays, parts, register, torch_network
from foveate.errors import EngineError
from foveate.layers.registry import built_in_layers
from tests.engines.cases import ALL_CASES, Case
from tests.engines.pytorch.support import made, run_module
from tests.support import beyond, random_arrays, random_inputs, random_seed, relative_error, run, single_layer


@pytest.mark.parametrize("case", ALL_CASES.values(), ids=ALL_CASES)
def test_a_layer_computes_in_pytorch_what_the_reference_engine_does(case: Case, truth: Engine):
    graph = single_layer(case.layer, *case.shapes)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, case.batch), random_seed(graph, case.batch)
    expected = run(truth, graph, arrays, inputs, seed, mode=case.mode)
    found = run_module(made(graph, arrays, case.mode), graph, inputs, seed)
    # PyTorch's hard sigmoid multiplies its gradient by a sixth in float32.
    bound = 1e-7 if isinstance(case.layer, fv.Hardsigmoid) else 1e-10
    assert relative_error(found.output, expected.output) <= bound
    assert beyond(bound, found.gradients, expected.gradients) == {}


@pytest.mark.parametrize("layer_type", built_in_layers(), ids=lambda layer_type: layer_type.__name__)
def test_no_layer_is_missing(layer_type: type[fv.Layer]):
    """Every one is made at its first case."""
    case = next(case for case in ALL_CASES.values() if type(case.layer) is layer_type)
    assert isinstance(torch_network(single_layer(case.layer, *case.shapes)), nn.Module)


@pytest.mark.parametrize("rate", [0.25, 0.5])
@pytest.mark.parametrize(
    ("layer_type", "shape"),
    [(fv.Dropout, (400,)), (fv.Dropout, (20, 5, 4)), (fv.SpatialDropout, (400,)), (fv.SpatialDropout, (400, 3))],
)
def test_dropout_drops_its_share_in_training_alone(layer_type: type[fv.Layer], shape: tuple[int, ...], rate: float):
    graph = fv.Sequential(layer_type(rate)).build(shape)  # type: ignore[call-arg]
    module = torch_network(graph)
    torch.manual_seed(0)
    dropped = module.train()(torch.ones(4, *shape))
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.05)
    assert torch.equal(module.eval()(torch.ones(4, *shape)), torch.ones(4, *shape))
    if layer_type is fv.SpatialDropout and len(shape) > 1:
        assert ((dropped == 0).float().mean(2) % 1 == 0).all()  # whole channels


def test_what_torch_nn_has_is_written_with_it():
    graph = fv.Sequential(
        fv.Conv2d(4, 3, padding="same", stride=2), fv.BatchNorm2d(), fv.MaxPool2d(2), fv.GlobalAvgPool2d(), fv.Linear(2)
    ).build((3, 8, 8), quiet=True)
    names = {name: type(module) for name, module in torch_network(graph).named_children()}
    assert names == {
        "conv1_padding": nn.ZeroPad2d,
        "conv1": nn.Conv2d,
        "bn1": nn.BatchNorm2d,
        "pool1": nn.MaxPool2d,
        "pool2": nn.AdaptiveAvgPool2d,
        "pool2_flatten": nn.Flatten,
        "linear1": nn.Linear,
    }


class Unheard(fv.ElementwiseLayer):
    """A layer that PyTorch does not have."""

    label = "unheard"


class Twice(fv.ElementwiseLayer):
    """A layer that PyTorch is told."""

    label = "twice"


class UnheardJoin(fv.Layer):
    """A layer of two inputs that PyTorch does not have."""

    label = "unheard"
    inputs_expected = (2, 2)

    def output_shape(self, input_shapes):
        return input_shapes[0]


def test_a_layer_without_a_counterpart_is_refused_with_the_way_to_give_it_one():
    graph = fv.Sequential(Unheard()).build((2, 5, 5))
    with pytest.raises(
        EngineError,
        match=r"^unheard1 \(Unheard\) has no counterpart in PyTorch; "
        r"foveate\.engines\.torch\.register\(Unheard, make\) gives it one$",
    ):
        torch_network(graph)


def test_a_layer_of_several_inputs_without_a_counterpart_is_refused():
    builder = fv.GraphBuilder()
    value = builder.input((3,))
    graph = builder.build(builder.add(UnheardJoin(), value, value))
    with pytest.raises(
        EngineError,
        match=r"^unheard1 \(UnheardJoin\) has no counterpart in PyTorch, and only layers with one input can "
        "be given one$",
    ):
        torch_network(graph)


def test_a_layer_of_ones_own_is_written_as_it_was_told():
    class Doubling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    register(Twice, lambda layer, input_shapes: Doubling())
    module = torch_network(fv.Sequential(Twice()).build((3,)))
    assert torch.equal(module(torch.ones(1, 3)), torch.full((1, 3), 2.0))


def test_a_built_in_layer_is_not_told_anew():
    with pytest.raises(fv.LayerError, match="foveate already has a layer called ReLU"):
        register(fv.ReLU, lambda layer, input_shapes: nn.ReLU())
    assert isinstance(parts(fv.ReLU(), single_layer(fv.ReLU(), (3,)).nodes[0])[0][1], nn.ReLU)


def test_frozen_layers_do_not_learn_and_a_frozen_normalisation_keeps_its_statistics():
    graph = fv.Sequential(
        fv.Conv2d(4, 3, frozen=True), fv.BatchNorm2d(frozen=True), fv.Conv2d(2, 1), fv.BatchNorm2d()
    ).build((3, 6, 6))
    module = torch_network(graph).train()
    learning = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert learning == {"conv2.weight", "conv2.bias", "bn2.weight", "bn2.bias"}
    before = {name: array.clone() for name, array in module.state_dict().items()}
    module(torch.randn(3, 3, 6, 6))
    changed = {name for name, array in module.state_dict().items() if not torch.equal(array, before[name])}
    assert changed == {"bn2.running_mean", "bn2.running_var", "bn2.num_batches_tracked"}


def test_arrays_of_another_network_are_refused():
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((3,))
    arrays = random_arrays(graph)
    arrays["other"] = arrays.pop("linear1.bias")
    with pytest.raises(EngineError, match=r"^these arrays are not those of network: linear1\.bias, other$"):
        load_arrays(torch_network(graph), graph, arrays)

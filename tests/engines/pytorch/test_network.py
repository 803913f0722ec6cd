"""Whole graphs as PyTorch models: one line a layer, foveate's names, pickled, copied, compiled and exported."""

import copy
import io

import numpy as np
import pytest
import torch
from torch import fx, nn

import foveate as fv
from foveate.engines import Engine
from foveate.engines.torch import load_arrays, torch_names, torch_network
from foveate.errors import EngineError
from foveate.graph import Graph
from tests.engines.pytorch.support import made, run_module
from tests.support import beyond, random_arrays, random_inputs, random_seed, relative_error, run, state_with


def every_kind() -> Graph:
    """Branches, a residual, asymmetric padding and a product that reads its own input twice."""
    graph = fv.Sequential(
        fv.Conv2d(4, 3, padding=1, groups=2),
        fv.LeakyReLU(),
        fv.Conv2d(6, 2, padding="same", stride=2, bias=False),
        fv.BatchNorm2d(),
        fv.Concat(
            fv.Sequential(fv.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), fv.Conv2d(2, 1), fv.Sigmoid()),
            fv.MaxPool2d(2, stride=1, padding="same"),
            fv.AvgPool2d(2, stride=1, padding="same", count_include_pad=False),
            fv.Sequential(fv.Pad(((1, 0), (1, 1), (1, 1))), fv.Conv2d(2, 3), fv.Tanh()),
        ),
        fv.Residual(
            fv.Conv2d(8, 1), shortcut=fv.Sequential(fv.MaxPool2d(1, stride=1), fv.Pad(((-8, 0), (0, 0), (0, 0))))
        ),
        fv.MaxPool2d(3, stride=2, padding=((0, 1), (1, 1)), ceil_mode=True),
        fv.GlobalAvgPool2d(),
        fv.Linear(5),
    )
    return graph.build((2, 9, 9), quiet=True)


def shared() -> Graph:
    """Layers that share parameters: one twice the same, one with another step, one with other borders."""
    builder = fv.GraphBuilder(name="shared layers")
    image = builder.input((2, 9, 9), "the image")
    first = builder.add(fv.Conv2d(2, 3, padding=1), image, parameters="shared.conv")
    second = builder.add(fv.Conv2d(2, 3, padding=1), first, parameters="shared.conv")
    third = builder.add(fv.Conv2d(2, 3, stride=2, padding=1), second, parameters="shared.conv", name="third.conv")
    fourth = builder.add(fv.Conv2d(2, 3, stride=2, padding="same"), second, parameters="shared.conv")
    ends = [builder.add(fv.BatchNorm2d(), each, parameters="norm") for each in (third, fourth)]
    pooled = [
        builder.add(fv.AvgPool2d(size, stride=size, padding="same", count_include_pad=False), value, parameters="p")
        for size, value in ((3, ends[0]), (4, ends[1]))
    ]
    return builder.build(builder.add(fv.Add(), *pooled), quiet=True)


def awkward_names() -> Graph:
    """Names that mean something to nn.Module, that no Python name can be, or that the writer would like for itself."""
    builder = fv.GraphBuilder(name="1st")
    value = builder.input((2, 5, 5), "class x")
    for name in ("train", "train_", "half.forward", "with blanks", "conv.weight.0", "about", "code", "ünïcode"):
        value = builder.add(fv.Conv2d(2, 1), value, name=name)
    padded = builder.add(fv.Conv2d(2, 2, padding="same"), value, name="even")
    return builder.build(builder.add(fv.Conv2d(2, 1), padded, name="even_padding"))


def chain_of_awkward_names() -> Graph:
    builder = fv.GraphBuilder()
    value = builder.input((2, 5, 5))
    for name, layer in (("append", fv.Conv2d(2, 2, padding="same")), ("append_padding", fv.Conv2d(2, 1))):
        value = builder.add(layer, value, name=name)
    return builder.build(value)


def forked() -> Graph:
    """Two inputs, two outputs, one of them in the middle."""
    builder = fv.GraphBuilder()
    image, facts = builder.input((3, 6, 6), "image"), builder.input((4,), "facts")
    pooled = builder.add(fv.GlobalAvgPool2d(), builder.add(fv.Conv2d(4, 3), image))
    scaled = builder.add(fv.Multiply(), pooled, builder.add(fv.Sigmoid(), facts), name="scaled")
    return builder.build(builder.add(fv.Linear(2), scaled, name="head"), scaled)


GRAPHS = {
    "every kind": every_kind, "shared": shared, "awkward names": awkward_names, "chain": chain_of_awkward_names,
    "lenet5": fv.zoo.lenet5, "vgg6": fv.zoo.vgg6, "resnet20": fv.zoo.resnet20,
}  # fmt: skip


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_network_computes_in_pytorch_what_the_reference_engine_does(name: str, mode: str, truth: Engine):
    graph = GRAPHS[name]()
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 3), random_seed(graph, 3)
    expected = run(truth, graph, arrays, inputs, seed, mode=mode)  # type: ignore[arg-type]
    found = run_module(made(graph, arrays, mode), graph, inputs, seed)  # type: ignore[arg-type]
    assert relative_error(found.output, expected.output) <= 1e-10
    assert beyond(1e-8, found.gradients, expected.gradients) == {}


def test_it_measures_the_same_statistics(truth: Engine):
    graph = fv.zoo.vgg6()
    arrays, inputs = random_arrays(graph), random_inputs(graph, 3)
    state = state_with(truth, graph, arrays)
    truth.compile(graph, batch_size=3, mode="training").forward(state, inputs)
    module = made(graph, arrays)
    module(torch.tensor(inputs["input"]))
    measured = {name: module.state_dict()[name] for name in graph.statistics}
    assert not beyond(1e-10, measured, {name: state.read(name) for name in graph.statistics})


def test_a_chain_is_written_as_a_sequential_and_anything_else_as_code():
    assert isinstance(torch_network(fv.zoo.vgg6()), nn.Sequential)
    network = torch_network(fv.zoo.resnet20())
    assert isinstance(network, fx.GraphModule)
    assert 'getattr(self.stage1, "0").conv1(' in network.code


def test_its_parameters_have_foveates_names():
    graph = fv.zoo.resnet20()
    own = torch_network(graph).state_dict()
    assert {name for name in own if not name.endswith(".num_batches_tracked")} == {*graph.parameters, *graph.statistics}
    assert all(tuple(own[name].shape) == parameter.shape for name, parameter in graph.parameters.items())


def test_names_that_mean_something_to_pytorch_get_an_underscore():
    names = torch_names(awkward_names())
    assert {names[f"{name}.weight"] for name in ("train", "train_", "half.forward", "with blanks")} == {
        "train_.weight", "train__.weight", "half_.forward_.weight", "with blanks.weight"
    }  # fmt: skip
    module = torch_network(awkward_names())
    assert {*names.values()} == {*module.state_dict()}
    assert type(module).__name__ == "Network_1st"


def test_shared_parameters_are_shared_in_pytorch_too():
    module = torch_network(shared())
    names = dict(module.named_parameters(remove_duplicate=False))
    assert names["shared.conv.weight"] is names["third.conv.weight"]
    assert len(list(module.parameters())) == 4  # one weight and bias of the convolutions, one of the normalisations


def test_statistics_shared_by_layers_with_other_options_are_refused():
    builder = fv.GraphBuilder()
    value = builder.input((2, 3, 3))
    for options in ({}, {"eps": 0.1}):
        value = builder.add(fv.BatchNorm2d(**options), value, parameters="norm")
    with pytest.raises(
        EngineError,
        match=r'^bn2 \(BatchNorm2d\) shares running statistics with another layer as "norm", but has other '
        "options, which PyTorch cannot express. Give both the same options, or parameters of their own$",
    ):
        torch_network(builder.build(value))


def test_several_inputs_come_in_order_and_several_outputs_are_a_tuple(truth: Engine):
    graph = forked()
    arrays, inputs = random_arrays(graph), random_inputs(graph, 2)
    module = made(graph, arrays, "inference")
    outputs = module(*(torch.tensor(inputs[name]) for name in graph.inputs))
    expected = truth.compile(graph, batch_size=2, mode="inference").forward(state_with(truth, graph, arrays), inputs)
    assert list(expected) == ["head", "scaled"]
    assert all(
        relative_error(found.detach(), expected[name]) <= 1e-10 for name, found in zip(expected, outputs, strict=True)
    )


def reopened(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {
    "copied": copy.deepcopy,
    "pickled": reopened,
    "pickled twice": lambda module: reopened(reopened(module)),
    "exported": lambda module: torch.export.export(module, (torch.zeros(2, 2, 9, 9),)).module(),
    "compiled": lambda module: torch.compile(module, backend="eager", fullgraph=True),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch about itself, while it compiles
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["every kind", "shared"])
def test_a_network_stays_itself_when_it_is(way: str, name: str):
    graph = GRAPHS[name]()
    module = torch_network(graph).eval()
    load_arrays(module, graph, random_arrays(graph))
    x = torch.randn(2, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    other = WAYS[way](module)
    assert torch.allclose(other(x), module(x), atol=1e-6)


def test_a_state_dict_goes_out_and_in():
    graph = every_kind()
    first, second = torch_network(graph).eval(), torch_network(graph).eval()
    load_arrays(first, graph, random_arrays(graph))
    second.load_state_dict(first.state_dict())
    x = torch.ones(1, 2, 9, 9)
    assert torch.equal(first(x), second(x))
    assert all(np.isfinite(array.numpy()).all() for array in second.state_dict().values())

"""The networks that people know, with their published figures."""

import re
from math import prod
from typing import Any

import pytest

import foveate as fv
from foveate.zoo import NETWORKS, lenet5, make, resnet20, vgg6
from tests.engines.torch_networks import NETWORKS as IN_PYTORCH

PARAMETERS = {
    "lenet5": 61_706,  # the usual ReLU and max-pooling form at 28x28, ten classes
    "resnet20": 269_722,  # He et al. 2015, section 4.2: "0.27M", with parameter-free shortcuts
    "vgg6": 298_410,  # nine products by hand: 285,984 in convolutions, 896 in normalisation, 11,530 linear
}

every_network = pytest.mark.parametrize("name", NETWORKS)


def test_every_network_has_a_published_count():
    assert set(PARAMETERS) == set(NETWORKS)


@every_network
def test_a_network_has_its_published_number_of_parameters(name: str):
    assert make(name).summary().total_parameters == PARAMETERS[name]


@every_network
def test_a_network_has_the_parameters_of_its_pytorch_twin(name: str):
    theirs = [tuple(parameter.shape) for parameter in IN_PYTORCH[name]().parameters()]
    assert [parameter.shape for parameter in make(name).parameters.values()] == theirs


@pytest.mark.parametrize(("name", "macs"), [("lenet5", 416_520), ("vgg6", 29_138_688), ("resnet20", 40_551_040)])
def test_a_network_costs(name: str, macs: int):
    """ResNet-20: 40,550,400 in its convolutions, 640 in its linear layer."""
    assert make(name).summary().total_macs == macs


def test_vgg6_takes_the_measured_number_of_operations():
    assert make("vgg6").summary().total_flops == pytest.approx(58.5e6, rel=0.01)


@pytest.mark.parametrize(("name", "shape"), [("lenet5", (1, 28, 28)), ("vgg6", (1, 28, 28)), ("resnet20", (3, 32, 32))])
def test_a_network_has_its_own_input_and_ten_classes(name: str, shape: tuple[int, ...]):
    graph = make(name)
    assert (graph.name, graph.input_shape, graph.output_shape) == (name, shape, (10,))


@every_network
def test_the_input_shape_and_the_number_of_classes_can_be_chosen(name: str):
    graph = make(name, input_shape=(3, 40, 36), classes=7)
    assert (graph.input_shape, graph.output_shape) == ((3, 40, 36), (7,))


@pytest.mark.parametrize(("name", "function"), [("lenet5", lenet5), ("vgg6", vgg6), ("resnet20", resnet20)])
def test_making_a_network_by_its_name_calls_its_function(name: str, function: Any):
    assert make(name, classes=3) == function(classes=3)


def test_the_shapes_of_lenet5():
    shapes = [node.output_shape for node in lenet5().nodes if node.layer.label in ("conv", "pool", "linear")]
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]


def test_resnet20_has_nineteen_convolutions_in_three_stages_named_after_them():
    graph = resnet20()
    names = [node.name for node in graph.nodes if isinstance(node.layer, fv.Conv2d)]
    expected = [f"stage{s}.{b}.conv{c}" for s in (1, 2, 3) for b in (0, 1, 2) for c in (1, 2)]
    assert names == ["conv1", *expected]
    assert {s: graph.node(f"stage{s}.2.add").output_shape for s in (1, 2, 3)} == {
        1: (16, 32, 32),
        2: (32, 16, 16),
        3: (64, 8, 8),
    }


def test_the_shortcuts_of_resnet20_have_no_parameters():
    graph = resnet20()
    shortcuts = [node for node in graph.nodes if ".shortcut." in node.name]
    assert [type(node.layer) for node in shortcuts] == [fv.MaxPool2d, fv.Pad] * 2
    assert not any(prod(p.shape) for node in shortcuts for p in node.layer.parameters(node.input_shapes).values())


def test_an_unknown_network_is_refused_with_the_nearest_names():
    sentence = 'there is no network "resnet2O". Nearest: resnet20'
    with pytest.raises(fv.GraphError, match=f"^{re.escape(sentence)}"):
        make("resnet2O")


def test_a_network_for_images_that_are_too_small_says_so():
    with pytest.raises(fv.ShapeError, match="does not fit its"):
        lenet5(input_shape=(1, 8, 8))

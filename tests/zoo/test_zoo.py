"""The networks that people know, with their published figures."""

import re
from math import prod
from typing import Any

import pytest

import foveate as fv
from foveate.zoo import NETWORKS, lenet5, make, resnet20, vgg6
from tests.engines.torch_networks import NETWORKS as IN_PYTORCH

PARAMETERS = {
    "lenet5": ("the usual ReLU and max-pooling form at 28x28, ten classes", 61_706),
    "alexnet": ("torchvision", 61_100_840),
    "zfnet": ("pytorchcv", 62_357_608),
    "vgg6": ("by hand: 285,984 in convolutions, 896 in normalisation, 11,530 linear", 298_410),
    "vgg11": ("torchvision", 132_863_336),
    "vgg11_bn": ("torchvision", 132_868_840),
    "vgg13": ("torchvision", 133_047_848),
    "vgg13_bn": ("torchvision", 133_053_736),
    "vgg16": ("torchvision", 138_357_544),
    "vgg16_bn": ("torchvision", 138_365_992),
    "vgg19": ("torchvision", 143_667_240),
    "vgg19_bn": ("torchvision", 143_678_248),
    "nin": ("pytorchcv, nin_cifar10", 966_986),
    "googlenet": ("torchvision without auxiliary heads", 6_624_904),
    "resnet18": ("torchvision", 11_689_512),
    "resnet34": ("torchvision", 21_797_672),
    "resnet50": ("torchvision", 25_557_032),
    "resnet101": ("torchvision", 44_549_160),
    "resnet152": ("torchvision", 60_192_808),
    "resnet20": ("He et al. 2015, table 6: 0.27M, with parameter-free shortcuts", 269_722),
    "resnet32": ("He et al. 2015, table 6: 0.46M", 464_154),
    "resnet44": ("He et al. 2015, table 6: 0.66M", 658_586),
    "resnet56": ("He et al. 2015, table 6: 0.85M", 853_018),
    "resnet110": ("He et al. 2015, table 6: 1.7M", 1_727_962),
    "wide_resnet28_10": ("pytorchcv, wrn28_10_cifar10; the paper: 36.5M", 36_479_194),
    "squeezenet1_0": ("torchvision", 1_248_424),
    "squeezenet1_1": ("torchvision", 1_235_496),
    "densenet121": ("torchvision", 7_978_856),
    "mobilenet_v1": ("pytorchcv, mobilenet_w1; the paper: 4.2M", 4_231_976),
    "mobilenet_v2": ("torchvision", 3_504_872),
    "mobilenet_v3_large": ("torchvision", 5_483_032),
    "mobilenet_v3_small": ("torchvision", 2_542_856),
    "mobilenet_like": ("by hand: 928 in the stem, 269,824 in six bottlenecks, 1,610 linear", 272_362),
    "shufflenet_v1": ("pytorchcv, shufflenet_g3_w1", 1_865_728),
    "shufflenet_v2_x1_0": ("torchvision", 2_278_604),
    "efficientnet_b0": ("torchvision", 5_288_548),
    "efficientnet_lite0": ("timm; KerasHub's efficientnet_lite0_ra_imagenet", 4_652_008),
    "audio4": ("by hand: 387,360 in convolutions, 960 in normalisation, 2,570 linear", 390_890),
    "volume3d": ("by hand: 290,736 in convolutions, 480 in normalisation, 1,290 linear", 292_506),
}

TORCHVISION_NAMES = {
    "alexnet": ("features.0.weight", "classifier.1.bias", "classifier.6.weight"),
    "vgg11_bn": ("features.1.running_mean", "features.25.bias", "classifier.3.weight"),
    "googlenet": ("conv1.conv.weight", "inception3a.branch2.1.bn.running_var", "inception5b.branch4.1.conv.weight"),
    "resnet18": ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.1.bn2.running_mean", "fc.bias"),
    "resnet50": ("layer1.0.conv3.weight", "layer3.5.bn3.weight"),
    "squeezenet1_0": ("features.3.squeeze.weight", "features.12.expand3x3.bias", "classifier.1.weight"),
    "densenet121": (
        "features.conv0.weight",
        "features.denseblock3.denselayer24.norm2.running_var",
        "features.transition3.conv.weight",
        "features.norm5.bias",
        "classifier.weight",
    ),
    "mobilenet_v2": ("features.0.0.weight", "features.1.conv.1.weight", "features.17.conv.3.bias", "classifier.1.bias"),
    "mobilenet_v3_large": (
        "features.1.block.0.0.weight",
        "features.4.block.2.fc1.bias",
        "features.16.1.running_mean",
        "classifier.3.weight",
    ),
    "shufflenet_v2_x1_0": (
        "conv1.0.weight",
        "stage2.0.branch1.3.weight",
        "stage4.3.branch2.6.running_var",
        "conv5.1.bias",
        "fc.weight",
    ),
    "efficientnet_b0": ("features.1.0.block.1.fc2.weight", "features.7.0.block.3.1.bias", "features.8.0.weight"),
}

every_network = pytest.mark.parametrize("name", NETWORKS)


def test_every_network_has_a_published_count():
    assert set(PARAMETERS) == set(NETWORKS)


@every_network
def test_a_network_has_its_published_number_of_parameters(name: str):
    _, count = PARAMETERS[name]
    assert make(name).summary().total_parameters == NETWORKS[name].parameters == count
    assert f"{count:,} parameters" in NETWORKS[name].function.__doc__


@every_network
def test_the_index_tells_the_truth(name: str):
    network, graph = NETWORKS[name], make(name)
    assert (graph.name, graph.input_shape, graph.output_shape) == (name, network.input_shape, (network.classes,))
    assert network.name == name
    assert network.title
    assert re.search(r"\b(19|20)\d\d$", network.paper)
    assert network.source


@pytest.mark.parametrize("name", TORCHVISION_NAMES)
def test_arrays_are_called_as_in_torchvision(name: str):
    graph = make(name)
    assert {*TORCHVISION_NAMES[name]} - {*graph.parameters, *graph.statistics} == set()


@pytest.mark.parametrize("name", IN_PYTORCH)
def test_a_network_has_the_parameters_of_its_pytorch_twin(name: str):
    theirs = [tuple(parameter.shape) for parameter in IN_PYTORCH[name]().parameters()]
    assert [parameter.shape for parameter in make(name).parameters.values()] == theirs


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("lenet5", 416_520),
        ("vgg6", 29_138_688),
        ("resnet20", 40_551_040),
        ("resnet18", 1_814_073_344),
        ("resnet50", 4_089_184_256),
        ("mobilenet_v2", 300_774_272),
    ],
)
def test_a_network_costs(name: str, macs: int):
    """ResNet-20: 40,550,400 in its convolutions, 640 in its linear layer; torchvision rounds its own to 1e6."""
    assert make(name).summary().total_macs == macs


def test_vgg6_takes_the_measured_number_of_operations():
    assert make("vgg6").summary().total_flops == pytest.approx(58.5e6, rel=0.01)


@every_network
def test_the_input_shape_and_the_number_of_classes_can_be_chosen(name: str):
    axes = len(NETWORKS[name].input_shape) - 1
    shape = (2, *{1: (1000,), 2: (72, 64), 3: (16, 24, 20)}[axes])
    graph = make(name, input_shape=shape, classes=7)
    assert (graph.input_shape, graph.output_shape) == (shape, (7,))


@pytest.mark.parametrize(("name", "function"), [("lenet5", lenet5), ("vgg6", vgg6), ("resnet20", resnet20)])
def test_making_a_network_by_its_name_calls_its_function(name: str, function: Any):
    assert make(name, classes=3) == NETWORKS[name](classes=3) == function(classes=3)


def test_the_shapes_of_lenet5():
    shapes = [node.output_shape for node in lenet5().nodes if node.layer.label in ("conv", "pool", "linear")]
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet50", {"layer1": (256, 56, 56), "layer3": (1024, 14, 14), "layer4": (2048, 7, 7)}),
        ("googlenet", {"inception3b": (480, 28, 28), "inception4e": (832, 14, 14), "inception5b": (1024, 7, 7)}),
        ("densenet121", {"denseblock1": (256, 56, 56), "denseblock4": (1024, 7, 7)}),
        ("shufflenet_v1", {"stage2": (240, 28, 28), "stage3": (480, 14, 14), "stage4": (960, 7, 7)}),
        ("shufflenet_v2_x1_0", {"stage2": (116, 28, 28), "stage3": (232, 14, 14), "stage4": (464, 7, 7)}),
        ("wide_resnet28_10", {"group1": (160, 32, 32), "group2": (320, 16, 16), "group3": (640, 8, 8)}),
        ("squeezenet1_0", {"features.5": (256, 54, 54), "features.12": (512, 13, 13)}),
        ("zfnet", {"features.3": (96, 55, 55), "features.7": (256, 13, 13), "features.14": (256, 6, 6)}),
    ],
)  # fmt: skip
def test_the_stages_have_the_sizes_of_the_papers_table(name: str, shapes: dict[str, tuple[int, ...]]):
    """The last node under each name."""
    nodes = make(name).nodes
    last = {stage: [n for n in nodes if f"{stage}." in f"{n.name}."][-1].output_shape for stage in shapes}
    assert last == shapes


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
    sentence = 'there is no network "resnet2O". Nearest: resnet'
    with pytest.raises(fv.GraphError, match=f"^{re.escape(sentence)}"):
        make("resnet2O")


def test_a_network_for_images_that_are_too_small_says_so():
    with pytest.raises(fv.ShapeError, match="does not fit its"):
        lenet5(input_shape=(1, 8, 8))

"""Networks of which two worlds have weights: what differs is padding, epsilon and for MobileNet v1 the activation."""

import pytest

import foveate as fv
from foveate.zoo import NETWORKS, make

HAVING = [name for name, network in NETWORKS.items() if network.has_variants]


def test_these_have_variants():
    assert HAVING == ["mobilenet_v1", "efficientnet_b0", "efficientnet_lite0"]


@pytest.mark.parametrize("name", HAVING)
def test_tensorflows_variant_pads_at_the_end_first_with_its_epsilon(name: str):
    ours, theirs = make(name), make(name, variant="tensorflow")
    assert make(name, variant="torch") == ours
    assert {each.name for each in ours.nodes} == {each.name for each in theirs.nodes}
    assert {n: p.shape for n, p in ours.parameters.items()} == {n: p.shape for n, p in theirs.parameters.items()}
    convolutions = [node for node in theirs.nodes if isinstance(node.layer, fv.Conv2d) and not node.layer.bias]
    strided = [node for node in convolutions if node.layer.stride == (2, 2)]
    assert len(strided) == 5
    for node in strided:
        assert [window.padding for window in node.windows] in ([(0, 1)] * 2, [(1, 2)] * 2)
    assert {node.layer.padding for node in convolutions} == {"same"}
    assert {node.layer.eps for node in theirs.nodes if isinstance(node.layer, fv.BatchNorm2d)} == {1e-3}
    assert {node.layer.eps for node in ours.nodes if isinstance(node.layer, fv.BatchNorm2d)} == {1e-5}


def test_keras_mobilenet_has_relu6():
    kinds = {
        variant: {type(node.layer) for node in make("mobilenet_v1", variant=variant).nodes}
        for variant in ("torch", "tensorflow")
    }
    assert fv.ReLU6 in kinds["tensorflow"] - kinds["torch"]
    assert fv.ReLU in kinds["torch"] - kinds["tensorflow"]


@pytest.mark.parametrize("name", HAVING)
def test_another_variant_is_refused(name: str):
    with pytest.raises(fv.GraphError, match=r"^there is no variant 'caffe'; choose .torch. or .tensorflow.$"):
        make(name, variant="caffe")


def test_a_network_without_variants_says_which_have_some():
    sentence = (
        "^resnet18 has no variants; the networks that have any are mobilenet_v1, efficientnet_b0, efficientnet_lite0$"
    )
    with pytest.raises(fv.GraphError, match=sentence):
        make("resnet18", variant="tensorflow")


def test_inputs_are_scaled_as_for_the_published_weights():
    for name, network in NETWORKS.items():
        assert (network.scaling() is None) == network.weights.startswith("none"), name
    assert NETWORKS["resnet50"].scaling() == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert NETWORKS["googlenet"].scaling() == ((0.5,) * 3, (0.5,) * 3)
    lite = NETWORKS["efficientnet_lite0"]
    assert lite.scaling("tensorflow") == ((127 / 255,) * 3, (128 / 255,) * 3)
    assert lite.scaling("torch") == lite.scaling() == NETWORKS["resnet50"].scaling()


def test_every_network_says_whose_weights_it_takes():
    for name, network in NETWORKS.items():
        assert network.weights, name
        if network.source.startswith("torchvision"):
            assert network.weights.startswith("torchvision's"), name
        if network.has_variants:
            assert 'variant="tensorflow"' in network.weights, name
        told = " ".join((network.function.__doc__ or "").split())
        whose = network.weights.split("'")[0]
        assert network.weights.startswith("none") or f"{whose}'s" in told, name

"""Multiply-accumulates of the zoo against torchvision's published figures.

torchvision writes "GFLOPS" beside each of its weights, in thousand millions of multiply-accumulates at 3x224x224
(`_ops` in the meta-data of its weights, three decimals).
"""

import pytest

import foveate as fv

TORCHVISION = {
    "alexnet": 0.714,
    "densenet121": 2.834,
    "efficientnet_b0": 0.386,
    "googlenet": 1.498,
    "mobilenet_v2": 0.301,
    "mobilenet_v3_large": 0.217,
    "mobilenet_v3_small": 0.057,
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "shufflenet_v2_x1_0": 0.145,
    "squeezenet1_0": 0.819,
    "squeezenet1_1": 0.349,
    "vgg11": 7.609,
    "vgg13": 11.308,
    "vgg16": 15.47,
    "vgg19": 19.632,
    "vgg11_bn": 7.609,
    "vgg13_bn": 11.308,
    "vgg16_bn": 15.47,
    "vgg19_bn": 19.632,
}


@pytest.mark.parametrize(("name", "published"), TORCHVISION.items(), ids=TORCHVISION)
def test_macs_are_those_that_torchvision_publishes(name: str, published: float):
    macs = fv.zoo.make(name).summary().total_macs / 1e9
    assert macs == pytest.approx(published, rel=0.005, abs=0.001)

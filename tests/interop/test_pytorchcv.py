"""Module code that nobody here wrote: architectures of pytorchcv, random weights, inputs at their own size."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from importlib import import_module

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import foveate as fv
from tests.support import relative_error

ARCHITECTURES = {
    "resnet10": ("resnet", 224),
    "resnext26_32x4d": ("resnext", 224),
    "seresnet10": ("seresnet", 224),
    "preresnet10": ("preresnet", 224),
    "densenet121": ("densenet", 224),
    "peleenet": ("peleenet", 224),
    "inceptionv3": ("inceptionv3", 299),
    "xception": ("xception", 299),
    "mobilenetv2b_w1": ("mobilenetv2", 224),
    "mnasnet_b1": ("mnasnet", 224),
    "efficientnet_b0": ("efficientnet", 224),
    "shufflenet_g3_w1": ("shufflenet", 224),
    "shufflenetv2_wd2": ("shufflenetv2", 224),
    "regnetx002": ("regnet", 224),
    "hrnet_w18_small_v1": ("hrnet", 224),
    "dla34": ("dla", 224),
    "vovnet27s": ("vovnet", 224),
    "squeezenet_v1_0": ("squeezenet", 224),
    "darknet53": ("darknet53", 224),
    "selecsls42b": ("selecsls", 224),
    "hardnet39ds": ("hardnet", 224),
    "mobilenetv3_large_w1": ("mobilenetv3", 224),
    "ghostnet": ("ghostnet", 224),
    "unet_cityscapes": ("unet", 64),
    "fastscnn_cityscapes": ("fastscnn", 128),
}
SEGMENTATIONS = {"unet_cityscapes": (64, 128), "fastscnn_cityscapes": (128, 256)}
"""Those that are made for the size of their input."""

QUICK = ("resnet10", "seresnet10", "shufflenetv2_wd2", "ghostnet", "unet_cityscapes", "fastscnn_cityscapes")


def architecture(name: str) -> nn.Module:
    make = getattr(import_module(f"pytorchcv.models.{ARCHITECTURES[name][0]}"), name)
    return unlike_the_start(partial(make, in_size=SEGMENTATIONS[name]) if name in SEGMENTATIONS else make)


def unlike_the_start(make: Callable[[], nn.Module]) -> nn.Module:
    """The network with statistics that are none of those it starts with."""
    torch.manual_seed(0)
    module = make()
    for key, buffer in module.named_buffers():
        if "running" in key:
            nn.init.uniform_(buffer, *((0.5, 1.5) if "var" in key else (-0.2, 0.2)))
    return module.eval()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]
)
def test_an_architecture_comes_in_with_its_outputs_and_names(name: str):
    module, size = architecture(name), SEGMENTATIONS.get(name, (ARCHITECTURES[name][1],) * 2)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    model = fv.from_torch(module, x[:1])
    with torch.inference_mode():
        rounded, exact = (tree_leaves(given) for given in (module(x), deepcopy(module).double()(x.double())))
    ours = model.outputs(x.numpy()).values()
    # A deep network of random weights rounds by more than that in PyTorch too. MobileNet v3's gates are hard sigmoids
    # of numbers up to 280, of which only those between -3 and 3 count: each gate doubles or triples the rounding before
    # it, so that its last digits depend on the instruction set (2e-5 with AVX-512, 4e-5 with AVX2).
    for found, theirs, right in zip(ours, rounded, exact, strict=True):
        allowed = 6e-5 if "mobilenetv3" in name else max(1e-5, 3 * relative_error(theirs, right))
        assert relative_error(found, right) <= allowed
    state = {key for key in module.state_dict() if "num_batches" not in key}
    assert set(model.state.names()) == set(model.names.values()) == state


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("mobilenet_v1", ("mobilenet", "mobilenet_w1")),
        ("shufflenet_v1", ("shufflenet", "shufflenet_g3_w1")),
        ("wide_resnet28_10", ("wrn_cifar", "wrn28_10_cifar10")),
    ],
)
def test_networks_of_the_zoo_take_the_weights_that_they_say(ours: str, theirs: tuple[str, str]):
    module = unlike_the_start(getattr(import_module(f"pytorchcv.models.{theirs[0]}"), theirs[1]))
    model = fv.Model(fv.zoo.make(ours)).load_torch(module.state_dict())
    x = torch.randn(1, *model.graph.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert relative_error(model.logits(x.numpy()), module(x)) <= 1e-5

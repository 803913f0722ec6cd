"""Networks in foveate and in PyTorch with the same parameters; every ReLU is a module, because Captum hooks modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import nn

import foveate as fv
from foveate.engines import Engine
from foveate.graph import Graph, GraphBuilder
from foveate.model import Model
from tests.engines.torch_networks import BasicBlock, lenet5, vgg6
from tests.support import Array, Arrays, normal, random_arrays


class ModularBlock(BasicBlock):
    """The basic block of torch_networks, with a module for each of its rectifiers."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, nn.ReLU)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        half = self.grown // 2
        return self.relu2(y + nn.functional.pad(shortcut, (0, 0, 0, 0, half, half)))


def modular_resnet20() -> nn.Module:
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *(ModularBlock(before, after) for before, after in pairwise(widths)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def branching() -> Graph:
    """Two branches from one rectifier, which fans out, joined along the channels."""
    builder = GraphBuilder(name="branching")
    stem = builder.add(fv.ReLU(), builder.add(fv.Conv2d(6, 3, padding=1), builder.input((3, 13, 11))))
    left = builder.add(fv.ReLU(), builder.add(fv.Conv2d(4, 1), stem))
    right = builder.add(fv.ReLU(), builder.add(fv.BatchNorm2d(), builder.add(fv.Conv2d(5, 3, padding=1), stem)))
    both = builder.add(fv.AvgPool2d(2), builder.add(fv.Concatenate(), left, right))
    return builder.build(builder.add(fv.Linear(7), builder.add(fv.Flatten(), both)), quiet=True)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.left = nn.Sequential(nn.Conv2d(6, 4, 1), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(6, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU())
        self.joined = nn.Identity()
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(9 * 6 * 5, 7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = self.stem(x)
        return self.head(self.joined(torch.cat([self.left(stem), self.right(stem)], dim=1)))


def sound() -> Graph:
    return fv.Sequential(
        fv.Conv1d(6, 9, stride=2, padding=4), fv.BatchNorm1d(), fv.ReLU(), fv.MaxPool1d(2),
        fv.Conv1d(8, 5, padding=2), fv.ReLU(), fv.GlobalAvgPool1d(), fv.Linear(4),
    ).build((2, 101), quiet=True, name="sound")  # fmt: skip


def torch_sound() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 6, 9, stride=2, padding=4), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(6, 8, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def volume() -> Graph:
    return fv.Sequential(
        fv.Conv3d(4, 3, padding=1), fv.ReLU(), fv.MaxPool3d(2), fv.Conv3d(6, 3, padding=1), fv.BatchNorm3d(),
        fv.ReLU(), fv.GlobalAvgPool3d(), fv.Linear(3),
    ).build((1, 8, 10, 9), quiet=True, name="volume")  # fmt: skip


def torch_volume() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 6, 3, padding=1), nn.BatchNorm3d(6),
        nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """How to make a network in both, the seed of its images, and its layers for Grad-CAM by foveate's names.

    The first of the layers is the one that foveate takes unless told. With the seed no ReLU and no maximum turns over
    where every product gets noise of 3e-6 of its size, more than float32 makes; a large network has such a seed for one
    image only.
    """

    graph: Callable[[], Graph]
    network: Callable[[], nn.Module]
    seed: int
    layers: Mapping[str, str]
    images: int = 2


PAIRS = {
    "lenet5": Pair(lambda: fv.zoo.make("lenet5"), lenet5, 1, {"relu2": "4", "conv1": "0"}),
    "vgg6": Pair(lambda: fv.zoo.make("vgg6"), vgg6, 17, {"relu6": "19", "conv4": "10"}),
    "resnet20": Pair(
        lambda: fv.zoo.make("resnet20"),
        modular_resnet20,
        3,
        {"stage3.2.relu2": "11.relu2", "stage2.0.conv1": "6.conv1"},
        images=1,
    ),
    "branching": Pair(branching, Branching, 1, {"concat1": "joined", "relu1": "stem.1", "bn1": "right.1"}),
    "sound": Pair(sound, torch_sound, 1, {"relu2": "5", "bn1": "1"}),
    "volume": Pair(volume, torch_volume, 1, {"relu2": "5", "conv1": "0"}),
}


@cache
def example(name: str) -> tuple[Graph, Arrays, Array]:
    """The graph, arrays for it, and its images."""
    graph = PAIRS[name].graph()
    return graph, random_arrays(graph, seed=3), normal((PAIRS[name].images, *graph.input_shape), PAIRS[name].seed)


def foveate_model(name: str, engine: Engine) -> Model:
    """In foveate, without preprocessing, so it takes the images as they are."""
    graph, arrays, _ = example(name)
    model = Model(graph, engine=engine)
    for array_name, array in arrays.items():
        model.state.load(array_name, array)
    return model


@cache
def torch_model(name: str) -> nn.Module:
    """In PyTorch, in float64, in evaluation mode: parameters and statistics stand in the same order."""
    graph, arrays, _ = example(name)
    network = PAIRS[name].network().double().eval()
    own = [buffer for buffer_name, buffer in network.named_buffers() if "running" in buffer_name]
    with torch.no_grad():
        for tensors, names in ((network.parameters(), graph.parameters), (own, graph.statistics)):
            for tensor, array_name in zip(tensors, names, strict=True):
                assert tuple(tensor.shape) == arrays[array_name].shape
                tensor.copy_(torch.tensor(arrays[array_name]))
    return network


def torch_images(name: str) -> torch.Tensor:
    """The images, in float64; Captum warns unless they ask for gradients."""
    return torch.tensor(example(name)[2], requires_grad=True)


def classes_of(name: str) -> Array:
    """A class for each image that is not the predicted one."""
    with torch.no_grad():
        scores = torch_model(name)(torch_images(name)).numpy()
    return np.argsort(scores, axis=1)[:, -2]

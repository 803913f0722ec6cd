"""The zoo's networks as their papers and tutorials write them in PyTorch; parameters stand in the same order."""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn


def lenet5() -> nn.Module:
    """LeNet-5 with ReLU and max pooling, for 28x28 grey images."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


def vgg6() -> nn.Module:
    """Six 3x3 convolutions with batch normalisation, for 28x28 grey images."""
    layers: list[nn.Module] = []
    for before, after in ((1, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        if before == after:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3 * 3 * 128, 10))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and the paper's option A shortcut: every second pixel, new channels zero."""

    def __init__(self, before: int, after: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.activation = activation()
        self.stride = 1 if before == after else 2
        self.grown = after - before
        self.conv1 = nn.Conv2d(before, after, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        half = self.grown // 2
        return self.activation(y + F.pad(shortcut, (0, 0, 0, 0, half, half)))


def resnet20(activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """ResNet-20 for 32x32 colour images, with the paper's activation or another."""
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), activation(),
        *(BasicBlock(before, after, activation) for before, after in pairwise(widths)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NETWORKS = {"lenet5": lenet5, "vgg6": vgg6, "resnet20": resnet20}

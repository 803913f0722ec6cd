"""Networks written by hand as people write them: functional calls, shared modules, in-place operations, views."""

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn


class Residual(nn.Module):
    """ResNet's block with functional activations, and one module for both rectifiers."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.layers = nn.Sequential(Residual(8, 8, 1), Residual(8, 12, 2))
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(F.max_pool2d(self.stem(x), 3, 2, 1))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class SqueezedMobileNet(nn.Module):
    """MobileNet v3's block: depthwise, squeeze and excitation by linear layers and by 1x1 convolutions, hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12, eps=1e-3, momentum=0.01)
        self.depthwise = nn.Conv2d(12, 12, 5, 2, 2, groups=12, bias=False)
        self.fc1, self.fc2 = nn.Linear(12, 4), nn.Linear(4, 12)
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.bn1(self.expand(x)))
        x = self.depthwise(x)
        scale = self.fc2(F.relu(self.fc1(x.mean((2, 3)))))
        x = x * F.hardsigmoid(scale).view(x.size(0), -1, 1, 1)
        scale = self.excite(F.relu6(self.squeeze(F.adaptive_avg_pool2d(x, (1, 1)))))
        x = x * (F.relu6(scale + 3, inplace=True) / 6)
        x = x * F.relu6(x + 3) / 6
        x = x * torch.sigmoid(x)
        return self.head(self.dropout(x.mean([-1, -2])))


class Inception(nn.Module):
    """Branches with oblong windows and average pooling, joined; the same branch used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 3, 1)
        self.long = nn.Sequential(
            nn.Conv2d(4, 4, (1, 7), padding=(0, 3)), nn.ReLU(), nn.Conv2d(4, 3, (7, 1), padding=(3, 0))
        )
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.shared = nn.Conv2d(4, 4, 3, padding="same")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.shared(self.shared(x))
        mixed = torch.cat([self.one(x), self.long(x), self.pool(x), F.max_pool2d(x, 3, 1, 1)], dim=1)
        return F.avg_pool2d(F.pad(mixed, (1, 0, 2, 1)), 3, 2, ceil_mode=False), F.max_pool2d(
            mixed, 3, 2, ceil_mode=True
        )


class DenseNet(nn.Module):
    """Normalisation first, every output joined to all before it, a shuffle and a split of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 4 * n) for n in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(4 + 4 * n, 4, 3, padding=1, bias=False) for n in range(3))
        self.act = nn.PReLU(16)

    def forward(self, x: Tensor) -> Tensor:
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat((x, conv(F.relu_(norm(x)))), 1)
        n, c, h, w = x.shape
        x = x.view(n, 4, c // 4, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        first, second = x.chunk(2, dim=1)
        a, b, _ = torch.split(first, [3, 4, 1], dim=1)
        x = torch.cat([second, b, a, first[:, 7:]], 1)
        return self.act(x)[:, :, 1:-1, ::2]


class UNet(nn.Module):
    """Down, up by a transposed convolution and by interpolation, and across."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1, padding_mode="reflect")
        self.up1, self.up2 = nn.ConvTranspose2d(8, 6, 2, 2), nn.Upsample(scale_factor=2)
        self.norm = nn.GroupNorm(3, 12)
        self.last = nn.Conv2d(24, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = F.leaky_relu(self.down1(x), 0.2)
        second = F.elu(self.down2(F.max_pool2d(first, 2)))
        up = self.norm(torch.cat([self.up1(second), first], 1))
        wide = F.interpolate(second, size=first.shape[2:], mode="bilinear", align_corners=False)
        return torch.log_softmax(self.last(torch.cat([up, wide, self.up2(F.avg_pool2d(second, 1))[:, :4]], 1)), 1)


class WaveNet(nn.Module):
    """Dilated convolutions of a sequence with a gate, and padding at the beginning only."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv1d(4, 4, 2, dilation=2**n) for n in range(3))
        self.gates = nn.ModuleList(nn.Conv1d(4, 4, 2, dilation=2**n) for n in range(3))
        self.stem, self.norm = nn.Conv1d(1, 4, 9, 2, 4, bias=False), nn.InstanceNorm1d(4, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        for n, (conv, gate) in enumerate(zip(self.filters, self.gates, strict=True)):
            padded = F.pad(x, (2**n, 0))
            x = x + torch.tanh(conv(padded)) * torch.sigmoid(gate(padded))
        return x.amax(2)


class Volume(nn.Module):
    """A 3-D residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv3d(2, 4, 3, padding=1), nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1))
        self.norm1, self.norm2 = nn.BatchNorm3d(4), nn.LayerNorm([4, 4, 5, 4])
        self.drop = nn.Dropout3d(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(self.conv1(x)))
        x = F.softplus(x + self.norm2(self.drop(self.conv2(x))))
        return F.adaptive_max_pool3d(F.max_pool3d(x, 2, ceil_mode=True), 1).flatten(1)


class PatchStem(nn.Module):
    """A vision transformer's first steps: patches, and attention over them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.attention(x, x, x)[0].mean(1)


class Patches(nn.Module):
    """The stem of a vision transformer with a mixer's perceptron over all patches in place of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(3, 8, kernel_size=4, stride=4), nn.BatchNorm2d(8)
        self.mixer = nn.Sequential(nn.Linear(8 * 3 * 4, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 96))
        self.head = nn.Linear(96, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.proj(x)).flatten(2).flatten(1)
        return self.head(F.silu(x + self.mixer(x)))


NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "resnet": (ResNet, (3, 33, 32)),
    "mobilenet": (SqueezedMobileNet, (3, 16, 16)),
    "inception": (Inception, (4, 9, 10)),
    "densenet": (DenseNet, (4, 7, 8)),
    "unet": (UNet, (3, 8, 12)),
    "wavenet": (WaveNet, (1, 40)),
    "volume": (Volume, (2, 4, 5, 4)),
    "patches": (Patches, (3, 12, 16)),
}


def made(name: str) -> nn.Module:
    """The network with no number at the value it starts with."""
    torch.manual_seed(0)
    module = NETWORKS[name][0]()
    for parameter in module.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.3, 1.2)
    for key, buffer in module.named_buffers():
        if "running" in key:
            nn.init.uniform_(buffer, 0.5, 1.5)
    return module

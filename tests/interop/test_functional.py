"""What modules write in their forward functions comes in: arithmetic, movements, reductions, resizing."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn

import foveate as fv
from tests.support import relative_error


class Written(NamedTuple):
    """A forward function, the layers that it becomes, and the shape of its input."""

    code: Callable[[Any], Tensor]
    layers: Sequence[str]
    shape: tuple[int, ...] = (4, 6, 5)


def module_of(code: Callable[[Any], Tensor]) -> nn.Module:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return code(x)

    return Functional()


def positive(code: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The code on numbers above zero."""
    return lambda x: code(F.softplus(x))


WRITTEN = {
    "standardised by numbers": Written(lambda x: (x * 2 - 1) / 3, ["Rescale 0.666667 x - 0.333333"]),
    "what is left of one": Written(lambda x: 1 - torch.sigmoid(x), ["Sigmoid", "Rescale -1 x + 1"]),
    "what is left of three times": Written(lambda x: torch.rsub(x, 2, alpha=3), ["Rescale -3 x + 2"]),
    "a factor in front": Written(lambda x: 6 * x, ["Rescale 6 x"]),
    "a number minus a multiple": Written(lambda x: torch.sub(x, 2, alpha=3), ["Rescale 1 x - 6"]),
    "negated": Written(lambda x: -x, ["Rescale -1 x"]),
    "in place": Written(lambda x: F.silu(x).mul_(2).add_(1), ["SiLU", "Rescale 2 x", "Rescale 1 x + 1"]),
    "read between": Written(
        lambda x: torch.cat([x * 2, x * 2 + 1], 1), ["Rescale 2 x", "Rescale 2 x + 1", "Concatenate"]
    ),
    "with nothing added": Written(lambda x: torch.tanh(x + 0), ["Tanh"]),
    "squared": Written(lambda x: x**2, ["Power 2"]),
    "by its method": Written(lambda x: x.square() + 1, ["Power 2", "Rescale 1 x + 1"]),
    "a root": Written(positive(torch.sqrt), ["Softplus 1", "Power 0.5"]),
    "a root below": Written(positive(torch.rsqrt), ["Softplus 1", "Power -0.5"]),
    "a number over it": Written(positive(lambda x: 3 / x), ["Softplus 1", "Power -1", "Rescale 3 x"]),
    "generalised mean": Written(
        lambda x: F.avg_pool2d(x.clamp(min=1e-6).pow(3), (6, 5)).pow(1 / 3),
        ["Clip from 1e-06", "Power 3", "AvgPool2d 6x5, stride 6x5", "Power 0.333333"],
    ),
    "magnitudes": Written(lambda x: x.abs(), ["Abs"]),
    "exponentials": Written(lambda x: torch.exp(-x), ["Rescale -1 x", "Exp"]),
    "clipped": Written(lambda x: x.clamp(-0.5, 0.5), ["Clip -0.5 to 0.5"]),
    "clipped below": Written(lambda x: torch.clamp_min(x, 0.25), ["Clip from 0.25"]),
    "clipped above": Written(lambda x: x.clip(max=0.25), ["Clip to 0.25"]),
    "clipped at zero": Written(lambda x: x.clamp(min=0), ["ReLU"]),
    "clipped as a hard function": Written(lambda x: F.hardtanh(x, -0.5, 0.25), ["Hardtanh -0.5 to 0.25"]),
    "self-normalising": Written(lambda x: F.selu(F.celu(x, 0.5)), ["CELU 0.5", "SELU"]),
    "other axes": Written(lambda x: F.silu(x.flatten(2)), ["SiLU", "Reshape to 4x30"]),
    "pooled over other axes": Written(
        lambda x: F.max_pool1d(x.flatten(2), 2), ["Reshape to 4x30", "MaxPool1d 2, stride 2"]
    ),
    "axes exchanged": Written(
        lambda x: F.max_pool2d(x.transpose(2, 3), 2), ["Transpose 0 2 1", "MaxPool2d 2x2, stride 2"]
    ),
    "tokens": Written(
        lambda x: F.softplus(x.flatten(2).transpose(1, 2)), ["Reshape to 4x30", "Softplus 1", "Transpose 1 0"]
    ),
    "tokens and back": Written(
        lambda x: F.silu(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(-1, 4, 6, 5),
        ["Reshape to 4x30", "SiLU", "Reshape to 4x6x5"],
    ),
    "moved to the end": Written(lambda x: torch.tanh(x.movedim(1, -1)), ["Tanh", "Transpose 1 2 0"]),
    "moved and pooled": Written(
        lambda x: F.max_pool2d(x.swapaxes(1, 3), 2), ["Transpose 2 1 0", "MaxPool2d 2x2, stride 2"]
    ),
    "groups that are not joined": Written(
        lambda x: F.max_pool3d(x.view(-1, 2, 2, 6, 5).transpose(1, 2), 1),
        ["Reshape to 2x-1x6x5", "Transpose 1 0 2 3", "MaxPool3d 1x1x1"],
    ),
    "space to depth by hand": Written(
        lambda x: F.relu(x.reshape(-1, 4, 3, 2, 5).permute(0, 1, 3, 2, 4).reshape(-1, 8, 3, 5)),
        ["Reshape to 4x3x2x5", "Transpose 0 2 1 3", "ReLU", "Reshape to 8x3x5"],
    ),
    "every second row": Written(lambda x: torch.tanh(x[:, :, 1::2]), ["Slice axis 1, 1::2", "Tanh"]),
    "one column": Written(
        lambda x: torch.tanh(x[:, :, :, 1]), ["Pad (0, 0) (0, 0) (-1, -3)", "Tanh", "Reshape to 4x6"]
    ),
    "the last of them": Written(
        lambda x: x.select(1, -1) * 2, ["Pad (-3, 0) (0, 0) (0, 0)", "Rescale 2 x", "Reshape to 6x5"]
    ),
    "one after another": Written(
        lambda x: torch.cat(x.unbind(1)[:2], 1),
        ["Pad (0, -3) (0, 0) (0, 0)", "Pad (-1, -2) (0, 0) (0, 0)", "Reshape to 6x5", "Reshape to 6x5", "Concatenate"],
    ),
    "some rows": Written(lambda x: torch.tanh(x.narrow(2, 1, 3)), ["Pad (0, 0) (-1, -2) (0, 0)", "Tanh"]),
    "turned round": Written(lambda x: x.flip(3, 2) * 2, ["Slice axis 2, ::-1", "Slice axis 1, ::-1", "Rescale 2 x"]),
    "minus its mean over positions": Written(
        lambda x: x - x.mean((2, 3), keepdim=True), ["AdaptiveAvgPool2d to 1x1", "Subtract"]
    ),
    "over a tensor": Written(lambda x: torch.exp(x) / torch.exp(x.abs()), ["Exp", "Abs", "Exp", "Divide"]),
    "from a tensor": Written(lambda x: torch.rsub(x, x.abs()), ["Abs", "Subtract"]),
    "a sum that repeats": Written(lambda x: F.silu(x[:, :, :1] + x), ["Pad (0, 0) (0, -5) (0, 0)", "Add", "SiLU"]),
    "a number that is an array": Written(
        lambda x: x * torch.tensor(3.0) - torch.ones(1), ["Rescale 3 x", "Rescale 1 x - 1"]
    ),
    "numbers computed on the way": Written(
        lambda x: x * torch.linspace(1, 2, 4).view(1, -1, 1, 1), ["Affine over axis 0, scale"]
    ),
    "a mean over channels": Written(lambda x: torch.tanh(x.mean(1)), ["Reduce mean over axis 0", "Tanh"]),
    "a mean over tokens": Written(
        lambda x: x.flatten(2).transpose(1, 2).mean(1), ["Reshape to 4x30", "Transpose 1 0", "Reduce mean over axis 0"]
    ),
    "a sum": Written(lambda x: x.sum((2, 3)) * 2, ["Reduce sum over axes 1 2", "Rescale 2 x"]),
    "the largest of channels": Written(
        lambda x: x.amax(1, keepdim=True) * x, ["Reduce max over axis 0, kept", "Multiply"]
    ),
    "the smallest, with its place": Written(lambda x: torch.tanh(x.min(2)[0]), ["Reduce min over axis 1", "Tanh"]),
    "both of a spatial attention": Written(
        lambda x: torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1),
        ["Reduce mean over axis 0, kept", "Reduce max over axis 0, kept", "Concatenate"],
    ),
    "all positions": Written(lambda x: x.amax((2, 3)) * 2, ["GlobalMaxPool2d", "Rescale 2 x"]),
    "standardised": Written(
        lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
        [
            "Reduce mean over axis 0, kept",
            "Subtract",
            "Reduce mean over axis 0, kept",
            "Subtract",
            "Power 2",
            "Reduce mean over axis 0, kept",
            "Rescale 1.33333 x",
            "Power 0.5",
            "Divide",
        ],
    ),
    "a variance": Written(
        lambda x: x.var((2, 3), unbiased=False),
        ["Reduce mean over axes 1 2, kept", "Subtract", "Power 2", "Reduce mean over axes 1 2"],
    ),
    "of length one": Written(
        lambda x: F.normalize(x, dim=1),
        ["Power 2", "Reduce sum over axis 0, kept", "Power 0.5", "Clip from 1e-12", "Divide"],
    ),
    "a sum of magnitudes": Written(lambda x: x.norm(1, dim=1), ["Abs", "Reduce sum over axis 0"]),
    "padded by a number": Written(
        lambda x: F.pad(x, (1, 1), value=2.0) * 2, ["Pad (0, 0) (0, 0) (1, 1), 2", "Rescale 2 x"]
    ),
    "padded by copies": Written(
        lambda x: F.max_pool2d(F.pad(x, (1, 1, 2, 0), "circular"), 3, 1),
        ["Pad (0, 0) (2, 0) (1, 1), circular", "MaxPool2d 3x3"],
    ),
    "padded by a mirror, twice read": Written(
        lambda x: F.avg_pool2d(nn.ReflectionPad2d(1)(x), 3, 1) + x,
        ["Pad (0, 0) (1, 1) (1, 1), reflect", "AvgPool2d 3x3", "Add"],
    ),
    "padded by nothing": Written(lambda x: F.pad(x, (0, 0)) * 2, ["Rescale 2 x"]),
    "resized by no whole factor": Written(lambda x: F.interpolate(x, scale_factor=1.3), ["Resize x1.3, nearest"]),
    "resized bicubically": Written(
        lambda x: F.interpolate(x, size=(9, 4), mode="bicubic", align_corners=True),
        ["Resize to 9x4, cubic, corners aligned"],
    ),
    "resized as pictures are": Written(
        lambda x: F.interpolate(x, scale_factor=(0.5, 0.6), mode="bilinear", antialias=True),
        ["Resize x0.5x0.6, linear, antialiased"],
    ),
    "resized exactly": Written(lambda x: F.interpolate(x, 8, mode="nearest-exact"), ["Resize to 8, nearest-exact"]),
    "stacked": Written(
        lambda x: torch.stack([x, x * 2], 1).sum(1),
        ["Rescale 2 x", "Reshape to 1x4x6x5", "Reshape to 1x4x6x5", "Concatenate", "Reduce sum over axis 0"],
    ),
    "rolled by its function": Written(
        lambda x: torch.roll(x, (1, -2), (2, 3)),
        [
            "Pad (0, 0) (-5, 0) (0, 0)",
            "Pad (0, 0) (0, -1) (0, 0)",
            "Concatenate along axis 1",
            "Pad (0, 0) (0, 0) (-2, 0)",
            "Pad (0, 0) (0, 0) (0, -3)",
            "Concatenate along axis 2",
        ],
    ),
    "gated": Written(
        lambda x: F.glu(x, 1), ["Pad (0, -2) (0, 0) (0, 0)", "Pad (-2, 0) (0, 0) (0, 0)", "Sigmoid", "Multiply"]
    ),
    "plus nothing": Written(lambda x: F.silu(x + torch.zeros_like(x)), ["SiLU"]),
    "one minus it": Written(lambda x: torch.ones_like(x) - x, ["Rescale -1 x", "Rescale 1 x + 1"]),
    "expanded and pooled": Written(
        lambda x: F.max_pool2d(x.mean((2, 3), keepdim=True).expand(-1, -1, 6, 5), 2),
        ["AdaptiveAvgPool2d to 1x1", "Upsample to 6x5, nearest", "MaxPool2d 2x2, stride 2"],
    ),
    "a product with an array": Written(lambda x: x @ torch.linspace(-1, 1, 15).reshape(5, 3), ["Linear 3, last axis"]),
    "made of several layers": Written(
        lambda x: F.softsign(x) + F.tanhshrink(x) + F.softshrink(x, 0.3) + F.logsigmoid(x),
        [
            "Abs",
            "Rescale 1 x + 1",
            "Divide",
            "Tanh",
            "Subtract",
            "Add",
            "Clip -0.3 to 0.3",
            "Subtract",
            "Add",
            "Rescale -1 x",
            "Softplus 1",
            "Rescale -1 x",
            "Add",
        ],
    ),
    "thresholds": Written(lambda x: F.threshold(F.rrelu(x), -0.1, -0.1), ["LeakyReLU 0.229167", "Clip from -0.1"]),
    "dropout that is none here": Written(lambda x: F.silu(F.alpha_dropout(x, 0.3, False)), ["SiLU"]),
    "softmax over positions": Written(
        lambda x: torch.softmax(x.flatten(2), -1).log_softmax(1),
        ["Reshape to 4x30", "Softmax over axis 1", "LogSoftmax"],
    ),
    "rolled": Written(
        lambda x: torch.cat([x[:, :, 2:], x[:, :, :2]], 2),
        ["Pad (0, 0) (-2, 0) (0, 0)", "Pad (0, 0) (0, -4) (0, 0)", "Concatenate along axis 1"],
    ),
}


class Arrays(nn.Module):
    """Learned and fixed arrays in arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.linspace(0.5, 2, 4).reshape(4, 1, 1))
        self.place = nn.Parameter(torch.linspace(-1, 1, 120).reshape(1, 4, 6, 5))
        self.all = nn.Parameter(torch.tensor([1.7]))
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3, 0.4]))
        self.register_buffer("deviation", torch.tensor([1.0, 2.0, 3.0, 4.0]))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean[:, None, None]) / self.deviation.view(1, -1, 1, 1)
        x = torch.tanh(self.gamma * x + self.place)
        return self.all * (self.mean.reshape(4, 1, 1) - x) + self.mean[:, None, None] / torch.exp(x)


def test_learned_and_fixed_arrays_come_in_as_affine_layers():
    x = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(1))
    model = agrees(Arrays(), x, [
        "Affine over axis 0, shift", "Affine over axis 0, scale", "Affine over axis 0, scale",
        "Affine over axes 0 1 2, shift", "Tanh", "Rescale -1 x", "Affine over axis 0, shift",
        "Affine over no axis, scale", "Exp", "Power -1", "Affine over axis 0, scale", "Add",
    ])  # fmt: skip
    assert set(model.names.values()) == {"gamma", "place", "all", "mean"}
    learned = {name for name in model.graph.parameters if name not in model.frozen}
    assert {model.names[name] for name in learned} == {"gamma", "place", "all"}


class ConvNeXtBlock(nn.Module):
    """Normalised and multiplied with the channels last, scaled by learned numbers, and added."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.LayerNorm(8, eps=1e-6)
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)
        self.gamma = nn.Parameter(torch.linspace(0.5, 1.5, 8))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.mixing(x).permute(0, 2, 3, 1))
        y = self.gamma * self.narrow(F.gelu(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


def test_a_convnext_block_comes_in():
    x = torch.randn(3, 8, 6, 5, generator=torch.Generator().manual_seed(1))
    model = agrees(ConvNeXtBlock(), x, [
        "Conv2d 3x3, padding 1, groups 8", "Transpose 1 2 0", "LayerNorm over the last axis", "Linear 32, last axis",
        "GELU", "Linear 8, last axis", "Affine over axis 2, scale", "Transpose 2 0 1", "Add",
    ])  # fmt: skip
    assert [node.name for node in model.graph.nodes][-5:] == ["gelu", "narrow", "gamma", "transpose_2", "add"]
    assert model.names["gamma.weight"] == "gamma"


class Mixer(nn.Module):
    """Patches as tokens with places, mixed among themselves and each within."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, 4)
        self.place = nn.Parameter(torch.linspace(-1, 1, 72).reshape(1, 12, 6))
        self.norms = nn.ModuleList([nn.LayerNorm(6, bias=False), nn.RMSNorm(6)])
        self.among, self.within = nn.Linear(12, 12), nn.Linear(6, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        x = x + self.among(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        return (x + F.silu(self.within(self.norms[1](x)))).flatten(1)


def test_tokens_come_in():
    x = torch.randn(3, 3, 12, 16, generator=torch.Generator().manual_seed(1))
    agrees(Mixer(), x, [
        "Conv2d 4x4, stride 4", "Reshape to 6x12", "Transpose 1 0", "Affine over axes 0 1, shift",
        "LayerNorm over the last axis", "Affine over axis 1, scale", "Transpose 1 0", "Linear 12, last axis",
        "Transpose 1 0", "Add", "RMSNorm over the last axis", "Linear 6, last axis", "SiLU", "Add", "Flatten",
    ])  # fmt: skip


class WeightStandardised(nn.Conv2d):
    """A convolution whose weight is computed from an array."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)


def test_a_weight_that_is_computed_from_arrays_comes_in_as_it_is():
    model = fv.from_torch(WeightStandardised(4, 8, 3), torch.randn(1, 4, 6, 5))
    assert [node.layer.describe() for node in model.graph.nodes] == ["Conv2d 3x3"]
    assert list(model.names.values()) == ["bias"]


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_module_writes_comes_in_with_its_outputs_and_gradients(name: str):
    written = WRITTEN[name]
    module, x = module_of(written.code), torch.randn(3, *written.shape, generator=torch.Generator().manual_seed(1))
    agrees(module, x, written.layers)


def agrees(module: nn.Module, x: Tensor, layers: Sequence[str]) -> fv.Model:
    """The model of a module, after a comparison of its layers, outputs and gradients."""
    model = fv.from_torch(module, x[:1])
    assert [node.layer.describe() for node in model.graph.nodes] == list(layers)
    x = x.clone().requires_grad_()
    theirs = module(x)
    seed = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(2))
    parameters = dict(module.named_parameters())
    to_x, *to_parameters = torch.autograd.grad(theirs, [x, *parameters.values()], seed)
    program = model.engine.compile(model.graph, batch_size=len(x), mode="inference", differentiable=True)
    (output,) = program.forward(model.state, {model.graph.only_input: x.detach().numpy()}).values()
    assert relative_error(output, theirs.detach()) <= 1e-5
    program.backward({model.graph.only_output: seed.numpy()})
    assert relative_error(program.gradient(model.graph.only_input), to_x) <= 1e-4
    found = {model.names[key]: program.gradient(key) for key in model.graph.parameters if key in model.names}
    for key, wanted in zip(parameters, to_parameters, strict=True):
        assert relative_error(found[key].reshape(wanted.shape), wanted) <= 1e-4, key
    return model

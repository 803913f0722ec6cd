"""Shapes, parameters, costs and refusals of the layers that come after the lecture's first networks."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import foveate as fv
from foveate.layers import Cost, Layer, Shape
from foveate.layers.normalization import Normalization

SHAPES: dict[str, tuple[Layer, list[Shape], Shape]] = {
    "transposed convolution": (fv.ConvTranspose2d(8, 4, stride=2, padding=1), [(16, 14, 14)], (8, 28, 28)),
    "transposed convolution of sound": (fv.ConvTranspose1d(8, 9, stride=4), [(16, 100)], (8, 405)),
    "transposed convolution, output padding": (
        fv.ConvTranspose2d(8, 3, stride=2, padding=1, output_padding=(1, 0)),
        [(16, 7, 7)],
        (8, 14, 13),
    ),
    "transposed convolution, asymmetric": (fv.ConvTranspose1d(8, 3, padding=((1, 0),)), [(4, 5)], (8, 6)),
    "transposed convolution, valid": (fv.ConvTranspose1d(8, 3, padding="valid"), [(4, 5)], (8, 7)),
    "global maximum": (fv.GlobalMaxPool2d(), [(512, 7, 7)], (512,)),
    "adaptive average": (fv.AdaptiveAvgPool2d(6), [(256, 13, 9)], (256, 6, 6)),
    "adaptive maximum of a sequence": (fv.AdaptiveMaxPool1d(5), [(3, 3)], (3, 5)),
    "adaptive average of a volume": (fv.AdaptiveAvgPool3d((1, 2, 3)), [(3, 8, 8, 8)], (3, 1, 2, 3)),
    "maxout": (fv.Maxout(4), [(64, 7, 7)], (16, 7, 7)),
    "maxout of features": (fv.Maxout(3), [(9,)], (3,)),
    "softmax": (fv.Softmax(), [(10,)], (10,)),
    "PReLU": (fv.PReLU(), [(3, 4, 5)], (3, 4, 5)),
    "layer norm": (fv.LayerNorm(), [(3, 4, 5)], (3, 4, 5)),
    "group norm of features": (fv.GroupNorm(3), [(9,)], (9,)),
    "instance norm": (fv.InstanceNorm2d(), [(3, 4, 5)], (3, 4, 5)),
    "local response norm": (fv.LocalResponseNorm(5), [(3, 4, 5)], (3, 4, 5)),
    "multiply by channels": (fv.Multiply(), [(64, 7, 7), (64,)], (64, 7, 7)),
    "multiply, the larger one behind": (fv.Multiply(), [(64, 1, 1), (64, 7, 7)], (64, 7, 7)),
    "multiply across": (fv.Multiply(), [(3, 4, 1), (3, 1, 5), (1,)], (3, 4, 5)),
    "upsample": (fv.Upsample(2), [(3, 4, 5)], (3, 8, 10)),
    "upsample, a scale for each axis": (fv.Upsample((2, 3)), [(3, 4, 5)], (3, 8, 15)),
    "upsample to a size": (fv.Upsample(size=7, mode="linear"), [(3, 4, 5)], (3, 7, 7)),
    "channel shuffle": (fv.ChannelShuffle(3), [(12, 4, 4)], (12, 4, 4)),
    "spatial dropout": (fv.SpatialDropout(), [(12, 4, 4)], (12, 4, 4)),
    "reflected padding": (fv.Conv2d(4, 3, padding=3, padding_mode="reflect"), [(3, 4, 4)], (4, 8, 8)),
    "circular padding": (fv.Conv2d(4, 3, padding=4, padding_mode="circular"), [(3, 4, 4)], (4, 10, 10)),
    "replicated padding": (fv.Conv2d(4, 3, padding=9, padding_mode="replicate"), [(3, 2, 2)], (4, 18, 18)),
}


@pytest.mark.parametrize(("layer", "inputs", "output"), SHAPES.values(), ids=SHAPES)
def test_the_output_has_the_shape(layer: Layer, inputs: list[Shape], output: Shape):
    assert layer.output_shape(inputs) == output


@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(0, 3), st.integers(1, 3),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
)  # fmt: skip
def test_a_transposed_convolution_gives_the_shape_and_parameters_that_pytorchs_gives(
    rank: int, kernel: int, stride: int, padding: int, extra: int, dilation: int, sizes: list[int]
):
    options = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
    if extra >= max(stride, dilation):
        with pytest.raises(fv.LayerError, match=f"output_padding is {extra}"):
            fv.ConvTranspose1d(6, kernel, groups=2, **options)
        return
    ours = (fv.ConvTranspose1d, fv.ConvTranspose2d, fv.ConvTranspose3d)[rank - 1](6, kernel, groups=2, **options)
    module = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[rank - 1]
    theirs = module(4, 6, kernel, groups=2, device="meta", **options)
    shape = (4, *sizes[:rank])
    try:
        expected = tuple(theirs(torch.zeros(1, *shape, device="meta")).shape[1:])
    except RuntimeError:
        expected = (0,)
    if min(expected) < 1:
        with pytest.raises(fv.ShapeError, match="leaves nothing of its"):
            ours.output_shape([shape])
        return
    assert ours.output_shape([shape]) == expected
    parameters = {name: tuple(parameter.shape) for name, parameter in theirs.named_parameters()}
    assert {name: parameter.shape for name, parameter in ours.parameters([shape]).items()} == parameters


REFUSED: dict[str, tuple[Layer, list[Shape], str]] = {
    "reflected padding as long as the input": (
        fv.Conv2d(4, 3, padding=4, padding_mode="reflect"),
        [(3, 9, 4)],
        'padding_mode "reflect" takes its padding from the input, and the border itself is not repeated: 4 '
        "positions provide at most 3 on each side, but the padding is 4. Use at most padding 3, or padding_mode "
        '"zeros" or "replicate", or a larger input',
    ),
    "circular padding longer than the input": (
        fv.Conv1d(4, 3, padding=((0, 5),), padding_mode="circular"),
        [(3, 4)],
        'padding_mode "circular" takes its padding from the input, and it wraps around only once: 4 positions '
        'provide at most 4 on each side, but the padding is 5. Use at most padding 4, or padding_mode "zeros" or '
        '"replicate", or a larger input',
    ),
    "transposed convolution of features": (
        fv.ConvTranspose2d(8, 3),
        [(64,)],
        "needs an input of C x H x W, but gets 64 (1 axes). Put it before Flatten and the linear layers.",
    ),
    "transposed groups that do not divide the channels": (
        fv.ConvTranspose2d(8, 3, groups=4),
        [(6, 8, 8)],
        "groups is 4, which does not divide its 6 input channels: each group sees an equal share of them. "
        "Divisors of 6 are 1, 2, 3, 6",
    ),
    "transposed padding that leaves nothing": (
        fv.ConvTranspose2d(8, 3, padding=2),
        [(3, 2, 5)],
        "leaves nothing of its 2x5 input: it spreads 2 to 4 positions, of which padding removes 2 + 2 = 4. "
        "Use less padding (at most 3 in total), or a larger input",
    ),
    "maxout of channels that the pieces do not divide": (
        fv.Maxout(4),
        [(10, 8, 8)],
        "takes the maximum over 4 pieces, which do not divide its 10 input channels. Give the previous layer 8 or 12 "
        "outputs, or use a number of pieces that divides 10: 1, 2, 5, 10",
    ),
    "maxout of fewer channels than pieces": (
        fv.Maxout(4),
        [(3,)],
        "takes the maximum over 4 pieces, which do not divide its 3 input channels. Give the previous layer 4 "
        "outputs, or use a number of pieces that divides 3: 1, 3",
    ),
    "layer norm of more axes than there are": (
        fv.LayerNorm(trailing_axes=3),
        [(4, 5)],
        "normalises over the last 3 axes, but its input 4x5 has 2. Use trailing_axes 2 at most, or leave it out for "
        "all axes",
    ),
    "layer norm of one value": (
        fv.LayerNorm(trailing_axes=1),
        [(4, 5, 1)],
        "would take each mean over a single value of its 4x5x1 input, so every value normalises to zero. Use "
        "LayerNorm over the channels too, or normalise before the sizes shrink to 1",
    ),
    "instance norm of one position": (
        fv.InstanceNorm2d(),
        [(4, 1, 1)],
        "would take each mean over a single value of its 4x1x1 input, so every value normalises to zero. Use "
        "LayerNorm over the channels too, or normalise before the sizes shrink to 1",
    ),
    "instance norm of a sequence": (
        fv.InstanceNorm2d(),
        [(4, 9)],
        "needs an input of C x H x W, but gets 4x9 (2 axes). Use InstanceNorm1d, or give the input H x W after its "
        "channels.",
    ),
    "group norm whose groups do not divide": (
        fv.GroupNorm(4),
        [(6, 8, 8)],
        "groups is 4, which does not divide its 6 input channels. Divisors of 6 are 1, 2, 3, 6",
    ),
    "group norm of one value": (
        fv.GroupNorm(6),
        [(6,)],
        "would take each mean over a single value of its input of length 6, so every value normalises to zero. Use "
        "LayerNorm over the channels too, or normalise before the sizes shrink to 1",
    ),
    "local response norm of features": (
        fv.LocalResponseNorm(5),
        [(6,)],
        "needs an input with 1 to 3 spatial axes after its channels, but gets 6",
    ),
    "shuffle whose groups do not divide": (
        fv.ChannelShuffle(4),
        [(6, 8, 8)],
        "groups is 4, which does not divide its 6 input channels. Divisors of 6 are 1, 2, 3, 6",
    ),
    "multiply of other channels": (
        fv.Multiply(),
        [(6, 8, 8), (4,)],
        "multiplies inputs of shapes that do not match: 6x8x8 and 4. On each axis, counted from the channels, sizes "
        "must be equal, 1 or missing",
    ),
    "upsampling features": (
        fv.Upsample(2),
        [(6,)],
        "needs an input with 1 to 3 spatial axes after its channels, but gets 6",
    ),
    "upsampling by factors for other axes": (
        fv.Upsample((2, 2)),
        [(6, 9)],
        "has 2 numbers, (2, 2), for the 1 spatial axes of its input 6x9; give one int, or 1",
    ),
}


@pytest.mark.parametrize(("layer", "inputs", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_input_that_does_not_suit_is_refused_in_a_sentence(layer: Layer, inputs: list[Shape], sentence: str):
    with pytest.raises(fv.ShapeError, match=f"^{re.escape(sentence)}$"):
        layer.output_shape(inputs)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "another padding mode": (
        lambda: fv.Conv2d(8, 3, padding_mode="mirror"),
        "Conv2d: padding_mode is 'mirror'; it must be one of \"zeros\", \"reflect\", \"replicate\", \"circular\"",
    ),
    "transposed, same": (
        lambda: fv.ConvTranspose2d(8, 3, padding="same"),
        'ConvTranspose2d: padding is "same", which has no meaning here: many sizes convolve to the same one. Give '
        "ints; for kernel F and stride S, padding (F - S) / 2 multiplies the size by S",
    ),
    "transposed, too much output padding": (
        lambda: fv.ConvTranspose2d(8, 3, stride=2, output_padding=2),
        "ConvTranspose2d: output_padding is 2; it chooses among the sizes that convolve to the same one, and must be "
        "smaller than stride 2 or dilation 1. Use at most 1",
    ),
    "transposed, groups": (
        lambda: fv.ConvTranspose2d(8, 3, groups=3),
        "ConvTranspose2d: groups is 3, which does not divide out_channels 8: each group makes an equal share of the "
        "outputs. Use out_channels 9, or groups 1",
    ),
    "transposed, three numbers": (
        lambda: fv.ConvTranspose2d(3, 8, 3),
        "ConvTranspose2d: input channels are inferred, so only out_channels and kernel_size can be given without a "
        "name. Leave the first number out, and name what follows: ConvTranspose2d(..., stride=2)",
    ),
    "adaptive size 0": (
        lambda: fv.AdaptiveAvgPool2d((0, 2)),
        "AdaptiveAvgPool2d: output_size is 0; it must be at least 1",
    ),
    "adaptive sizes for other axes": (
        lambda: fv.AdaptiveMaxPool1d((2, 2)),
        "AdaptiveMaxPool1d: output_size has 2 values, but there is 1 spatial axis; give one int",
    ),
    "adaptive, two numbers": (
        lambda: fv.AdaptiveAvgPool2d(2, 2),
        "AdaptiveAvgPool2d: only output_size can be given without a name; a tuple has one size for each spatial axis",
    ),
    "gelu by another way": (
        lambda: fv.GELU("erf"),
        "GELU: approximate is 'erf'; it must be one of \"none\", \"tanh\"",
    ),
    "softplus beta 0": (lambda: fv.Softplus(0), "Softplus: beta is 0; it must be positive and finite (1 is usual)"),
    "maxout of no pieces": (lambda: fv.Maxout(0), "Maxout: pieces is 0; it must be at least 1"),
    "eps 0": (lambda: fv.GroupNorm(2, eps=0), "GroupNorm: eps is 0; it must be positive and finite (1e-5 is usual)"),
    "groups 0": (lambda: fv.GroupNorm(0), "GroupNorm: groups is 0; it must be at least 1"),
    "group norm with channels": (
        lambda: fv.GroupNorm(8, 64),
        "GroupNorm: channels are inferred: write GroupNorm(8), and give options by name",
    ),
    "layer norm with a shape": (
        lambda: fv.LayerNorm((3, 4)),
        "LayerNorm: the shape is inferred: write LayerNorm() to normalise over all axes of a sample, or "
        "LayerNorm(trailing_axes=1) over the last one",
    ),
    "instance norm with channels": (
        lambda: fv.InstanceNorm2d(64),
        "InstanceNorm2d: input channels are inferred: write InstanceNorm2d(), and give options by name",
    ),
    "no trailing axes": (
        lambda: fv.LayerNorm(trailing_axes=0),
        "LayerNorm: trailing_axes is 0; it must be at least 1",
    ),
    "local response of no channels": (
        lambda: fv.LocalResponseNorm(0),
        "LocalResponseNorm: size is 0; it must be at least 1",
    ),
    "local response over zero": (
        lambda: fv.LocalResponseNorm(5, k=0),
        "LocalResponseNorm: k is 0; it must be positive and finite, or zeros would be divided by zero (1 is usual)",
    ),
    "spatial dropout of everything": (
        lambda: fv.SpatialDropout(1.0),
        "SpatialDropout: rate is 1.0; it is the fraction to drop, at least 0 and below 1",
    ),
    "upsample to nothing": (
        fv.Upsample,
        "Upsample: give either scale or size; neither is given. Upsample(2) doubles every spatial axis",
    ),
    "upsample by scale and size": (
        lambda: fv.Upsample(2, size=3),
        "Upsample: give either scale or size; both are given. Upsample(2) doubles every spatial axis",
    ),
    "upsample by a fraction": (
        lambda: fv.Upsample(1.5),
        "Upsample: scale is 1.5; it must be an int. For other factors give the size",
    ),
    "upsample by 0": (lambda: fv.Upsample(0), "Upsample: scale is 0; it must be at least 1"),
    "upsample by another mode": (
        lambda: fv.Upsample(2, mode="bilinear"),
        "Upsample: mode is 'bilinear'; it must be one of \"nearest\", \"linear\"",
    ),
    "upsample nearest with corners": (
        lambda: fv.Upsample(2, align_corners=True),
        'Upsample: corners are aligned between neighbours only; give mode="linear" too',
    ),
    "clip to nothing": (
        lambda: fv.Hardtanh(1, 1), "Hardtanh: it clips to 1 and 1; give low below high, both finite"
    ),
    "clip without end": (
        lambda: fv.Hardtanh(0, float("inf")), "Hardtanh: it clips to 0 and inf; give low below high, both finite"
    ),
    "shuffle of no groups": (lambda: fv.ChannelShuffle(0), "ChannelShuffle: groups is 0; it must be at least 1"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_refused_in_a_sentence(make: Callable[[], Any], sentence: str):
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):
        make()


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (fv.BatchNorm1d(), ("N", "L")),
        (fv.BatchNorm2d(), ("N", "H", "W")),
        (fv.BatchNorm3d(), ("N", "D", "H", "W")),
        (fv.LayerNorm(), ("C", "H", "W")),
        (fv.LayerNorm(trailing_axes=1), ("W",)),
        (fv.InstanceNorm1d(), ("L",)),
        (fv.InstanceNorm2d(), ("H", "W")),
        (fv.InstanceNorm3d(), ("D", "H", "W")),
        (fv.GroupNorm(4), ("C/groups", "H", "W")),
        (fv.LocalResponseNorm(5), ("5 of C",)),
    ],
    ids=repr,
)
def test_each_normalisation_names_the_axes_of_its_means(layer: Normalization, axes: tuple[str, ...]):
    assert layer.normalized_axes() == axes


def test_the_axes_of_a_mean_follow_the_input():
    assert fv.BatchNorm1d().normalized_axes(0) == ("N",)
    assert fv.LayerNorm().normalized_axes(0) == ("C",)
    assert fv.GroupNorm(2).normalized_axes(3) == ("C/groups", "D", "H", "W")


@pytest.mark.parametrize(
    ("layer", "shape", "shapes"),
    [
        (fv.LayerNorm(), (3, 4, 5), {"weight": (3, 4, 5), "bias": (3, 4, 5)}),
        (fv.LayerNorm(trailing_axes=1), (3, 4, 5), {"weight": (5,), "bias": (5,)}),
        (fv.LayerNorm(affine=False), (3, 4, 5), {}),
        (fv.InstanceNorm2d(), (3, 4, 5), {}),
        (fv.InstanceNorm2d(affine=True), (3, 4, 5), {"weight": (3,), "bias": (3,)}),
        (fv.GroupNorm(3), (6, 4, 5), {"weight": (6,), "bias": (6,)}),
        (fv.PReLU(), (6, 4, 5), {"weight": (1,)}),
        (fv.PReLU(per_channel=True), (6, 4, 5), {"weight": (6,)}),
        (fv.ConvTranspose2d(8, (3, 5), groups=2), (6, 4, 5), {"weight": (6, 4, 3, 5), "bias": (8,)}),
        (fv.ConvTranspose2d(8, 3, bias=False), (6, 4, 5), {"weight": (6, 8, 3, 3)}),
    ],
    ids=repr,
)
def test_a_layer_has_the_parameters(layer: Layer, shape: Shape, shapes: dict[str, Shape]):
    parameters = layer.parameters([shape])
    assert {name: parameter.shape for name, parameter in parameters.items()} == shapes
    assert [name for name, parameter in parameters.items() if parameter.decay] == (
        ["weight"] if isinstance(layer, fv.ConvTranspose2d) else []
    )


def test_a_transposed_weight_counts_one_tap_of_every_stride():
    weight = fv.ConvTranspose2d(8, 4, stride=2, groups=2).parameters([(6, 5, 5)])["weight"]
    assert (weight.fan_in, weight.fan_out) == (3 * 16 // 4, 4 * 16)


@pytest.mark.parametrize(
    ("layer", "shapes", "cost"),
    [
        (fv.ConvTranspose2d(8, 4, stride=2, padding=1), [(3, 7, 7)], Cost(18816, 2 * 18816 + 8 * 14 * 14)),
        (fv.ConvTranspose1d(4, 3, groups=2, bias=False), [(6, 5)], Cost(180, 360)),
        (fv.GlobalMaxPool2d(), [(3, 4, 5)], Cost(flops=60)),
        (fv.AvgPool2d(2), [(6, 28, 28)], Cost(flops=6 * 14 * 14 * 4)),
        (fv.LPPool2d(2, 2), [(6, 28, 28)], Cost(flops=6 * 14 * 14 * (4 + 3 + 1))),
        (fv.Softmax(), [(6, 4)], Cost(flops=3 * 24)),
        (fv.LogSoftmax(), [(6, 4)], Cost(flops=3 * 24)),
        (fv.AdaptiveAvgPool1d(3), [(2, 7)], Cost(flops=2 * (3 + 3 + 3))),
        (fv.Maxout(2), [(6, 4)], Cost(flops=24)),
        (fv.SiLU(), [(6, 4)], Cost(flops=24)),
        (fv.LayerNorm(), [(6, 4)], Cost(flops=7 * 24)),
        (fv.InstanceNorm1d(), [(6, 4)], Cost(flops=5 * 24)),
        (fv.LocalResponseNorm(5), [(6, 4)], Cost(flops=10 * 24)),
        (fv.Multiply(), [(6, 4), (6,), (1,)], Cost(flops=2 * 24)),
        (fv.Upsample(2), [(6, 4)], Cost()),
        (fv.Upsample(2, mode="linear"), [(6, 4, 4)], Cost(flops=2 * 4 * 6 * 64)),
        (fv.ChannelShuffle(2), [(6, 4)], Cost()),
    ],
    ids=repr,
)
def test_a_layer_costs(layer: Layer, shapes: list[Shape], cost: Cost):
    assert layer.cost(shapes) == cost


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (fv.Conv2d(8, 3, padding=1, padding_mode="reflect"), "Conv2d 3x3, padding 1, reflect"),
        (
            fv.ConvTranspose2d(8, 4, stride=2, padding=1, output_padding=1, groups=2),
            "ConvTranspose2d 4x4, stride 2, padding 1, output padding 1x1, groups 2",
        ),
        (fv.AdaptiveAvgPool2d(6), "AdaptiveAvgPool2d to 6x6"),
        (fv.GELU(), "GELU"),
        (fv.GELU("tanh"), "GELU, tanh"),
        (fv.Softplus(2), "Softplus 2"),
        (fv.PReLU(), "PReLU"),
        (fv.PReLU(per_channel=True), "PReLU, per channel"),
        (fv.Maxout(2), "Maxout 2"),
        (fv.GroupNorm(32), "GroupNorm 32"),
        (fv.LayerNorm(), "LayerNorm"),
        (fv.LayerNorm(trailing_axes=1), "LayerNorm over the last axis"),
        (fv.LayerNorm(trailing_axes=2), "LayerNorm over the last 2 axes"),
        (fv.LocalResponseNorm(5), "LocalResponseNorm 5"),
        (fv.Upsample(2), "Upsample x2, nearest"),
        (fv.Upsample((2, 3), mode="linear"), "Upsample x2x3, linear"),
        (fv.Upsample(size=(7, 5)), "Upsample to 7x5, nearest"),
        (fv.Upsample(2, mode="linear", align_corners=True), "Upsample x2, linear, corners aligned"),
        (fv.Hardtanh(0, 1), "Hardtanh 0 to 1"),
        (fv.ChannelShuffle(3), "ChannelShuffle 3"),
        (fv.SpatialDropout(0.2), "SpatialDropout 0.2"),
    ],
    ids=repr,
)
def test_a_layer_describes_itself(layer: Layer, words: str):
    assert layer.describe() == words

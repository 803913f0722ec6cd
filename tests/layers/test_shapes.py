"""Shape rules: what each layer makes of its input, and what it says of one that does not suit it."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import foveate as fv
from foveate.layers import Layer, Shape
from foveate.layers.registry import built_in_layers

SHAPES: dict[str, tuple[Layer, list[Shape], Shape]] = {
    "convolution": (fv.Conv2d(10, 5, padding=2), [(3, 32, 32)], (10, 32, 32)),
    "convolution without padding": (fv.Conv2d(6, 5), [(3, 32, 32)], (6, 28, 28)),
    "convolution of sound": (fv.Conv1d(32, 9, stride=2, padding=4), [(1, 8000)], (32, 4000)),
    "convolution of a volume": (fv.Conv3d(8, 3, padding="same"), [(1, 16, 15, 14)], (8, 16, 15, 14)),
    "convolution, oblong": (fv.Conv2d(4, (3, 5), stride=(2, 1)), [(3, 9, 9)], (4, 4, 5)),
    "convolution, asymmetric": (fv.Conv2d(4, 3, padding=((0, 1), (2, 0))), [(3, 8, 8)], (4, 7, 8)),
    "convolution, dilated": (fv.Conv2d(4, 3, dilation=3), [(3, 9, 9)], (4, 3, 3)),
    "convolution, same with stride": (fv.Conv2d(4, 5, stride=3, padding="same"), [(3, 32, 31)], (4, 11, 11)),
    "convolution, valid": (fv.Conv2d(4, 3, padding="valid"), [(3, 5, 5)], (4, 3, 3)),
    "convolution, grouped": (fv.Conv2d(8, 3, groups=4), [(4, 5, 5)], (8, 3, 3)),
    "pooling": (fv.MaxPool2d(2), [(6, 28, 28)], (6, 14, 14)),
    "pooling of an odd size": (fv.MaxPool2d(2), [(6, 7, 7)], (6, 3, 3)),
    "pooling of an odd size, ceil": (fv.MaxPool2d(2, ceil_mode=True), [(6, 7, 7)], (6, 4, 4)),
    "pooling, overlapping": (fv.MaxPool2d(3, stride=2, padding=1), [(64, 112, 112)], (64, 56, 56)),
    "pooling, a ceil window that would start in the padding": (
        fv.MaxPool2d(2, stride=2, padding=1, ceil_mode=True),
        [(1, 3, 3)],
        (1, 2, 2),
    ),
    "average pooling of sound": (fv.AvgPool1d(4), [(3, 100)], (3, 25)),
    "average pooling of a volume": (fv.AvgPool3d(2), [(3, 4, 6, 8)], (3, 2, 3, 4)),
    "global pooling 1-D": (fv.GlobalAvgPool1d(), [(5, 9)], (5,)),
    "global pooling 2-D": (fv.GlobalAvgPool2d(), [(512, 7, 7)], (512,)),
    "global pooling 3-D": (fv.GlobalAvgPool3d(), [(2, 3, 4, 5)], (2,)),
    "linear": (fv.Linear(10), [(3072,)], (10,)),
    "flatten": (fv.Flatten(), [(3, 32, 32)], (3072,)),
    "flatten what is flat": (fv.Flatten(), [(7,)], (7,)),
    "batch norm of features": (fv.BatchNorm1d(), [(7,)], (7,)),
    "batch norm of a sequence": (fv.BatchNorm1d(), [(7, 9)], (7, 9)),
    "batch norm of an image": (fv.BatchNorm2d(), [(7, 9, 9)], (7, 9, 9)),
    "batch norm of a volume": (fv.BatchNorm3d(), [(7, 2, 3, 4)], (7, 2, 3, 4)),
    "add": (fv.Add(), [(3, 4), (3, 4), (3, 4)], (3, 4)),
    "concatenate": (fv.Concatenate(), [(3, 4, 5), (7, 4, 5)], (10, 4, 5)),
    "pad": (fv.Pad(((0, 0), (1, 2), (-1, 0))), [(3, 8, 8)], (3, 11, 7)),
    "dropout": (fv.Dropout(), [(3, 8, 8)], (3, 8, 8)),
    "relu": (fv.ReLU(), [(3, 8, 8)], (3, 8, 8)),
    "tanh of a number": (fv.Tanh(), [(1,)], (1,)),
}


@pytest.mark.parametrize(("layer", "inputs", "output"), SHAPES.values(), ids=SHAPES)
def test_the_output_has_the_shape(layer: Layer, inputs: list[Shape], output: Shape):
    assert layer.output_shape(inputs) == output


@given(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3),
    st.lists(st.integers(1, 30), min_size=3, max_size=3),
)  # fmt: skip
def test_a_convolution_gives_the_shape_and_parameters_that_pytorchs_gives(
    rank: int, channels: int, kernel: int, stride: int, padding: int, dilation: int, sizes: list[int]
):
    ours = (fv.Conv1d, fv.Conv2d, fv.Conv3d)[rank - 1](5, kernel, stride=stride, padding=padding, dilation=dilation)
    module = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    theirs = module(channels, 5, kernel, stride, padding, dilation, device="meta")
    shape = (channels, *sizes[:rank])
    try:
        expected = tuple(theirs(torch.zeros(1, *shape, device="meta")).shape[1:])
    except RuntimeError:
        with pytest.raises(fv.ShapeError, match="does not fit its"):
            ours.output_shape([shape])
        return
    assert ours.output_shape([shape]) == expected
    parameters = {name: tuple(parameter.shape) for name, parameter in theirs.named_parameters()}
    assert {name: parameter.shape for name, parameter in ours.parameters([shape]).items()} == parameters


REFUSED: dict[str, tuple[Layer, list[Shape], str]] = {
    "conv without spatial axes": (
        fv.Conv2d(8, 3),
        [(3072,)],
        "needs an input of C x H x W, but gets 3072 (1 axes). Put it before Flatten and the linear layers.",
    ),
    "conv of a sequence": (
        fv.Conv2d(8, 3),
        [(1, 8000)],
        "needs an input of C x H x W, but gets 1x8000 (2 axes). Use Conv1d, or give the input H x W after its "
        "channels.",
    ),
    "conv of a volume": (
        fv.Conv2d(8, 3),
        [(1, 8, 8, 8)],
        "needs an input of C x H x W, but gets 1x8x8x8 (4 axes). Use Conv3d, or give the input H x W after its "
        "channels.",
    ),
    "conv of too many axes": (
        fv.Conv3d(8, 3),
        [(1, 2, 3, 4, 5)],
        "needs an input of C x D x H x W, but gets 1x2x3x4x5 (5 axes). A sample has 1 to 3 spatial axes after its "
        "channels.",
    ),
    "1-D conv of an image": (
        fv.Conv1d(8, 3),
        [(3, 8, 8)],
        "needs an input of C x L, but gets 3x8x8 (3 axes). Use Conv2d, or give the input L after its channels.",
    ),
    "pooling of a volume": (
        fv.MaxPool2d(2),
        [(1, 8, 8, 8)],
        "needs an input of C x H x W, but gets 1x8x8x8 (4 axes). Use MaxPool3d, or give the input H x W after its "
        "channels.",
    ),
    "global pooling of features": (
        fv.GlobalAvgPool2d(),
        [(64,)],
        "needs an input of C x H x W, but gets 64 (1 axes). Put it before Flatten and the linear layers.",
    ),
    "groups that do not divide the channels": (
        fv.Conv2d(8, 3, groups=4),
        [(6, 8, 8)],
        "groups is 4, which does not divide its 6 input channels: each group sees an equal share of them. "
        "Divisors of 6 are 1, 2, 3, 6",
    ),
    "a window larger than its input": (
        fv.Conv2d(8, 5),
        [(3, 4, 4)],
        "does not fit its 4x4 input: the window spans 5, but the padded input is only 4 + 0 + 0 = 4 long. "
        "Fits: kernel_size 4, or padding 1, or an input of at least 5",
    ),
    "a window larger than one axis": (
        fv.Conv2d(8, 5),
        [(3, 9, 2)],
        "does not fit its 9x2 input: the window spans 5, but the padded input is only 2 + 0 + 0 = 2 long. "
        "Fits: kernel_size 2, or padding 2, or an input of at least 5",
    ),
    "a window larger than its padded input": (
        fv.Conv2d(8, 7, padding=1),
        [(3, 3, 3)],
        "does not fit its 3x3 input: the window spans 7, but the padded input is only 3 + 1 + 1 = 5 long. "
        "Fits: kernel_size 5, or padding 2, or an input of at least 5",
    ),
    "a dilated window larger than its input": (
        fv.Conv1d(8, 3, dilation=4),
        [(3, 7)],
        "does not fit its input of length 7: the window spans 4*(3 - 1) + 1 = 9, but the padded input is only "
        "7 + 0 + 0 = 7 long. Fits: kernel_size 2, or padding 1, or an input of at least 9",
    ),
    "a pooling window larger than its input": (
        fv.MaxPool2d(4),
        [(3, 3, 3)],
        "does not fit its 3x3 input: the window spans 4, but the padded input is only 3 + 0 + 0 = 3 long. "
        "Fits: kernel_size 3, or padding 1, or an input of at least 4",
    ),
    "linear of an image": (
        fv.Linear(10),
        [(3, 32, 32)],
        "needs a flat input, but gets 3x32x32. Put Flatten before it, or GlobalAvgPool2d to keep only the channels",
    ),
    "linear of a sequence": (
        fv.Linear(10),
        [(3, 32)],
        "needs a flat input, but gets 3x32. Put Flatten before it, or GlobalAvgPool1d to keep only the channels",
    ),
    "linear of more axes than any pooling takes": (
        fv.Linear(10),
        [(3, 2, 2, 2, 2)],
        "needs a flat input, but gets 3x2x2x2x2. Put Flatten before it",
    ),
    "BatchNorm1d of an image": (
        fv.BatchNorm1d(),
        [(3, 8, 8)],
        "needs an input of C or C x L, but gets 3x8x8. Use BatchNorm2d",
    ),
    "BatchNorm2d of features": (
        fv.BatchNorm2d(),
        [(64,)],
        "needs an input of C x H x W, but gets 64. Use BatchNorm1d",
    ),
    "BatchNorm2d of a sequence": (
        fv.BatchNorm2d(),
        [(64, 8)],
        "needs an input of C x H x W, but gets 64x8. Use BatchNorm1d",
    ),
    "BatchNorm2d of a volume": (
        fv.BatchNorm2d(),
        [(4, 8, 8, 8)],
        "needs an input of C x H x W, but gets 4x8x8x8. Use BatchNorm3d",
    ),
    "BatchNorm3d of too many axes": (
        fv.BatchNorm3d(),
        [(1, 2, 3, 4, 5)],
        "needs an input of C x D x H x W, but gets 1x2x3x4x5. A sample has at most 3 spatial axes after its channels",
    ),
    "add of different shapes": (
        fv.Add(),
        [(3, 8, 8), (4, 8, 8)],
        "adds inputs of different shapes: 3x8x8 and 4x8x8. On each axis, counted from the channels, sizes must be "
        "equal, 1 or missing",
    ),
    "add of three, one of them different": (
        fv.Add(),
        [(3, 8), (3, 8), (8,)],
        "adds inputs of different shapes: 3x8 and 3x8 and 8. On each axis, counted from the channels, sizes must be "
        "equal, 1 or missing",
    ),
    "concatenation of different sizes": (
        fv.Concatenate(),
        [(3, 8, 8), (4, 4, 4)],
        "joins inputs whose spatial sizes differ: 3x8x8 and 4x4x4. Give the branches the same stride and padding",
    ),
    "pad of another number of axes": (
        fv.Pad(((1, 1), (1, 1))),
        [(3, 8, 8)],
        "has padding for 2 axes, but its input 3x8x8 has 3; give one pair for each axis, channels first",
    ),
    "a crop that leaves nothing": (
        fv.Pad(((0, 0), (-4, -4), (0, 0))),
        [(3, 8, 8)],
        "crops its 3x8x8 input to 3x0x8; nothing would be left",
    ),
    "a crop that leaves only padding": (
        fv.Pad(((0, 0), (-9, 9), (0, 0))),
        [(3, 8, 8)],
        "crops its 3x8x8 input to 3x8x8; nothing would be left",
    ),
}


@pytest.mark.parametrize(("layer", "inputs", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_input_that_does_not_suit_is_refused_in_a_sentence(layer: Layer, inputs: list[Shape], sentence: str):
    with pytest.raises(fv.ShapeError, match=f"^{re.escape(sentence)}$"):
        layer.output_shape(inputs)


def test_channel_mistakes_are_reported_before_sizes():
    with pytest.raises(fv.ShapeError, match="does not divide its 6 input channels"):
        fv.Conv2d(8, 9, groups=4).output_shape([(6, 8, 8)])


@pytest.mark.parametrize("count", [0, 2, 3])
@pytest.mark.parametrize(
    "layer",
    [
        fv.Conv1d(1, 1), fv.Conv2d(1, 1), fv.Conv3d(1, 1), fv.MaxPool2d(1), fv.AvgPool2d(1), fv.GlobalAvgPool2d(),
        fv.Linear(1), fv.Flatten(), fv.Pad(((0, 0),)), fv.Dropout(), fv.BatchNorm1d(), fv.ReLU(), fv.Tanh(),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_a_layer_of_one_input_refuses_any_other_number(layer: Layer, count: int):
    sentence = f"takes exactly 1 input, but {count} are connected to it"
    with pytest.raises(fv.ShapeError, match=f"^{sentence}$"):
        layer.output_shape([(3, 4, 4)] * count)


@pytest.mark.parametrize(
    ("layer", "count", "sentence"),
    [
        (fv.Add(), 0, "takes at least 2 inputs, but 0 are connected to it"),
        (fv.Add(), 1, "takes at least 2 inputs, but 1 are connected to it"),
        (fv.Concatenate(), 0, "takes at least 1 input, but 0 are connected to it"),
    ],
)
def test_a_layer_of_several_inputs_refuses_too_few(layer: Layer, count: int, sentence: str):
    with pytest.raises(fv.ShapeError, match=f"^{sentence}$"):
        layer.output_shape([(3, 4, 4)] * count)


WAYS_OUT: dict[str, tuple[Any, Shape, Any]] = {
    "a smaller window": (lambda: fv.Conv2d(8, 5), (3, 4, 4), lambda: fv.Conv2d(8, 4)),
    "padding": (lambda: fv.Conv2d(8, 5), (3, 4, 4), lambda: fv.Conv2d(8, 5, padding=1)),
    "a smaller dilated window": (lambda: fv.Conv1d(8, 3, dilation=4), (3, 7), lambda: fv.Conv1d(8, 2, dilation=4)),
    "padding of a dilated window": (
        lambda: fv.Conv1d(8, 3, dilation=4),
        (3, 7),
        lambda: fv.Conv1d(8, 3, dilation=4, padding=1),
    ),
}


@pytest.mark.parametrize(("wrong", "shape", "right"), WAYS_OUT.values(), ids=WAYS_OUT)
def test_the_way_out_that_an_error_offers_is_one(wrong: Any, shape: Shape, right: Any):
    with pytest.raises(fv.ShapeError):
        wrong().output_shape([shape])
    assert min(right().output_shape([shape])) >= 1


# Parameters, statistics, costs, descriptions


@pytest.mark.parametrize(
    ("layer", "shape", "shapes"),
    [
        (fv.Conv2d(10, 5, padding=2), (3, 32, 32), {"weight": (10, 3, 5, 5), "bias": (10,)}),
        (fv.Conv2d(10, 5, bias=False), (3, 32, 32), {"weight": (10, 3, 5, 5)}),
        (fv.Conv2d(16, (3, 1), groups=8), (8, 9, 9), {"weight": (16, 1, 3, 1), "bias": (16,)}),
        (fv.Conv1d(4, 9), (2, 99), {"weight": (4, 2, 9), "bias": (4,)}),
        (fv.Conv3d(4, (1, 2, 3)), (2, 5, 5, 5), {"weight": (4, 2, 1, 2, 3), "bias": (4,)}),
        (fv.Linear(10), (84,), {"weight": (10, 84), "bias": (10,)}),
        (fv.Linear(10, bias=False), (84,), {"weight": (10, 84)}),
        (fv.BatchNorm2d(), (16, 4, 4), {"weight": (16,), "bias": (16,)}),
        (fv.BatchNorm2d(affine=False), (16, 4, 4), {}),
        (fv.MaxPool2d(2), (16, 4, 4), {}),
        (fv.AvgPool2d(2), (16, 4, 4), {}),
        (fv.GlobalAvgPool2d(), (16, 4, 4), {}),
        (fv.ReLU(), (16, 4, 4), {}),
        (fv.Dropout(), (16,), {}),
    ],
    ids=repr,
)
def test_a_layer_has_parameters_of_pytorchs_shapes(layer: Layer, shape: Shape, shapes: dict[str, Shape]):
    assert {name: parameter.shape for name, parameter in layer.parameters([shape]).items()} == shapes


@pytest.mark.parametrize(
    ("layer", "shape", "fans"),
    [
        (fv.Conv2d(10, 5), (3, 32, 32), (75, 250)),
        (fv.Conv2d(16, 3, groups=8), (8, 9, 9), (9, 18)),
        (fv.Conv1d(4, 9), (2, 99), (18, 36)),
        (fv.Linear(10), (84,), (84, 10)),
    ],
    ids=repr,
)
def test_a_weight_knows_how_many_inputs_make_an_output_and_how_many_outputs_an_input_reaches(
    layer: Layer, shape: Shape, fans: tuple[int, int]
):
    weight = layer.parameters([shape])["weight"]
    assert (weight.fan_in, weight.fan_out) == fans


@pytest.mark.parametrize(
    ("layer", "shape", "decaying"),
    [
        (fv.Conv2d(10, 5), (3, 32, 32), {"weight"}),
        (fv.Linear(10), (84,), {"weight"}),
        (fv.BatchNorm2d(), (16, 4, 4), set()),
    ],
    ids=repr,
)
def test_weights_decay_but_biases_and_normalisation_do_not(layer: Layer, shape: Shape, decaying: set[str]):
    assert {name for name, parameter in layer.parameters([shape]).items() if parameter.decay} == decaying


def test_a_frozen_batch_norm_has_parameters_that_are_not_trained():
    frozen, free = (fv.BatchNorm2d(frozen=frozen).parameters([(4, 2, 2)]) for frozen in (True, False))
    assert [parameter.trainable for parameter in frozen.values()] == [False, False]
    assert [parameter.trainable for parameter in free.values()] == [True, True]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(fv.BatchNorm1d(), (7,)), (fv.BatchNorm2d(affine=False), (7, 2, 2)), (fv.BatchNorm3d(), (7, 1, 1, 1))],
)
def test_only_batch_norm_measures_a_mean_from_0_and_a_variance_from_1(layer: Layer, shape: Shape):
    statistics = {name: (s.shape, s.initial) for name, s in layer.statistics([shape]).items()}
    assert statistics == {"running_mean": ((7,), 0.0), "running_var": ((7,), 1.0)}


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "flops"),
    [
        (fv.Conv2d(10, 5, padding=2), (3, 32, 32), 10 * 32 * 32 * 75, 2 * 10 * 32 * 32 * 75 + 10 * 32 * 32),
        (fv.Conv2d(10, 5, padding=2, bias=False), (3, 32, 32), 768_000, 1_536_000),
        (fv.Conv2d(16, 3, groups=16, padding=1, bias=False), (16, 8, 8), 16 * 64 * 9, 2 * 16 * 64 * 9),
        (fv.Conv1d(4, 3, stride=2), (2, 9), 4 * 4 * 6, 2 * 96 + 16),
        (fv.Linear(10), (84,), 840, 1690),
        (fv.Linear(10, bias=False), (84,), 840, 1680),
        (fv.BatchNorm2d(), (16, 4, 4), 0, 512),
        (fv.MaxPool2d(2), (6, 28, 28), 0, 6 * 14 * 14 * 4),
        (fv.AvgPool2d(3, stride=2), (6, 9, 9), 0, 6 * 4 * 4 * 9),
        (fv.GlobalAvgPool2d(), (6, 9, 9), 0, 486),
        (fv.ReLU(), (3, 4, 5), 0, 60),
        (fv.Dropout(), (60,), 0, 60),
        (fv.Flatten(), (3, 4, 5), 0, 0),
        (fv.Pad(((1, 1),)), (3,), 0, 0),
    ],
    ids=repr,
)
def test_a_layer_costs(layer: Layer, shape: Shape, macs: int, flops: int):
    cost = layer.cost([shape])
    assert (cost.macs, cost.flops) == (macs, flops)


def test_adding_three_inputs_costs_two_additions_for_each_element():
    assert fv.Add().cost([(3, 4)] * 3).flops == 24


def test_concatenating_costs_nothing():
    assert fv.Concatenate().cost([(3, 4)] * 3).flops == 0


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (fv.Conv2d(8, 3), "Conv2d 3x3"),
        (fv.Conv2d(8, 3, stride=2, padding=1), "Conv2d 3x3, stride 2, padding 1"),
        (fv.Conv2d(8, (3, 5), stride=(1, 2)), "Conv2d 3x5, stride 1x2"),
        (fv.Conv2d(8, 3, padding="same", dilation=2), "Conv2d 3x3, padding same, dilation 2"),
        (fv.Conv2d(8, 3, padding=(1, 2)), "Conv2d 3x3, padding 1x2"),
        (fv.Conv2d(8, 3, padding=((0, 1), (0, 1))), "Conv2d 3x3, padding (0, 1)"),
        (fv.Conv2d(32, 3, groups=32), "Conv2d 3x3, groups 32"),
        (fv.Conv1d(8, 9), "Conv1d 9"),
        (fv.MaxPool2d(2), "MaxPool2d 2x2, stride 2"),
        (fv.MaxPool2d(3, stride=1, ceil_mode=True), "MaxPool2d 3x3, ceil_mode"),
        (fv.MaxPool2d(3, dilation=2), "MaxPool2d 3x3, stride 3, dilation 2"),
        (fv.AvgPool3d(2), "AvgPool3d 2x2x2, stride 2"),
        (fv.GlobalAvgPool2d(), "GlobalAvgPool2d"),
        (fv.Linear(10), "Linear 10"),
        (fv.BatchNorm2d(), "BatchNorm2d"),
        (fv.BatchNorm2d(frozen=True), "BatchNorm2d, frozen"),
        (fv.LeakyReLU(), "LeakyReLU 0.1"),
        (fv.ELU(), "ELU 1"),
        (fv.Dropout(0.25), "Dropout 0.25"),
        (fv.Pad(((8, 8), (0, 0), (0, 0))), "Pad (8, 8) (0, 0) (0, 0)"),
        (fv.Flatten(), "Flatten"),
        (fv.Add(), "Add"),
    ],
    ids=str,
)
def test_a_layer_describes_itself(layer: Layer, words: str):
    assert layer.describe() == words


@pytest.mark.parametrize("layer_type", built_in_layers(), ids=lambda layer_type: layer_type.__name__)
def test_every_layer_type_is_exported_and_documented(layer_type: type[Layer]):
    assert getattr(fv, layer_type.__name__) is layer_type
    assert layer_type.__doc__
    assert not layer_type.__doc__.startswith(f"{layer_type.__name__}(")

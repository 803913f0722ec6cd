"""Hyper-parameters are brought to one form when a layer is made, or refused in a sentence."""

import re
from typing import Any

import pytest

import foveate as fv
from foveate.layers import Layer

TOO_LARGE = 2**31


def says(sentence: str) -> str:
    """A pattern that a whole message must match."""
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (fv.Conv2d(8, 3), {"kernel_size": (3, 3), "stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}),
        (fv.Conv2d(8, (3, 5), stride=(2, 1)), {"kernel_size": (3, 5), "stride": (2, 1)}),
        (fv.Conv2d(8, [3, 5]), {"kernel_size": (3, 5)}),
        (fv.Conv1d(8, 3, padding=2), {"kernel_size": (3,), "padding": ((2, 2),)}),
        (fv.Conv3d(8, 3, dilation=2), {"kernel_size": (3, 3, 3), "dilation": (2, 2, 2)}),
        (fv.Conv2d(8, 3, padding=(1, 2)), {"padding": ((1, 1), (2, 2))}),
        (fv.Conv2d(8, 3, padding=((1, 2), 0)), {"padding": ((1, 2), (0, 0))}),
        (fv.Conv2d(8, 3, padding=[[1, 2], [0, 3]]), {"padding": ((1, 2), (0, 3))}),
        (fv.Conv2d(8, 3, padding="valid"), {"padding": ((0, 0), (0, 0))}),
        (fv.Conv2d(8, 3, padding="same"), {"padding": "same"}),
        (fv.Conv2d(8, 3, bias=False), {"bias": False, "groups": 1, "initializer": "auto"}),
        (fv.MaxPool2d(2), {"kernel_size": (2, 2), "stride": (2, 2), "ceil_mode": False}),
        (fv.MaxPool2d((2, 3)), {"stride": (2, 3)}),
        (fv.MaxPool2d(3, stride=1, padding=1), {"stride": (1, 1), "padding": ((1, 1), (1, 1))}),
        (fv.AvgPool1d(4), {"kernel_size": (4,), "stride": (4,), "count_include_pad": True}),
        (fv.Linear(10), {"out_features": 10, "bias": True, "initializer": "auto"}),
        (fv.LeakyReLU(), {"slope": 0.1}),
        (fv.ELU(), {"alpha": 1.0}),
        (fv.Dropout(), {"rate": 0.5}),
        (fv.BatchNorm2d(), {"eps": 1e-5, "momentum": 0.1, "affine": True, "frozen": False}),
        (fv.Pad([[1, 2]]), {"padding": ((1, 2),)}),
    ],
    ids=repr,
)
def test_an_option_is_held_in_one_form(layer: Layer, options: dict[str, Any]):
    assert {name: layer.options()[name] for name in options} == options


def test_layers_of_equal_options_are_equal_however_they_were_written():
    assert fv.Conv2d(8, 3, padding=1) == fv.Conv2d(8, (3, 3), padding=((1, 1), (1, 1)))
    assert hash(fv.Conv2d(8, 3, padding="valid")) == hash(fv.Conv2d(8, [3, 3]))
    assert fv.Conv2d(8, 3) != fv.Conv2d(8, 3, bias=False)


@pytest.mark.parametrize("layer", [fv.Conv2d(8, 3), fv.MaxPool2d(2), fv.Linear(3), fv.ReLU(), fv.Dropout()], ids=repr)
def test_a_layer_is_frozen(layer: Layer):
    with pytest.raises(AttributeError):
        layer.rate = 0.9  # type: ignore[attr-defined]


REFUSED: dict[str, tuple[Any, str]] = {
    "out_channels 0": (
        lambda: fv.Conv2d(0, 3),
        "Conv2d: out_channels is 0; it must be at least 1",
    ),
    "out_channels not an int": (
        lambda: fv.Conv2d(8.0, 3),
        "Conv2d: out_channels is 8.0; it must be an int of at least 1",
    ),
    "out_channels True": (
        lambda: fv.Conv2d(True, 3),
        "Conv2d: out_channels is True; it must be an int of at least 1",
    ),
    "out_channels too large": (
        lambda: fv.Conv2d(TOO_LARGE, 3),
        "Conv2d: out_channels is 2147483648; it must be at most 2147483647",
    ),
    "kernel_size 0": (
        lambda: fv.Conv2d(8, 0),
        "Conv2d: kernel_size is 0; it must be at least 1",
    ),
    "kernel_size with a 0": (
        lambda: fv.Conv2d(8, (3, 0)),
        "Conv2d: kernel_size is 0; it must be at least 1",
    ),
    "kernel_size of a wrong count": (
        lambda: fv.Conv2d(8, (3, 3, 3)),
        "Conv2d: kernel_size has 3 values, but there are 2 spatial axes; give one int or 2",
    ),
    "kernel_size of two for one axis": (
        lambda: fv.Conv1d(8, (3, 3)),
        "Conv1d: kernel_size has 2 values, but there is 1 spatial axis; give one int",
    ),
    "kernel_size a word": (
        lambda: fv.Conv2d(8, "3"),
        "Conv2d: kernel_size is '3'; give an int, or 2 of them, one for each spatial axis",
    ),
    "kernel_size None": (
        lambda: fv.Conv3d(8, None),
        "Conv3d: kernel_size is None; give an int, or 3 of them, one for each spatial axis",
    ),
    "kernel_size a fraction": (
        lambda: fv.MaxPool2d(2.5),
        "MaxPool2d: kernel_size is 2.5; give an int, or 2 of them, one for each spatial axis",
    ),
    "kernel_size True": (
        lambda: fv.Conv2d(8, True),
        "Conv2d: kernel_size is True; give an int, or 2 of them, one for each spatial axis",
    ),
    "stride 0": (
        lambda: fv.Conv2d(8, 3, stride=0),
        "Conv2d: stride is 0; it must be at least 1",
    ),
    "stride negative": (
        lambda: fv.MaxPool2d(2, stride=-1),
        "MaxPool2d: stride is -1; it must be at least 1",
    ),
    "stride with a fraction": (
        lambda: fv.Conv2d(8, 3, stride=(1, 1.5)),
        "Conv2d: stride is 1.5; it must be an int of at least 1",
    ),
    "dilation 0": (
        lambda: fv.Conv2d(8, 3, dilation=0),
        "Conv2d: dilation is 0; it must be at least 1",
    ),
    "padding negative": (
        lambda: fv.Conv2d(8, 3, padding=-1),
        "Conv2d: padding is -1; it must be at least 0",
    ),
    "padding with a negative end": (
        lambda: fv.Conv2d(8, 3, padding=((0, -2), 0)),
        "Conv2d: padding is -2; it must be at least 0",
    ),
    "padding an unknown word": (
        lambda: fv.Conv2d(8, 3, padding="full"),
        'Conv2d: padding is "full"; the words are "same" and "valid", or give ints',
    ),
    "padding of a wrong count": (
        lambda: fv.Conv2d(8, 3, padding=(1, 1, 1)),
        "Conv2d: padding is (1, 1, 1); give an int, or for each of the 2 axes an int or a (begin, end) pair",
    ),
    "padding with three for an axis": (
        lambda: fv.Conv2d(8, 3, padding=((1, 1, 1), 0)),
        "Conv2d: padding has (1, 1, 1) for one axis; give an int, or for each of the 2 axes an int or a (begin, end) "
        "pair",
    ),
    "padding with a word for an axis": (
        lambda: fv.Conv2d(8, 3, padding=("same", 0)),
        "Conv2d: padding has 'same' for one axis; give an int, or for each of the 2 axes an int or a (begin, end) pair",
    ),
    "padding a fraction": (
        lambda: fv.Conv2d(8, 3, padding=0.5),
        "Conv2d: padding is 0.5; give an int, or for each of the 2 axes an int or a (begin, end) pair",
    ),
    "padding with a fraction": (
        lambda: fv.Conv2d(8, 3, padding=(0.5, 1)),
        "Conv2d: padding is 0.5; it must be an int of at least 0",
    ),
    "padding None": (
        lambda: fv.Conv2d(8, 3, padding=None),
        "Conv2d: padding is None; give an int, or for each of the 2 axes an int or a (begin, end) pair",
    ),
    "padding True": (
        lambda: fv.Conv2d(8, 3, padding=True),
        "Conv2d: padding is True; give an int, or 2 of them, one for each spatial axis",
    ),
    "groups 0": (
        lambda: fv.Conv2d(8, 3, groups=0),
        "Conv2d: groups is 0; it must be at least 1",
    ),
    "groups that do not divide the outputs": (
        lambda: fv.Conv2d(10, 3, groups=4),
        "Conv2d: groups is 4, which does not divide out_channels 10: each group makes an equal share of the outputs. "
        "Use out_channels 8, or groups 1",
    ),
    "more groups than outputs": (
        lambda: fv.Conv2d(3, 3, groups=8),
        "Conv2d: groups is 8, which does not divide out_channels 3: each group makes an equal share of the outputs. "
        "Use out_channels 8, or groups 1",
    ),
    "initializer unknown": (
        lambda: fv.Conv2d(8, 3, initializer="kaiming"),
        'Conv2d: there is no initializer "kaiming"; choose one of auto, he, xavier, zeros, ones',
    ),
    "PyTorch's order": (
        lambda: fv.Conv2d(3, 32, 3),
        "Conv2d: input channels are inferred, so only out_channels and kernel_size can be given without a name. "
        "Leave the first number out, and name what follows: Conv2d(..., stride=2)",
    ),
    "PyTorch's order, with stride and padding": (
        lambda: fv.Conv1d(3, 32, 3, 2, 1),
        "Conv1d: input channels are inferred, so only out_channels and kernel_size can be given without a name. "
        "Leave the first number out, and name what follows: Conv1d(..., stride=2)",
    ),
    "a second number for a pooling": (
        lambda: fv.MaxPool2d(2, 2),
        "MaxPool2d: only kernel_size can be given without a name: write MaxPool2d(2, stride=2)",
    ),
    "PyTorch's linear order": (
        lambda: fv.Linear(784, 10),
        "Linear: input features are inferred, so only out_features can be given without a name. Leave the first number "
        "out: Linear(10)",
    ),
    "out_features 0": (
        lambda: fv.Linear(0),
        "Linear: out_features is 0; it must be at least 1",
    ),
    "out_features not an int": (
        lambda: fv.Linear("10"),
        "Linear: out_features is '10'; it must be an int of at least 1",
    ),
    "linear initializer unknown": (
        lambda: fv.Linear(3, initializer="He"),
        'Linear: there is no initializer "He"; choose one of auto, he, xavier, zeros, ones',
    ),
    "pooling padding as long as the window": (
        lambda: fv.MaxPool2d(2, padding=2),
        "MaxPool2d: padding 2 is as long as the window (2), so a window would see only padding. "
        "Use at most padding 1, or a Pad layer before it",
    ),
    "pooling padding longer at the end": (
        lambda: fv.AvgPool1d(3, padding=((0, 4),)),
        "AvgPool1d: padding 4 is as long as the window (3), so a window would see only padding. "
        "Use at most padding 2, or a Pad layer before it",
    ),
    "pooling padding of a dilated window": (
        lambda: fv.MaxPool1d(3, dilation=2, padding=5),
        "MaxPool1d: padding 5 is as long as the window (5), so a window would see only padding. "
        "Use at most padding 4, or a Pad layer before it",
    ),
    "a dilated average": (
        lambda: fv.AvgPool2d(2, dilation=2),
        "AvgPool2d: dilation is 2; averages are taken over whole windows: use dilation 1",
    ),
    "an average dilated along one axis": (
        lambda: fv.AvgPool2d(2, dilation=(1, 3)),
        "AvgPool2d: dilation is 3; averages are taken over whole windows: use dilation 1",
    ),
    "slope 1": (
        lambda: fv.LeakyReLU(1.0),
        "LeakyReLU: slope is 1.0; it must be at least 0 and below 1 (0 is ReLU)",
    ),
    "slope negative": (
        lambda: fv.LeakyReLU(-0.1),
        "LeakyReLU: slope is -0.1; it must be at least 0 and below 1 (0 is ReLU)",
    ),
    "alpha 0": (
        lambda: fv.ELU(0.0),
        "ELU: alpha is 0.0; it must be positive and finite (1 is usual)",
    ),
    "alpha not a number": (
        lambda: fv.ELU(float("nan")),
        "ELU: alpha is nan; it must be positive and finite (1 is usual)",
    ),
    "rate 1": (
        lambda: fv.Dropout(1.0),
        "Dropout: rate is 1.0; it is the fraction to drop, at least 0 and below 1",
    ),
    "rate negative": (
        lambda: fv.Dropout(-0.5),
        "Dropout: rate is -0.5; it is the fraction to drop, at least 0 and below 1",
    ),
    "eps 0": (
        lambda: fv.BatchNorm2d(eps=0.0),
        "BatchNorm2d: eps is 0.0; it must be positive and finite (1e-5 is usual)",
    ),
    "momentum above 1": (
        lambda: fv.BatchNorm1d(momentum=1.1),
        "BatchNorm1d: momentum is 1.1; it is the weight given to the new batch, from 0 to 1 (0.1 is usual)",
    ),
    "momentum negative": (
        lambda: fv.BatchNorm3d(momentum=-0.1),
        "BatchNorm3d: momentum is -0.1; it is the weight given to the new batch, from 0 to 1 (0.1 is usual)",
    ),
    "no pads": (
        lambda: fv.Pad(()),
        "Pad: padding is (); give a (begin, end) pair of ints for each axis",
    ),
    "a pad of three": (
        lambda: fv.Pad(((1, 2, 3),)),
        "Pad: padding is ((1, 2, 3),); give a (begin, end) pair of ints for each axis",
    ),
    "a pad of fractions": (
        lambda: fv.Pad(((0.5, 1),)),
        "Pad: padding is ((0.5, 1),); give a (begin, end) pair of ints for each axis",
    ),
    "a single pad": (
        lambda: fv.Pad(1),
        "Pad: padding is 1; give a (begin, end) pair of ints for each axis",
    ),
    "a pad for each axis, not a pair": (
        lambda: fv.Pad((1, 1)),
        "Pad: padding is (1, 1); give a (begin, end) pair of ints for each axis",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_option_is_refused_in_a_sentence(make: Any, sentence: str):
    with pytest.raises(fv.LayerError, match=says(sentence)):
        make()


@pytest.mark.parametrize("layer_type", [fv.BatchNorm1d, fv.BatchNorm2d, fv.BatchNorm3d])
def test_pytorchs_channels_first_for_batch_norm_are_refused_because_they_are_inferred(layer_type: Any):
    with pytest.raises(fv.LayerError, match="input channels are inferred"):
        layer_type(64)

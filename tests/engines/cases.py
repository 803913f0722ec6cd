"""Every layer over a grid of shapes and hyper-parameters, each beside the same operation in PyTorch.

PyTorch's operations get explicit padding, computed here again, so foveate's own arithmetic is not its own judge.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines.base import Mode
from foveate.layers import Shape
from tests.engines.case import Case, Pairs, each, explicit_pairs, padded
from tests.engines.cases_of_activations import ACTIVATIONS, CHANNEL_ACTIVATIONS, SMOOTH_ACTIVATIONS
from tests.engines.cases_of_arithmetic import (
    AFFINE,
    ARITHMETIC,
    AXES,
    COMBINATIONS,
    MATRICES,
    PADDING,
    REDUCTIONS,
    SLOPES,
)
from tests.engines.cases_of_normalization import SAMPLE_NORMALIZATION
from tests.engines.cases_of_pooling import AVERAGE_POOLING_2D, MAXIMUM_POOLING_2D, POOLING
from tests.engines.cases_of_resampling import ADAPTIVE_POOLING, MOVEMENT, RESIZING, TRANSPOSED, UPSAMPLING


def conv(shape: Shape, out_channels: int, kernel_size: Any, *, batch: int = 2, **options: Any) -> Case:
    """A convolution of as many axes as `shape` has."""
    axes = len(shape) - 1
    layer = (fv.Conv1d, fv.Conv2d, fv.Conv3d)[axes - 1](out_channels, kernel_size, **options)
    function: Callable[..., torch.Tensor] = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    stride, dilation = each(options.get("stride", 1), axes), each(options.get("dilation", 1), axes)
    kernel = each(kernel_size, axes)
    pairs = explicit_pairs(options.get("padding", 0), shape[1:], kernel, stride, dilation)

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        settings = {"stride": stride, "dilation": dilation, "groups": options.get("groups", 1)}
        mode = options.get("padding_mode", "zeros").replace("zeros", "constant")
        return function(padded(inputs[0], pairs, mode=mode), arrays["weight"], arrays.get("bias"), **settings)

    return Case(layer, (shape,), forward, batch)


def own_same(shape: Shape, out_channels: int, kernel_size: Any, **options: Any) -> Case:
    """A convolution with PyTorch's own padding="same", which has no stride."""
    axes = len(shape) - 1
    function: Callable[..., torch.Tensor] = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    case = conv(shape, out_channels, kernel_size, padding="same", **options)
    return Case(
        case.layer,
        case.shapes,
        lambda x, p: function(x[0], p["weight"], p["bias"], padding="same", dilation=options.get("dilation", 1)),
    )


def batch_norm(layer: Any, shape: Shape, mode: Mode = "training", *, batch: int = 5) -> Case:
    """Batch normalisation by batch or running statistics."""

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        return F.batch_norm(
            inputs[0],
            arrays["running_mean"],
            arrays["running_var"],
            arrays.get("weight"),
            arrays.get("bias"),
            training=mode == "training" and not layer.frozen,
            eps=layer.eps,
        )

    return Case(layer, (shape,), forward, batch, mode)


def linear_along(shape: Shape, out_features: int, *, batch: int = 2, **options: Any) -> Case:
    """A linear layer along the last axis."""
    layer = fv.Linear(out_features, last_axis=True, **options)
    return Case(layer, (shape,), lambda x, p: F.linear(x[0], p["weight"], p.get("bias")), batch)


def linear(features: int, out_features: int, *, batch: int = 3, **options: Any) -> Case:
    """A fully connected layer."""
    return Case(
        fv.Linear(out_features, **options),
        ((features,),),
        lambda x, p: F.linear(x[0], p["weight"], p.get("bias")),
        batch,
    )


def pads(padding: Pairs, shape: Shape) -> Case:
    """Zeros around a sample, channels included; PyTorch crops by negative numbers too."""
    return Case(fv.Pad(padding), (shape,), lambda x, _: padded(x[0], padding))


CONVOLUTIONS_2D = {
    f"stride {stride}, padding {padding}, dilation {dilation}, groups {groups}": conv(
        (6, 9, 8), 12, 3, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    for stride, padding, dilation, groups in product((1, 2, 3), (0, 1, ((1, 2), (0, 1)), "same"), (1, 2), (1, 3, 6))
}

CONVOLUTIONS = {
    "1x1": conv((16, 7, 7), 32, 1),
    "1x1 with stride 2 on an even size": conv((8, 6, 6), 8, 1, stride=2),
    "1x1 on 1x1": conv((8, 1, 1), 4, 1),
    "no bias": conv((3, 8, 8), 16, 3, bias=False),
    "one channel in and out": conv((1, 6, 5), 1, 3),
    "prime channels": conv((7, 9, 11), 13, 3, padding=1),
    "more prime channels": conv((17, 7, 5), 19, 3, padding=1, bias=False),
    "blocks of 16 channels": conv((32, 10, 10), 48, 3, padding=1, batch=4),
    "first layer of a colour network": conv((3, 16, 16), 64, 7, stride=2, padding=3),
    "batch 1": conv((4, 7, 7), 8, 3, padding=1, batch=1),
    "height 1": conv((5, 1, 12), 6, (1, 3), padding=(0, 1)),
    "width 1": conv((5, 12, 1), 6, (5, 1)),
    "window as large as its input": conv((4, 5, 6), 3, (5, 6)),
    "window larger than its input without padding": conv((2, 2, 2), 3, 5, padding=2),
    "padding larger than the window": conv((2, 4, 4), 3, 2, padding=3),
    "even window": conv((3, 9, 9), 4, 4, padding=1),
    "5x5, padding 2": conv((1, 14, 14), 6, 5, padding=2),
    "11x11, stride 4": conv((3, 35, 35), 8, 11, stride=4, padding=2),
    "oblong in everything": conv((4, 11, 9), 6, (2, 3), stride=(3, 2), padding=(1, 2), dilation=(2, 1), groups=2),
    "valid": conv((3, 7, 7), 4, 3, padding="valid"),
    "same, even window": conv((3, 7, 8), 4, (2, 4), padding="same"),
    "same, stride 2, even and odd sizes": conv((3, 7, 8), 4, 3, stride=2, padding="same"),
    "same, stride 2, 5x5": conv((3, 32, 31), 4, 5, stride=2, padding="same"),
    "same, stride 4 beyond a 3x3 window": conv((3, 9, 10), 4, 3, stride=4, padding="same"),
    "same, dilation 3, stride 2": conv((2, 13, 12), 3, 3, stride=2, dilation=3, padding="same"),
    "same as PyTorch's own": own_same((3, 7, 6), 4, (3, 5)),
    "same as PyTorch's own, dilated": own_same((3, 9, 9), 4, 3, dilation=2),
    "zeros before only": conv((3, 6, 6), 4, 3, padding=((2, 0), (2, 0))),
    "zeros behind only": conv((3, 6, 6), 4, 3, padding=((0, 2), (0, 2))),
    "depthwise": conv((16, 8, 8), 16, 3, padding=1, groups=16, bias=False),
    "depthwise with stride 2": conv((24, 9, 9), 24, 5, stride=2, padding=2, groups=24),
    "depthwise, prime channels": conv((13, 6, 6), 13, 3, padding=1, groups=13),
    "depthwise with multiplier 2": conv((8, 7, 7), 16, 3, padding=1, groups=8),
    "depthwise with multiplier 3, no bias": conv((5, 7, 7), 15, 3, groups=5, bias=False),
    "groups of odd size": conv((9, 6, 6), 15, 3, padding=1, groups=3),
    "grouped 1x1": conv((24, 5, 5), 48, 1, groups=3),
    "dilation 4": conv((2, 12, 12), 3, 3, dilation=4),
    "1-D sound": conv((1, 64), 8, 9, stride=2, padding=4),
    "1-D, dilated": conv((5, 20), 7, 3, dilation=4, padding=4),
    "1-D, asymmetric": conv((3, 15), 4, 4, stride=3, padding=((1, 2),)),
    "1-D, same with stride": conv((3, 16), 4, 5, stride=3, padding="same"),
    "1-D, depthwise": conv((6, 12), 12, 3, groups=6, padding=1),
    "1-D, length 1": conv((4, 1), 3, 3, padding=1),
    "1-D, batch 1, no bias": conv((4, 10), 16, 3, batch=1, bias=False),
    "3-D": conv((2, 5, 6, 4), 3, 3, padding=1),
    "3-D, stride and asymmetric padding": conv(
        (2, 6, 5, 7), 4, (3, 2, 3), stride=(2, 1, 3), padding=((1, 0), 0, (0, 2))
    ),
    "3-D, dilated": conv((2, 7, 7, 7), 3, (2, 3, 2), dilation=(3, 2, 1)),
    "3-D, grouped": conv((4, 4, 5, 4), 6, 2, groups=2, bias=False),
    "3-D, depthwise": conv((3, 4, 4, 4), 3, 3, groups=3, padding=1),
    "3-D, same with stride": conv((1, 5, 6, 7), 2, 3, stride=2, padding="same"),
    "3-D, blocks of 16 channels, batch 1": conv((16, 4, 4, 4), 16, 3, padding=1, batch=1),
}  # fmt: skip

PADDING_MODES = {
    f"{mode}: {name}": conv(*arguments, padding_mode=mode, **options)
    for (name, (arguments, options)), mode in product(
        {
            "2-D": (((3, 7, 6), 4, 3), {"padding": 1}),
            "asymmetric, stride 2": (((3, 7, 8), 5, 3), {"padding": ((2, 1), (0, 3)), "stride": 2}),
            "same, even window": (((2, 6, 5), 3, 4), {"padding": "same"}),
            "grouped, dilated, prime channels": (((7, 9, 9), 14, 3), {"padding": 2, "dilation": 2, "groups": 7}),
            "no padding": (((3, 5, 5), 4, 3), {"bias": False}),
            "height 1, batch 1": (((5, 1, 9), 4, (1, 5)), {"padding": (0, 2), "batch": 1}),
            "as much padding as there can be": (((2, 4, 5), 3, 3), {"padding": (3, 3)}),
            "1-D": (((3, 11), 4, 5), {"padding": ((3, 2),)}),
            "3-D": (((2, 4, 5, 4), 3, 3), {"padding": (1, 2, 1)}),
        }.items(),
        ("zeros", "reflect", "replicate", "circular"),
    )
}

NORMALIZATION = {
    f"{name}, {mode}": batch_norm(layer, shape, mode)
    for (name, (layer, shape)), mode in product(
        {
            "BatchNorm1d of features": (fv.BatchNorm1d(), (11,)),
            "BatchNorm1d of sequences": (fv.BatchNorm1d(), (5, 9)),
            "BatchNorm2d": (fv.BatchNorm2d(), (6, 5, 4)),
            "BatchNorm2d of 32 channels": (fv.BatchNorm2d(), (32, 4, 4)),
            "BatchNorm2d of prime channels": (fv.BatchNorm2d(), (17, 3, 5)),
            "BatchNorm2d, large eps": (fv.BatchNorm2d(eps=0.1), (3, 5, 4)),
            "BatchNorm2d without scale and shift": (fv.BatchNorm2d(affine=False), (3, 5, 4)),
            "BatchNorm2d, frozen": (fv.BatchNorm2d(frozen=True), (3, 5, 4)),
            "BatchNorm3d": (fv.BatchNorm3d(), (4, 3, 4, 5)),
        }.items(),
        ("training", "inference"),
    )
} | {"BatchNorm2d of batch 1": batch_norm(fv.BatchNorm2d(), (4, 5, 6), batch=1)}

LINEAR = {
    "linear": linear(12, 5),
    "linear without bias": linear(12, 5, bias=False),
    "linear, prime features": linear(13, 7),
    "linear, batch 1": linear(20, 10, batch=1),
    "linear, one output": linear(8, 1),
    "linear, one input": linear(1, 6),
    "linear along a sequence": linear_along((9, 12), 5),
    "linear along the last of three axes": linear_along((4, 5, 7), 13),
    "linear along the last axis, no bias, batch 1": linear_along((16, 3, 32), 16, bias=False, batch=1),
    "linear along the last axis, one number": linear_along((5, 1), 1),
    "linear along features": linear_along((7,), 4),
    "linear, wide": linear(256, 64, batch=16),
}

STRUCTURE = {
    "Flatten": Case(fv.Flatten(), ((3, 4, 5),), lambda x, _: x[0].flatten(1)),
    "Flatten of 32 channels": Case(fv.Flatten(), ((32, 4, 4),), lambda x, _: x[0].flatten(1)),
    "Flatten of features": Case(fv.Flatten(), ((7,),), lambda x, _: x[0].flatten(1)),
    "Flatten of a volume": Case(fv.Flatten(), ((2, 3, 4, 5),), lambda x, _: x[0].flatten(1)),
    "Add": Case(fv.Add(), ((3, 4, 5),) * 2, lambda x, _: x[0] + x[1]),
    "Add of three": Case(fv.Add(), ((17, 3, 3),) * 3, lambda x, _: x[0] + x[1] + x[2]),
    "Add of features": Case(fv.Add(), ((9,),) * 2, lambda x, _: x[0] + x[1]),
    "Concatenate": Case(fv.Concatenate(), ((3, 4, 5), (5, 4, 5)), lambda x, _: torch.cat(x, 1)),
    "Concatenate of three": Case(fv.Concatenate(), ((16, 3, 3), (1, 3, 3), (8, 3, 3)), lambda x, _: torch.cat(x, 1)),
    "Concatenate of one": Case(fv.Concatenate(), ((3, 2, 2),), lambda x, _: x[0] * 1),
    "Concatenate of features": Case(fv.Concatenate(), ((4,), (6,)), lambda x, _: torch.cat(x, 1)),
    "Pad": pads(((0, 0), (1, 2), (3, 0)), (3, 4, 5)),
    "Pad of channels": pads(((8, 8), (0, 0), (0, 0)), (16, 4, 4)),
    "Pad that crops": pads(((0, 0), (-1, 0), (-1, -2)), (3, 5, 6)),
    "Pad that crops and pads": pads(((1, -1), (2, -1), (0, 1)), (3, 5, 4)),
    "Pad of features": pads(((1, 2),), (4,)),
    "Pad of a sequence": pads(((0, 0), (1, 2)), (3, 4)),
    "Dropout in inference": Case(fv.Dropout(0.5), ((3, 4, 4),), lambda x, _: x[0] * 1, mode="inference"),
    "Dropout of nothing": Case(fv.Dropout(0.0), ((3, 4, 4),), lambda x, _: x[0] * 1),
}

CASES = {
    "Conv2d": CONVOLUTIONS_2D,
    "convolution": CONVOLUTIONS,
    "padding mode": PADDING_MODES,
    "transposed convolution": TRANSPOSED,
    "AvgPool2d": AVERAGE_POOLING_2D,
    "MaxPool2d": MAXIMUM_POOLING_2D,
    "pooling": POOLING,
    "adaptive pooling": ADAPTIVE_POOLING,
    "upsampling": UPSAMPLING,
    "resizing": RESIZING,
    "normalisation": NORMALIZATION,
    "normalisation within a sample": SAMPLE_NORMALIZATION,
    "linear": LINEAR,
    "activation": ACTIVATIONS | SMOOTH_ACTIVATIONS | CHANNEL_ACTIVATIONS,
    "arithmetic": ARITHMETIC | COMBINATIONS | AFFINE,
    "other axes": AXES | REDUCTIONS | PADDING | SLOPES | MATRICES,
    "structure": STRUCTURE | MOVEMENT,
}

ALL_CASES = {f"{group}: {name}": case for group, cases in CASES.items() for name, case in cases.items()}

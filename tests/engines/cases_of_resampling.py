"""Layers that change how many positions there are, or where values lie, each beside PyTorch's."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.layers import Shape
from tests.engines.case import Case, each, explicit_pairs


def transposed(shape: Shape, out_channels: int, kernel_size: Any, *, batch: int = 2, **options: Any) -> Case:
    """A transposed convolution; PyTorch's without padding, and the borders cut off."""
    axes = len(shape) - 1
    layer = (fv.ConvTranspose1d, fv.ConvTranspose2d, fv.ConvTranspose3d)[axes - 1](out_channels, kernel_size, **options)
    function: Callable[..., torch.Tensor] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    settings = {name: options[name] for name in ("stride", "dilation", "groups", "output_padding") if name in options}
    padding = options.get("padding", 0)
    if isinstance(padding, int):
        settings["padding"] = padding
        return Case(layer, (shape,), lambda x, p: function(x[0], p["weight"], p.get("bias"), **settings), batch)
    pairs = explicit_pairs(padding, shape[1:], each(1, axes), each(1, axes), each(1, axes))

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        whole = function(inputs[0], arrays["weight"], arrays.get("bias"), **settings)
        inner = (slice(begin, size - end) for (begin, end), size in zip(pairs, whole.shape[2:], strict=True))
        return whole[(slice(None), slice(None), *inner)]

    return Case(layer, (shape,), forward, batch)


def adaptive(kind: str, shape: Shape, output_size: Any, batch: int = 2) -> Case:
    """Adaptive pooling of as many axes as `shape` has."""
    axes = len(shape) - 1
    layer = getattr(fv, f"Adaptive{kind.capitalize()}Pool{axes}d")(output_size)
    function = getattr(F, f"adaptive_{kind}_pool{axes}d")
    return Case(layer, (shape,), lambda x, _: function(x[0], output_size), batch)


def upsample(shape: Shape, *, batch: int = 2, **options: Any) -> Case:
    """Upsampling; "linear" is PyTorch's linear, bilinear or trilinear."""
    mode = options.get("mode", "nearest")
    word = {"nearest": "nearest", "linear": ("linear", "bilinear", "trilinear")[len(shape) - 2]}[mode]
    scale = options.get("scale")
    settings = {"scale_factor": scale, "size": options.get("size"), "mode": word}
    if mode == "linear":
        settings["align_corners"] = options.get("align_corners", False)
    return Case(fv.Upsample(**options), (shape,), lambda x, _: F.interpolate(x[0], **settings), batch)


def multiply(*shapes: Shape, batch: int = 2) -> Case:
    """A product; PyTorch broadcasts from the last axis, so the missing ones are put in."""
    rank = max(map(len, shapes))

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        product = torch.ones(())
        for x in inputs:
            product = product * x.reshape(*x.shape, *(1,) * (rank + 1 - x.ndim))
        return product

    return Case(fv.Multiply(), shapes, forward, batch)


def shuffle(groups: int, shape: Shape, batch: int = 2) -> Case:
    """Interleaved groups of channels."""
    return Case(fv.ChannelShuffle(groups), (shape,), lambda x, _: F.channel_shuffle(x[0], groups), batch)


TRANSPOSED = {
    f"stride {stride}, padding {padding}, dilation {dilation}, groups {groups}": transposed(
        (6, 4, 5), 12, 3, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    for stride, padding, dilation, groups in product((1, 2, 3), (0, 1, ((1, 2), (0, 1))), (1, 2), (1, 2, 6))
} | {
    "doubling": transposed((16, 7, 7), 8, 4, stride=2, padding=1),
    "doubling by 2x2": transposed((32, 5, 5), 16, 2, stride=2, batch=4),
    "1x1": transposed((5, 3, 4), 7, 1),
    "1x1 with stride 2 leaves gaps": transposed((5, 3, 4), 7, 1, stride=2, output_padding=1),
    "no bias": transposed((3, 4, 4), 5, 3, bias=False),
    "prime channels": transposed((7, 5, 3), 13, 3, stride=2, padding=1, output_padding=1),
    "output padding beside dilation": transposed((4, 4, 4), 6, 3, stride=2, dilation=3, output_padding=2),
    "output padding of each axis": transposed((4, 4, 3), 6, 3, stride=(3, 2), output_padding=(2, 1)),
    "one position": transposed((6, 1, 1), 4, 4),
    "height 1, batch 1": transposed((5, 1, 6), 4, (1, 3), stride=(1, 2), batch=1),
    "depthwise": transposed((8, 4, 4), 8, 3, stride=2, groups=8),
    "depthwise with multiplier": transposed((3, 4, 4), 6, 3, padding=1, groups=3),
    "stride past the window": transposed((3, 4, 4), 5, 2, stride=3),
    "oblong in everything": transposed(
        (4, 3, 5), 6, (2, 3), stride=(3, 2), padding=((0, 1), (2, 1)), dilation=(2, 1), groups=2, output_padding=(1, 0)
    ),
    "all of the border cut off": transposed((2, 3, 3), 4, 5, padding=3),
    "1-D": transposed((3, 9), 5, 4, stride=2, padding=1),
    "1-D, asymmetric, grouped": transposed((4, 9), 6, 5, stride=3, padding=((1, 3),), groups=2),
    "1-D, length 1, batch 1": transposed((4, 1), 3, 3, batch=1),
    "3-D": transposed((2, 3, 4, 3), 3, 3, stride=2, padding=1, output_padding=1),
    "3-D, asymmetric": transposed((2, 3, 2, 3), 4, (3, 2, 3), stride=(2, 1, 3), padding=((1, 0), 0, (0, 2))),
    "3-D, grouped, no bias": transposed((4, 2, 3, 2), 6, 2, groups=2, bias=False),
}

ADAPTIVE_POOLING = {
    f"{kind} of {shape} to {size}": adaptive(kind, shape, size, batch)
    for kind in ("avg", "max")
    for shape, size, batch in (
        ((6, 8, 8), 4, 2),
        ((17, 7, 9), 3, 2),
        ((32, 13, 13), 6, 2),
        ((5, 7, 10), (3, 4), 1),
        ((3, 5, 5), 1, 2),
        ((3, 4, 3), (4, 3), 2),
        ((3, 2, 3), (5, 7), 2),
        ((5, 1, 11), (1, 4), 1),
        ((4, 17), 5, 2),
        ((4, 3), 7, 2),
        ((3, 5, 4, 7), (2, 4, 3), 2),
        ((2, 4, 4, 4), 2, 1),
    )
}

UPSAMPLING = {
    f"{mode}, {shape} by {options}": upsample(shape, batch=batch, mode=mode, **options)
    for mode in ("nearest", "linear")
    for shape, options, batch in (
        ((3, 4, 5), {"scale": 2}, 2),
        ((17, 3, 4), {"scale": (3, 1)}, 2),
        ((32, 4, 4), {"scale": 2}, 1),
        ((2, 5, 7), {"size": (8, 11)}, 2),
        ((2, 5, 7), {"size": (3, 4)}, 2),
        ((3, 1, 4), {"size": 4}, 2),
        ((3, 4, 4), {"scale": 1}, 2),
        ((5, 9), {"scale": 3}, 2),
        ((5, 9), {"size": 13}, 1),
        ((2, 3, 2, 4), {"scale": 2}, 2),
        ((2, 3, 2, 4), {"size": (5, 3, 4)}, 2),
    )
} | {
    f"corners aligned, {shape} by {options}": upsample(shape, mode="linear", align_corners=True, **options)
    for shape, options in (
        ((3, 4, 5), {"scale": 2}),
        ((17, 5, 7), {"size": (8, 11)}),
        ((2, 5, 7), {"size": (3, 1)}),
        ((3, 1, 4), {"size": 4}),
        ((5, 9), {"scale": 3}),
        ((2, 3, 2, 4), {"size": (5, 3, 4)}),
    )
}


def reshape(wanted: Shape, shape: Shape, batch: int = 2) -> Case:
    """The same values with other axes."""
    return Case(fv.Reshape(wanted), (shape,), lambda x, _: x[0].reshape(len(x[0]), *wanted), batch)


def transpose(axes: tuple[int, ...], shape: Shape, batch: int = 2) -> Case:
    """Axes in another order."""
    return Case(fv.Transpose(axes), (shape,), lambda x, _: x[0].permute(0, *(axis + 1 for axis in axes)), batch)


def part(shape: Shape, axis: int, *places: int | None) -> Case:
    """Part of an axis; PyTorch has no negative steps, so positions are picked."""
    size = shape[axis]
    taken = list(range(size)[slice(*places)])
    dim = axis + 1 if axis >= 0 else axis
    return Case(fv.Slice(axis, *places), (shape,), lambda x, _: x[0].index_select(dim, torch.tensor(taken)))


def resize(shape: Shape, *, batch: int = 2, **options: Any) -> Case:
    """Resizing as PyTorch does it, over one to three axes."""
    linear = ("linear", "bilinear", "trilinear")[len(shape) - 2]
    settings = {"size": None, "antialias": False, **options}
    settings["mode"] = {"linear": linear, "cubic": "bicubic"}.get(options["mode"], options["mode"])
    settings["scale_factor"] = settings.pop("scale", None)
    return Case(fv.Resize(**options), (shape,), lambda x, _: F.interpolate(x[0], **settings), batch)


RESIZING = {
    f"{mode}, {shape} by {options}": resize(shape, mode=mode, **options)
    for mode in ("nearest", "nearest-exact", "linear")
    for shape, options in (
        ((3, 4, 5), {"scale": 2}),
        ((17, 3, 4), {"scale": (1.5, 1.3)}),
        ((2, 5, 7), {"size": (8, 11)}),
        ((2, 9, 7), {"scale": 0.5}),
        ((16, 5, 7), {"size": (5, 4)}),
        ((3, 1, 4), {"size": 4}),
        ((5, 9), {"scale": 2.3}),
        ((2, 3, 2, 4), {"scale": (1.5, 2, 0.7)}),
    )
} | {
    f"{mode} of images, {shape} by {options}": resize(shape, mode=mode, **options)
    for mode in ("linear", "cubic")
    for shape, options in (
        ((3, 4, 5), {"scale": 2}),
        ((2, 5, 7), {"size": (8, 11)}),
        ((2, 9, 7), {"scale": 0.5}),
        ((3, 1, 4), {"size": 4}),
        ((3, 4, 5), {"scale": 2, "align_corners": True}),
        ((17, 5, 7), {"size": (8, 1), "align_corners": True}),
        ((3, 4, 5), {"scale": 2, "antialias": True}),
        ((17, 13, 12), {"size": (5, 4), "antialias": True}),
        ((3, 13, 12), {"scale": (0.4, 0.3), "antialias": True}),
        ((2, 13, 12), {"size": (13, 30), "antialias": True, "batch": 1}),
    )
}

MOVEMENT = {
    "Reshape": reshape((8, 16), (8, 4, 4)),
    "Reshape to what is left": reshape((2, -1, 3), (6, 5, 4)),
    "Reshape of 32 channels": reshape((4, 8, 9), (32, 3, 3)),
    "Reshape to features, batch 1": reshape((-1,), (5, 3), batch=1),
    "Reshape of features": reshape((3, 2, 2), (12,)),
    "Transpose to channels last": transpose((1, 2, 0), (5, 4, 3)),
    "Transpose of 32 channels": transpose((2, 0, 1), (32, 4, 6)),
    "Transpose of a sequence, batch 1": transpose((1, 0), (17, 9), batch=1),
    "Transpose of a volume": transpose((2, 0, 3, 1), (3, 2, 5, 4)),
    "Transpose of nothing": transpose((0, 1), (3, 4)),
    "Slice of channels": part((17, 4, 3), 0, 2, 9),
    "Slice of whole blocks of channels": part((32, 4, 3), 0, 16, None),
    "Slice of rows": part((3, 7, 5), 1, 1, -2),
    "Slice with a step": part((3, 7, 5), 2, 1, None, 2),
    "Slice of every third channel": part((16, 3, 5), 0, None, None, 3),
    "Slice from the last": part((3, 7, 5), -2, None, None, -1),
    "Slice back by two": part((3, 7), -1, 5, 0, -2),
    "Slice of features": part((9,), 0, -4, -1),
    "Multiply": multiply((3, 4, 5), (3, 4, 5)),
    "Multiply by one number for each channel": multiply((17, 4, 5), (17,)),
    "Multiply by one number for each channel, first": multiply((6,), (6, 3, 4)),
    "Multiply by one number for each channel, 1x1": multiply((32, 4, 5), (32, 1, 1), batch=1),
    "Multiply by one number for each position": multiply((5, 4, 3), (1, 4, 3)),
    "Multiply of three": multiply((4, 2, 3), (4,), (4, 2, 3)),
    "Multiply of features": multiply((7,), (7,), (1,)),
    "Multiply across": multiply((3, 4, 1), (3, 1, 5)),
    "Multiply of a volume": multiply((3, 2, 3, 2), (3, 1, 1, 1)),
    "Multiply of a sequence": multiply((3, 8), (3,)),
    "ChannelShuffle": shuffle(2, (6, 4, 5)),
    "ChannelShuffle of three groups": shuffle(3, (12, 3, 3)),
    "ChannelShuffle of 32 channels": shuffle(4, (32, 3, 3)),
    "ChannelShuffle of one group": shuffle(1, (5, 2, 2)),
    "ChannelShuffle of a sequence, batch 1": shuffle(5, (15, 7), batch=1),
    "ChannelShuffle of a volume": shuffle(2, (4, 2, 3, 2)),
    "PixelShuffle": Case(fv.PixelShuffle(2), ((12, 3, 4),), lambda x, _: F.pixel_shuffle(x[0], 2)),
    "PixelShuffle by 3, batch 1": Case(fv.PixelShuffle(3), ((9, 2, 5),), lambda x, _: F.pixel_shuffle(x[0], 3), 1),
    "PixelShuffle by 1 of 16 channels": Case(fv.PixelShuffle(1), ((16, 3, 3),), lambda x, _: x[0] * 1),
    "PixelUnshuffle": Case(fv.PixelUnshuffle(2), ((3, 6, 8),), lambda x, _: F.pixel_unshuffle(x[0], 2)),
    "PixelUnshuffle by 3": Case(fv.PixelUnshuffle(3), ((17, 3, 9),), lambda x, _: F.pixel_unshuffle(x[0], 3)),
    "SpatialDropout in inference": Case(fv.SpatialDropout(0.5), ((3, 4, 4),), lambda x, _: x[0] * 1, mode="inference"),
    "SpatialDropout of nothing": Case(fv.SpatialDropout(0.0), ((3, 4, 4),), lambda x, _: x[0] * 1),
}

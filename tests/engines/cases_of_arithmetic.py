"""Arithmetic with constants, parameters and other values, each beside PyTorch's."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.layers import Shape
from tests.engines.case import Case, elementwise, padded


def combined(layer: fv.Layer, function: Any, *shapes: Shape, batch: int = 2) -> Case:
    """Terms of several shapes; PyTorch broadcasts from the last axis, so the missing ones are put in."""
    rank = max(map(len, shapes))

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        return reduce(function, [x.reshape(*x.shape, *(1,) * (rank + 1 - x.ndim)) for x in inputs])

    return Case(layer, shapes, forward, batch)


def slopes(axes: tuple[int, ...], spread: Shape, shape: Shape, batch: int = 2) -> Case:
    """The rectifier whose learned slopes differ along some axes."""
    return Case(
        fv.PReLU(axes=axes),
        (shape,),
        lambda x, p: torch.where(x[0] > 0, x[0], p["weight"].reshape(spread) * x[0]),
        batch,
    )


def affine(shape: Shape, spread: Shape, axes: Any, batch: int = 2, **options: Any) -> Case:
    """Learned numbers, the same along axes where `spread` is 1."""

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        weight, bias = arrays.get("weight", torch.ones(())), arrays.get("bias", torch.zeros(()))
        weight, bias = (each.reshape(spread) if each.ndim else each for each in (weight, bias))
        return inputs[0] * weight + bias

    return Case(fv.Affine(axes, **options), (shape,), forward, batch)


def product(x: torch.Tensor, dims: Sequence[int], keepdim: bool) -> torch.Tensor:
    """The product along several axes, which PyTorch takes one by one."""
    for dim in sorted(dims, reverse=True):
        x = x.prod(dim, keepdim=keepdim)
    return x


SHAPES = {"features": (11,), "an image of prime channels": (17, 5, 9), "32 channels": (32, 4, 4)}

ARITHMETIC = {
    f"{name} of {kind}": elementwise(layer, function, shape)
    for name, layer, function in (
        ("Clip", fv.Clip(-0.513, 0.237), lambda x: x.clamp(-0.513, 0.237)),
        ("Clip above zero", fv.Clip(0.113, 1.01), lambda x: x.clamp(0.113, 1.01)),
        ("Clip from below", fv.Clip(low=-0.203), lambda x: x.clamp(min=-0.203)),
        ("Clip from above", fv.Clip(high=0.203), lambda x: x.clamp(max=0.203)),
        ("Rescale", fv.Rescale(2, -1), lambda x: x * 2 - 1),
        ("Rescale without shift", fv.Rescale(-1 / 3), lambda x: x / -3),
        ("Rescale by shift alone", fv.Rescale(shift=0.7), lambda x: x + 0.7),
        ("Power 2", fv.Power(2), lambda x: x**2),
        ("Power 3", fv.Power(3), lambda x: x**3),
        ("Power 1", fv.Power(1), lambda x: x**1),
        ("Power 0", fv.Power(0), lambda x: x**0),
        ("Exp", fv.Exp(), lambda x: x.exp()),
        ("Log", fv.Log(), lambda x: x.log()),
        ("Erf", fv.Erf(), lambda x: x.erf()),
        ("Abs", fv.Abs(), lambda x: x.abs()),
    )
    for kind, shape in SHAPES.items()
} | {"Power -1": elementwise(fv.Power(-1), lambda x: 1 / x, (17, 5, 9))}

COMBINATIONS = {
    f"{type(layer).__name__} {name}": combined(layer, function, *shapes)
    for layer, function in (
        (fv.Add(), torch.add),
        (fv.Subtract(), torch.sub),
        (fv.Divide(), torch.div),
        (fv.Raise(), torch.pow),
        (fv.Maximum(), torch.maximum),
        (fv.Minimum(), torch.minimum),
    )
    for name, shapes in {
        "of equal shapes": ((17, 3, 5),) * 2,
        "of one number for each channel": ((6, 4, 5), (6,)),
        "from one number for each channel": ((6,), (6, 3, 4)),
        "of one number for each position": ((5, 4, 3), (1, 4, 3)),
        "of 32 channels": ((32, 4, 5), (32, 1, 1)),
        "across": ((5, 8, 1), (5, 1, 9)),
        "of features": ((7,), (1,)),
        "of a volume": ((2, 3, 2, 3), (1, 3, 1, 3)),
        "of many": ((3, 80, 90), (3,)),
    }.items()
} | {
    f"{type(layer).__name__} of {told}": combined(layer, function, *shapes)
    for layer, function in ((fv.Add(), torch.add), (fv.Maximum(), torch.maximum), (fv.Minimum(), torch.minimum))
    for told, shapes in {
        "three shapes": ((4, 1, 3), (4,), (4, 2, 1)),
        "four inputs": ((17, 3), (17, 3), (17, 3), (17,)),
    }.items()
}

AFFINE = {
    "Affine per channel": affine((17, 3, 4), (17, 1, 1), (0,)),
    "Affine of 32 channels, scale": affine((32, 3, 4), (32, 1, 1), 0, shift=False),
    "Affine of the last axis": affine((5, 9), (9,), -1, batch=1),
    "Affine of positions, shift": affine((5, 4, 3), (1, 4, 3), (1, 2), scale=False),
    "Affine of everything": affine((5, 4, 3), (5, 4, 3), None),
    "Affine of two axes apart": affine((5, 4, 3), (5, 1, 3), (2, 0)),
    "Affine of one number": affine((5, 4), (1, 1), ()),
    "Affine of features": affine((7,), (7,), (0,)),
}

REDUCTIONS = {
    f"Reduce {kind} over {dims} of {shape}{', kept' * kept}": Case(
        fv.Reduce(kind, axes, kept),
        (shape,),
        lambda x, _, function=function, dims=dims, kept=kept: function(x[0], dims, keepdim=kept),
    )
    for kind, function in (
        ("mean", torch.mean),
        ("sum", torch.sum),
        ("prod", product),
        ("max", torch.amax),
        ("min", torch.amin),
    )
    for axes, dims, kept, shape in (
        ((0,), (1,), False, (17, 9)),
        ((0,), (1,), True, (16, 3, 5)),
        ((1, 2), (2, 3), False, (5, 4, 3)),
        ((0, -1), (1, 3), False, (5, 4, 3)),
        ((1,), (2,), True, (3, 4, 2, 5)),
        (None, (1, 2, 3), True, (3, 4, 5)),
        ((0,), (1,), True, (7,)),
    )
}

PADDING = {
    f"Pad {mode}, {shape} by {pairs}": Case(
        fv.Pad(pairs, mode), (shape,), lambda x, _, pairs=pairs, mode=mode: padded(x[0], pairs[1:], mode=mode)
    )
    for mode in ("reflect", "replicate", "circular")
    for pairs, shape in (
        (((0, 0), (1, 2), (3, 0)), (3, 4, 5)),
        (((0, 0), (3, 3), (0, 1)), (17, 4, 5)),
        (((0, 0), (2, 1)), (5, 7)),
        (((0, 0), (1, 0), (0, 2), (1, 1)), (2, 3, 4, 2)),
        (((0, 0), (0, 0)), (5, 7)),
    )
} | {
    "Pad by a number": Case(
        fv.Pad(((0, 0), (1, 2), (3, 0)), value=1.5), ((3, 4, 5),), lambda x, _: F.pad(x[0], (3, 0, 1, 2), value=1.5)
    ),
    "Pad by a number, channels too, and crop": Case(
        fv.Pad(((1, 2), (-1, 2), (0, -2)), value=-0.5),
        ((16, 4, 5),),
        lambda x, _: F.pad(x[0], (0, -2, -1, 2, 1, 2), value=-0.5),
    ),
    "Pad of five axes": Case(
        fv.Pad(((0, 0), (0, 0), (1, 0), (0, -1), (2, 1))),
        ((2, 3, 2, 3, 2),),
        lambda x, _: F.pad(x[0], (2, 1, 0, -1, 1, 0)),
    ),
}

MATRICES = {
    f"MatMul of {told}": Case(fv.MatMul(), shapes, lambda x, _: torch.matmul(x[0], x[1]), batch)
    for told, shapes, batch in (
        ("matrices", ((5, 7), (7, 3)), 3),
        ("one number each", ((1, 1), (1, 1)), 1),
        ("a row and a column", ((1, 17), (17, 1)), 2),
        ("a column and a row", ((17, 1), (1, 9)), 2),
        ("heads", ((4, 50, 16), (4, 16, 50)), 2),
        ("heads with one matrix", ((3, 8, 5), (1, 5, 6)), 2),
        ("one matrix with heads", ((1, 8, 5), (3, 5, 6)), 2),
        ("two axes before", ((2, 3, 5, 4), (2, 1, 4, 7)), 1),
        ("two axes across", ((2, 1, 5, 4), (1, 3, 4, 7)), 2),
        ("blocks of channels", ((32, 4, 8), (32, 8, 4)), 2),
    )
}

SLOPES = {
    "PReLU over all axes": slopes((0, 1, 2), (5, 4, 3), (5, 4, 3)),
    "PReLU over rows": slopes((1,), (1, 4, 1), (17, 4, 3)),
    "PReLU over channels and columns": slopes((2, 0), (5, 1, 3), (5, 4, 3), batch=1),
    "PReLU over no axis": slopes((), (1, 1), (5, 4)),
}

AXES = {
    "Softmax over rows": elementwise(fv.Softmax(axis=1), lambda x: F.softmax(x, 2), (3, 5, 4)),
    "Softmax over the last axis": elementwise(fv.Softmax(axis=2), lambda x: F.softmax(x, 3), (16, 5, 7)),
    "LogSoftmax over rows": elementwise(fv.LogSoftmax(axis=1), lambda x: F.log_softmax(x, 2), (3, 5, 4)),
    "LogSoftmax over a sequence": elementwise(fv.LogSoftmax(axis=1), lambda x: F.log_softmax(x, 2), (3, 11)),
    "Concatenate of rows": Case(fv.Concatenate(axis=1), ((3, 4, 5), (3, 2, 5)), lambda x, _: torch.cat(x, 2)),
    "Concatenate along the last axis": Case(
        fv.Concatenate(axis=-1), ((16, 3, 5), (16, 3, 1), (16, 3, 2)), lambda x, _: torch.cat(x, -1)
    ),
    "Concatenate of sequences": Case(fv.Concatenate(axis=1), ((3, 4), (3, 9)), lambda x, _: torch.cat(x, 2), 1),
}

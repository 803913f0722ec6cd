"""Pooling over a grid of shapes and hyper-parameters, each case beside the same operation in PyTorch."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.layers import Shape
from tests.engines.case import Case, each, explicit_pairs, padded


def max_pool(shape: Shape, kernel_size: Any, *, batch: int = 2, **options: Any) -> Case:
    """Maximum pooling; PyTorch's own padding where it has such, explicit minus infinity elsewhere."""
    axes = len(shape) - 1
    layer = (fv.MaxPool1d, fv.MaxPool2d, fv.MaxPool3d)[axes - 1](kernel_size, **options)
    function: Callable[..., torch.Tensor] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[axes - 1]
    kernel = each(kernel_size, axes)
    stride, dilation = each(options.get("stride", kernel_size), axes), each(options.get("dilation", 1), axes)
    padding = options.get("padding", 0)
    settings = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
    if options.get("ceil_mode"):
        return Case(layer, (shape,), lambda x, _: function(x[0], padding=padding, ceil_mode=True, **settings), batch)
    pairs = explicit_pairs(padding, shape[1:], kernel, stride, dilation)
    return Case(layer, (shape,), lambda x, _: function(padded(x[0], pairs, -torch.inf), **settings), batch)


def avg_pool(shape: Shape, kernel_size: Any, *, batch: int = 2, **options: Any) -> Case:
    """Average pooling; PyTorch's own padding where it has such, a quotient of two averages elsewhere."""
    axes = len(shape) - 1
    layer = (fv.AvgPool1d, fv.AvgPool2d, fv.AvgPool3d)[axes - 1](kernel_size, **options)
    function: Callable[..., torch.Tensor] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[axes - 1]
    kernel, padding = each(kernel_size, axes), options.get("padding", 0)
    stride = each(options.get("stride", kernel_size), axes)
    settings = {"kernel_size": kernel, "stride": stride}
    if isinstance(padding, int):
        settings |= {name: options[name] for name in ("padding", "ceil_mode", "count_include_pad") if name in options}
        return Case(layer, (shape,), lambda x, _: function(x[0], **settings), batch)
    pairs = explicit_pairs(padding, shape[1:], kernel, stride, (1,) * axes)

    def forward(inputs: list[torch.Tensor], arrays: dict[str, torch.Tensor]) -> torch.Tensor:
        mean = function(padded(inputs[0], pairs), **settings)
        if options.get("count_include_pad", True):
            return mean
        return mean / function(padded(torch.ones_like(inputs[0]), pairs), **settings)

    return Case(layer, (shape,), forward, batch)


def lp_pool(shape: Shape, norm_type: float, kernel_size: Any, **options: Any) -> Case:
    """Pooling by a norm; PyTorch's own of magnitudes, padded with zeros by hand."""
    axes = len(shape) - 1
    layer = (fv.LPPool1d, fv.LPPool2d, fv.LPPool3d)[axes - 1](norm_type, kernel_size, **options)
    function: Callable[..., torch.Tensor] = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[axes - 1]
    kernel, stride = each(kernel_size, axes), each(options.get("stride", kernel_size), axes)
    pairs = explicit_pairs(options.get("padding", 0), shape[1:], kernel, stride, (1,) * axes)
    if options.get("ceil_mode"):
        pairs = tuple((begin, end + step - 1) for (begin, end), step in zip(pairs, stride, strict=True))
    windows = (kernel_size, stride[0]) if axes == 1 else (kernel, stride)
    return Case(layer, (shape,), lambda x, _: function(padded(x[0].abs(), pairs), norm_type, *windows))


AVERAGE_POOLING_2D = {
    f"kernel {kernel}, stride {stride}, padding {padding}, ceil {ceil}, counts padding {counts}": avg_pool(
        (3, 9, 8), kernel, stride=stride, padding=padding, ceil_mode=ceil, count_include_pad=counts
    )
    for (kernel, padding), stride, ceil, counts in product(
        ((2, 0), (2, 1), (3, 1)), (1, 2, 3), (False, True), (False, True)
    )
}

MAXIMUM_POOLING_2D = {
    f"kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}, ceil {ceil}": max_pool(
        (3, 9, 10), kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil
    )
    for (kernel, padding), stride, dilation, ceil in product(((2, 0), (2, 1), (3, 1)), (1, 2, 3), (1, 2), (False, True))
}

POOLING = {
    "max, its default stride": max_pool((6, 8, 8), 2),
    "max, blocks of 16 channels": max_pool((32, 8, 8), 2, batch=4),
    "max, prime channels": max_pool((17, 7, 9), 3, stride=2, padding=1),
    "max, oblong": max_pool((3, 9, 8), (3, 2), stride=(1, 2), padding=(1, 0)),
    "max, subsampling by 1x1": max_pool((16, 7, 7), 1, stride=2),
    "max, asymmetric": max_pool((3, 8, 8), 3, stride=2, padding=((0, 1), (1, 0))),
    "max, padding past half the window": max_pool((3, 5, 5), 3, padding=2),
    "max, same with stride": max_pool((3, 7, 8), 3, stride=2, padding="same"),
    "max, height 1, batch 1": max_pool((5, 1, 12), (1, 3), stride=2, batch=1),
    "max, whole input": max_pool((3, 5, 6), (5, 6)),
    "max 1-D": max_pool((4, 17), 3, stride=2),
    "max 1-D, ceil": max_pool((4, 18), 4, stride=3, padding=1, ceil_mode=True),
    "max 1-D, dilated": max_pool((4, 18), 3, stride=1, dilation=3, padding=1),
    "max 3-D": max_pool((3, 6, 4, 5), 2),
    "max 3-D, ceil": max_pool((3, 6, 7, 5), (3, 2, 3), stride=2, padding=1, ceil_mode=True),
    "max 3-D, asymmetric": max_pool((2, 5, 5, 5), 3, stride=2, padding=((0, 1), (1, 1), (1, 0))),
    "average, its default stride": avg_pool((6, 8, 8), 2),
    "average, blocks of 16 channels": avg_pool((32, 8, 8), 2, batch=4),
    "average, prime channels": avg_pool((17, 7, 9), 3, stride=2, padding=1),
    "average, oblong": avg_pool((3, 9, 8), (3, 2), stride=(1, 2)),
    "average, asymmetric": avg_pool((3, 8, 8), 3, stride=2, padding=((0, 1), (1, 0))),
    "average, asymmetric, real positions only": avg_pool(
        (3, 8, 8), 3, stride=2, padding=((0, 1), (1, 0)), count_include_pad=False
    ),
    "average, same with stride": avg_pool((3, 7, 8), 3, stride=2, padding="same"),
    "average, same, real positions only": avg_pool((3, 7, 8), 3, stride=2, padding="same", count_include_pad=False),
    "average, ceil where the overhang meets the padding": avg_pool((2, 4, 4), 3, stride=2, padding=1, ceil_mode=True),
    "average, height 1, batch 1": avg_pool((5, 1, 12), (1, 3), stride=2, batch=1),
    "average 1-D": avg_pool((4, 17), 3, stride=2),
    "average 1-D, ceil": avg_pool((4, 18), 4, stride=3, padding=2, ceil_mode=True),
    "average 1-D, ceil, real positions only": avg_pool(
        (4, 18), 4, stride=3, padding=2, ceil_mode=True, count_include_pad=False
    ),
    "average 3-D": avg_pool((3, 6, 4, 5), 2),
    "average 3-D, ceil": avg_pool((3, 6, 7, 5), (3, 2, 3), stride=2, padding=1, ceil_mode=True),
    "average 3-D, ceil, real positions only": avg_pool(
        (3, 6, 7, 5), (3, 2, 3), stride=2, padding=1, ceil_mode=True, count_include_pad=False
    ),
    "norm 2": lp_pool((6, 8, 8), 2, 2),
    "norm 1, prime channels": lp_pool((17, 7, 9), 1, 3, stride=2, padding=1),
    "norm 3, asymmetric": lp_pool((3, 8, 8), 3, 3, stride=2, padding=((0, 1), (1, 0))),
    "norm 1.5, same with stride": lp_pool((3, 7, 8), 1.5, 3, stride=2, padding="same"),
    "norm 2, ceil": lp_pool((2, 4, 6), 2, 3, stride=2, ceil_mode=True),
    "norm 4 of a sequence": lp_pool((4, 17), 4, 3, stride=2),
    "norm 2 of a volume": lp_pool((2, 4, 4, 5), 2, 2),
    "global maximum 1-D": Case(fv.GlobalMaxPool1d(), ((5, 9),), lambda x, _: x[0].amax(2)),
    "global maximum 2-D": Case(fv.GlobalMaxPool2d(), ((16, 7, 5),), lambda x, _: x[0].amax((2, 3))),
    "global maximum, prime channels, batch 1": Case(
        fv.GlobalMaxPool2d(), ((13, 1, 3),), lambda x, _: x[0].amax((2, 3)), 1
    ),
    "global maximum 3-D": Case(fv.GlobalMaxPool3d(), ((3, 4, 3, 5),), lambda x, _: x[0].amax((2, 3, 4))),
    "global 1-D": Case(fv.GlobalAvgPool1d(), ((5, 9),), lambda x, _: x[0].mean(2)),
    "global 2-D": Case(fv.GlobalAvgPool2d(), ((16, 7, 5),), lambda x, _: x[0].mean((2, 3))),
    "global 2-D, prime channels, batch 1": Case(fv.GlobalAvgPool2d(), ((13, 3, 3),), lambda x, _: x[0].mean((2, 3)), 1),
    "global 2-D of one position": Case(fv.GlobalAvgPool2d(), ((4, 1, 1),), lambda x, _: x[0].mean((2, 3))),
    "global 3-D": Case(fv.GlobalAvgPool3d(), ((3, 4, 3, 5),), lambda x, _: x[0].mean((2, 3, 4))),
}  # fmt: skip

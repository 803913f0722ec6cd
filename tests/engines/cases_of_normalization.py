"""Normalisations within a sample, each beside PyTorch's."""

import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines.base import Mode
from foveate.layers import Shape
from tests.engines.case import Case


def layer_norm(layer: fv.LayerNorm, shape: Shape, batch: int = 2) -> Case:
    """Over the last axes of each sample."""
    axes = layer.trailing_axes or len(shape)
    return Case(
        layer,
        (shape,),
        lambda x, p: F.layer_norm(x[0], shape[-axes:], p.get("weight"), p.get("bias"), layer.eps),
        batch,
    )


def rms_norm(layer: fv.RMSNorm, shape: Shape, batch: int = 2) -> Case:
    """By the root of the mean square over the last axes of each sample."""
    axes = layer.trailing_axes or len(shape)
    return Case(layer, (shape,), lambda x, p: F.rms_norm(x[0], shape[-axes:], p.get("weight"), layer.eps), batch)


def instance_norm(rank: int, shape: Shape, batch: int = 2, mode: Mode = "training", **options: object) -> Case:
    """Over the positions of each channel."""
    layer = (fv.InstanceNorm1d, fv.InstanceNorm2d, fv.InstanceNorm3d)[rank - 1](**options)  # type: ignore[arg-type]
    return Case(
        layer,
        (shape,),
        lambda x, p: F.instance_norm(x[0], weight=p.get("weight"), bias=p.get("bias"), eps=layer.eps),
        batch,
        mode,
    )


def group_norm(groups: int, shape: Shape, batch: int = 2, mode: Mode = "training", **options: object) -> Case:
    """Over the channels of each group."""
    layer = fv.GroupNorm(groups, **options)  # type: ignore[arg-type]
    return Case(
        layer, (shape,), lambda x, p: F.group_norm(x[0], groups, p.get("weight"), p.get("bias"), layer.eps), batch, mode
    )


def response_norm(size: int, shape: Shape, batch: int = 2, **options: float) -> Case:
    """Over neighbouring channels."""
    return Case(
        fv.LocalResponseNorm(size, **options),
        (shape,),
        lambda x, _: F.local_response_norm(x[0], size, **options),
        batch,
    )


SAMPLE_NORMALIZATION = {
    "LayerNorm": layer_norm(fv.LayerNorm(), (5, 4, 3)),
    "LayerNorm of features": layer_norm(fv.LayerNorm(), (11,)),
    "LayerNorm of a sequence": layer_norm(fv.LayerNorm(), (3, 8)),
    "LayerNorm of a volume": layer_norm(fv.LayerNorm(), (3, 2, 4, 3)),
    "LayerNorm of 32 channels": layer_norm(fv.LayerNorm(), (32, 4, 4)),
    "LayerNorm over the last axis": layer_norm(fv.LayerNorm(trailing_axes=1), (5, 4, 7)),
    "LayerNorm over the last two axes": layer_norm(fv.LayerNorm(trailing_axes=2), (5, 4, 3)),
    "LayerNorm, large eps, batch 1": layer_norm(fv.LayerNorm(eps=0.1), (7, 1, 3), batch=1),
    "LayerNorm without scale and shift": layer_norm(fv.LayerNorm(affine=False), (5, 4, 3)),
    "RMSNorm": rms_norm(fv.RMSNorm(), (5, 4, 3)),
    "RMSNorm of features": rms_norm(fv.RMSNorm(), (11,)),
    "RMSNorm over the last axis": rms_norm(fv.RMSNorm(trailing_axes=1), (5, 4, 7)),
    "RMSNorm over the last two axes, large eps": rms_norm(fv.RMSNorm(trailing_axes=2, eps=0.1), (5, 4, 3), batch=1),
    "RMSNorm without scale": rms_norm(fv.RMSNorm(affine=False), (17, 3, 4)),
    "InstanceNorm1d": instance_norm(1, (5, 9)),
    "InstanceNorm1d, scaled and shifted": instance_norm(1, (5, 9), affine=True),
    "InstanceNorm2d": instance_norm(2, (6, 4, 5)),
    "InstanceNorm2d, scaled and shifted": instance_norm(2, (17, 4, 5), affine=True, eps=1e-3),
    "InstanceNorm2d in inference": instance_norm(2, (6, 4, 5), mode="inference", affine=True),
    "InstanceNorm2d of 32 channels, batch 1": instance_norm(2, (32, 1, 5), batch=1, affine=True),
    "InstanceNorm3d": instance_norm(3, (3, 2, 3, 4)),
    "InstanceNorm3d, scaled and shifted": instance_norm(3, (3, 2, 3, 4), affine=True),
    "GroupNorm": group_norm(2, (6, 4, 5)),
    "GroupNorm of one group": group_norm(1, (7, 4, 5)),
    "GroupNorm of each channel": group_norm(5, (5, 4, 3)),
    "GroupNorm of 32 channels": group_norm(8, (32, 4, 4)),
    "GroupNorm of odd groups": group_norm(3, (15, 3, 3)),
    "GroupNorm of features": group_norm(3, (12,)),
    "GroupNorm of a sequence": group_norm(2, (4, 9), eps=1e-2),
    "GroupNorm of a volume, batch 1": group_norm(2, (6, 2, 3, 2), batch=1),
    "GroupNorm without scale and shift": group_norm(2, (6, 4, 5), affine=False),
    "GroupNorm in inference": group_norm(2, (6, 4, 5), mode="inference"),
    "LocalResponseNorm of a single number": response_norm(1, (1, 1, 1), batch=1),
    "LocalResponseNorm of features": response_norm(3, (5, 1, 1)),
    "LocalResponseNorm": response_norm(5, (8, 4, 5)),
    "LocalResponseNorm, strong": response_norm(5, (8, 4, 5), alpha=0.9, beta=0.6, k=2.0),
    "LocalResponseNorm of an even size": response_norm(4, (9, 3, 3), alpha=0.5),
    "LocalResponseNorm wider than the channels": response_norm(7, (3, 4, 4), alpha=0.5),
    "LocalResponseNorm of each channel": response_norm(1, (5, 3, 2), alpha=0.5),
    "LocalResponseNorm of 32 channels, batch 1": response_norm(5, (32, 4, 5), batch=1, alpha=0.3),
    "LocalResponseNorm of a sequence": response_norm(3, (5, 7), alpha=0.5),
    "LocalResponseNorm of a volume": response_norm(3, (4, 2, 3, 2), alpha=0.5),
}

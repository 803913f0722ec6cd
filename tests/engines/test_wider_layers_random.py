"""Hypothesis draws the layers beyond the first set; every engine must agree with the reference in float64."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import foveate as fv
from foveate.engines import Engine
from foveate.layers import Layer, Shape
from tests.engines.cases import CASES
from tests.engines.test_layers_random import batches, channels, check, fitting, ranks, spatial


@st.composite
def transposed_convolutions(draw: Any) -> tuple[Layer, list[Shape]]:
    rank, groups = draw(ranks), draw(st.sampled_from([1, 1, 2, 3]))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    limits = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]
    layer = (fv.ConvTranspose1d, fv.ConvTranspose2d, fv.ConvTranspose3d)[rank - 1](
        groups * draw(st.sampled_from([1, 2, 5])),
        tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        stride=stride,
        padding=tuple(draw(st.integers(0, 2)) for _ in range(rank)),
        output_padding=tuple(draw(st.integers(0, limit)) for limit in limits),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )
    return layer, [(groups * draw(st.sampled_from([1, 3, 4])), *spatial(draw, rank))]


@st.composite
def bordered_convolutions(draw: Any) -> tuple[Layer, list[Shape]]:
    rank, groups = draw(ranks), draw(st.sampled_from([1, 2]))
    layer = (fv.Conv1d, fv.Conv2d, fv.Conv3d)[rank - 1](
        groups * draw(st.sampled_from([1, 3])),
        tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        stride=draw(st.integers(1, 2)),
        padding=tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)),
        groups=groups,
        padding_mode=draw(st.sampled_from(["reflect", "replicate", "circular"])),
    )
    return layer, [(groups * draw(st.sampled_from([1, 2])), *spatial(draw, rank))]


@st.composite
def adaptive_and_global_poolings(draw: Any) -> tuple[Layer, list[Shape]]:
    rank = draw(ranks)
    kind = draw(st.sampled_from(["AdaptiveAvgPool", "AdaptiveMaxPool", "GlobalAvgPool", "GlobalMaxPool"]))
    layer_type = getattr(fv, f"{kind}{rank}d")
    sizes = spatial(draw, rank)
    layer = layer_type(tuple(draw(st.integers(1, s)) for s in sizes)) if "Adaptive" in kind else layer_type()
    return layer, [(draw(channels), *sizes)]


@st.composite
def sample_normalizations(draw: Any) -> tuple[Layer, list[Shape]]:
    rank, groups, affine = draw(ranks), draw(st.sampled_from([1, 2, 3])), draw(st.booleans())
    layer = draw(
        st.sampled_from(
            [
                fv.LayerNorm(affine=affine),
                fv.LayerNorm(trailing_axes=rank, affine=affine),
                fv.GroupNorm(groups, affine=affine),
                (fv.InstanceNorm1d, fv.InstanceNorm2d, fv.InstanceNorm3d)[rank - 1](affine=affine),
                fv.LocalResponseNorm(draw(st.integers(1, 5)), alpha=0.5, beta=0.75),
            ]
        )
    )
    # At least eight values for each mean: of two or three, float32 keeps too few digits to compare.
    return layer, [(groups * draw(st.sampled_from([1, 4, 8])), *(max(8, size) for size in spatial(draw, rank)))]


ACTIVATIONS = list(dict.fromkeys(case.layer for case in CASES["activation"].values()))


@st.composite
def activations(draw: Any) -> tuple[Layer, list[Shape]]:
    layer = draw(st.sampled_from(ACTIVATIONS))
    pieces = getattr(layer, "pieces", 1)
    return layer, [(pieces * draw(channels), *spatial(draw, draw(ranks)))]


@st.composite
def moving_layers(draw: Any) -> tuple[Layer, list[Shape]]:
    sizes, groups, count = spatial(draw, draw(ranks)), draw(st.integers(1, 4)), draw(channels)
    whole, gate = (count, *sizes), draw(st.sampled_from([(count,), (count, *(1 for _ in sizes)), (count, *sizes)]))
    return draw(
        st.sampled_from(
            [
                (fv.ChannelShuffle(groups), [(groups * count, *sizes)]),
                (fv.Upsample(draw(st.integers(1, 3))), [whole]),
                (fv.Upsample(draw(st.integers(1, 3)), mode="linear"), [whole]),
                (fv.Upsample(size=draw(st.integers(1, 9))), [whole]),
                (fv.Multiply(), [whole, gate]),
                (fv.Multiply(), [gate, whole, gate]),
                (fv.SpatialDropout(0.4), [whole]),
            ]
        )
    )


KINDS = {
    "transposed convolution": transposed_convolutions(),
    "convolution with a copied border": bordered_convolutions(),
    "adaptive and global pooling": adaptive_and_global_poolings(),
    "normalisation within a sample": sample_normalizations(),
    "activation": activations(),
    "layer that moves values": moving_layers(),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_any_layer_of_a_kind(engine: Engine, truth: Engine, kind: Any):
    @given(kind, batches)
    def agrees(drawn: tuple[Layer, list[Shape]], batch: int) -> None:
        layer, shapes = drawn
        check(engine, truth, fitting(layer, *shapes), batch)

    agrees()

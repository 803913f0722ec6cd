"""Hypothesis draws layers, shapes and small networks; every engine must agree with the reference in float64."""

from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

import foveate as fv
from foveate.engines import Engine
from foveate.engines.base import Mode
from foveate.graph import Block, Graph
from foveate.layers import Layer, Shape
from tests.support import beyond, random_arrays, random_inputs, random_seed, relative_error, run, single_layer

sizes = st.integers(1, 11)
channels = st.sampled_from([1, 2, 3, 5, 7, 8, 13, 16, 17, 32])
batches = st.integers(1, 4)
ranks = st.integers(1, 3)


def check(engine: Engine, truth: Engine, graph: Graph, batch: int, mode: Mode = "training") -> None:
    """The design's bounds, for the output and every gradient."""
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, batch), random_seed(graph, batch)
    ours, exact = (run(e, graph, arrays, inputs, seed, mode=mode) for e in (engine, truth))
    assert relative_error(ours.output, exact.output, typical=0.1) <= 1e-5
    assert beyond(1e-4, ours.gradients, exact.gradients, typical=0.1) == {}


def fitting(layer: Layer, *shapes: Shape) -> Graph:
    """The layer as a graph, or another draw where it does not fit."""
    try:
        return single_layer(layer, *shapes)
    except fv.ShapeError:
        assume(False)
        raise


def spatial(draw: Any, rank: int) -> Shape:
    """Spatial sizes; smaller ones where there are three axes."""
    return tuple(draw(st.integers(1, {1: 24, 2: 11, 3: 6}[rank])) for _ in range(rank))


def padding_of(draw: Any, rank: int, most: list[int]) -> Any:
    """Padding in one of its forms, at most `most` at any border of an axis."""
    pairs = st.tuples(*(st.tuples(st.integers(0, m), st.integers(0, m)) for m in most))
    return draw(st.one_of(st.just("same"), st.just("valid"), st.integers(0, min(most)), pairs))


@st.composite
def convolutions(draw: Any) -> tuple[Layer, Shape]:
    rank = draw(ranks)
    groups = draw(st.sampled_from([1, 1, 2, 3, 5, 8]))
    per_group = draw(st.sampled_from([1, 2, 3, 5, 8] if rank > 1 else [1, 2, 7, 16]))
    multiplier = draw(st.sampled_from([1, 2, 3, 7]))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    layer = (fv.Conv1d, fv.Conv2d, fv.Conv3d)[rank - 1](
        groups * multiplier,
        kernel,
        stride=tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        padding=padding_of(draw, rank, [3] * rank),
        dilation=tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return layer, (groups * per_group, *spatial(draw, rank))


@st.composite
def poolings(draw: Any, average: bool) -> tuple[Layer, Shape]:
    rank = draw(ranks)
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    options: dict[str, Any] = {
        "stride": tuple(draw(st.integers(1, 4)) for _ in range(rank)),
        "padding": padding_of(draw, rank, [size - 1 for size in kernel]),
        "ceil_mode": draw(st.booleans()),
    }
    types: Any = (fv.MaxPool1d, fv.MaxPool2d, fv.MaxPool3d)
    if average:
        types = (fv.AvgPool1d, fv.AvgPool2d, fv.AvgPool3d)
        options["count_include_pad"] = draw(st.booleans())
    return types[rank - 1](kernel, **options), (draw(channels), *spatial(draw, rank))


@given(convolutions(), batches)
def test_any_convolution(engine: Engine, truth: Engine, drawn: tuple[Layer, Shape], batch: int):
    layer, shape = drawn
    check(engine, truth, fitting(layer, shape), batch)


@given(poolings(average=False), batches)
def test_any_maximum_pooling(engine: Engine, truth: Engine, drawn: tuple[Layer, Shape], batch: int):
    layer, shape = drawn
    check(engine, truth, fitting(layer, shape), batch)


@given(poolings(average=True), batches)
def test_any_average_pooling(engine: Engine, truth: Engine, drawn: tuple[Layer, Shape], batch: int):
    layer, shape = drawn
    check(engine, truth, fitting(layer, shape), batch)


@given(st.integers(1, 70), st.integers(1, 40), st.booleans(), batches)
def test_any_linear_layer(engine: Engine, truth: Engine, features: int, out_features: int, bias: bool, batch: int):
    check(engine, truth, single_layer(fv.Linear(out_features, bias=bias), (features,)), batch)


@given(ranks, channels, st.integers(2, 5), st.integers(4, 6), st.booleans(), st.sampled_from(["training", "inference"]))
def test_any_batch_normalisation(
    engine: Engine, truth: Engine, rank: int, count: int, batch: int, size: int, affine: bool, mode: Mode
):
    layer = (fv.BatchNorm1d, fv.BatchNorm2d, fv.BatchNorm3d)[rank - 1](affine=affine)
    check(engine, truth, single_layer(layer, (count, *(size,) * rank)), batch, mode)


@given(
    st.sampled_from([fv.ReLU(), fv.LeakyReLU(), fv.LeakyReLU(0.3), fv.ELU(), fv.ELU(0.5), fv.Sigmoid(), fv.Tanh()]),
    channels,
    st.lists(sizes, max_size=2),
    batches,
)
def test_any_activation(engine: Engine, truth: Engine, layer: Layer, count: int, spatial: list[int], batch: int):
    check(engine, truth, single_layer(layer, (count, *spatial)), batch)


@given(st.lists(st.tuples(st.integers(3, 9), st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=4), batches)
def test_any_padding_or_cropping(engine: Engine, truth: Engine, axes: list[tuple[int, int, int]], batch: int):
    layer = fv.Pad(tuple((begin, end) for _, begin, end in axes))
    check(engine, truth, single_layer(layer, tuple(size for size, _, _ in axes)), batch)


@given(st.lists(channels, min_size=1, max_size=4), st.lists(sizes, max_size=2), batches)
def test_any_concatenation(engine: Engine, truth: Engine, counts: list[int], spatial: list[int], batch: int):
    check(engine, truth, single_layer(fv.Concatenate(), *((count, *spatial) for count in counts)), batch)


@st.composite
def blocks(draw: Any, width: int, depth: int = 2) -> Block:  # noqa: PLR0911 (one for each kind)
    """A block over `width` channels that keeps its input's shape."""
    kinds = ["conv", "depthwise", "bn", "activation", "pool"] + (["residual", "concat", "pair"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    inner = blocks(width, depth - 1)
    if kind == "conv":
        return fv.Conv2d(width, draw(st.integers(1, 3)), padding="same", bias=draw(st.booleans()))
    if kind == "depthwise":
        return fv.Conv2d(width, 3, padding=1, groups=width)
    if kind == "bn":
        return fv.BatchNorm2d(frozen=draw(st.booleans()))
    if kind == "activation":
        return draw(st.sampled_from([fv.ELU(), fv.Sigmoid(), fv.Tanh()]))
    if kind == "pool":
        return draw(st.sampled_from([fv.AvgPool2d(3, stride=1, padding=1), fv.AvgPool2d(2, stride=1, padding="same")]))
    if kind == "residual":
        return fv.Residual(draw(inner), draw(inner), after=fv.Tanh() if draw(st.booleans()) else None)
    if kind == "concat":
        return fv.Sequential(fv.Concat(draw(inner), draw(inner)), fv.Conv2d(width, 1))
    return fv.Sequential(draw(inner), draw(inner))


@st.composite
def networks(draw: Any) -> Graph:
    """A small network of smooth layers: a flipped ReLU or argmax is no error, so none is drawn."""
    width = draw(st.sampled_from([2, 3, 8, 16]))
    body = draw(st.lists(blocks(width), min_size=1, max_size=3))
    tail: list[Block] = [draw(st.sampled_from([fv.GlobalAvgPool2d(), fv.Flatten()])), fv.Linear(5)]
    network = fv.Sequential(fv.Conv2d(width, 3, padding=1), *body, *tail)
    return network.build((3, draw(st.integers(3, 7)), draw(st.integers(3, 7))), quiet=True)


@given(networks(), st.sampled_from(["training", "inference"]))
def test_any_small_network(engine: Engine, truth: Engine, graph: Graph, mode: Mode):
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, 3), random_seed(graph, 3)
    ours, exact = (run(e, graph, arrays, inputs, seed, mode=mode) for e in (engine, truth))
    assert relative_error(ours.output, exact.output) <= 1e-4
    ours_joined, exact_joined = (
        np.concatenate([r.gradients[name].ravel() for name in graph.parameters]) for r in (ours, exact)
    )
    assert relative_error(ours_joined, exact_joined) <= 1e-3

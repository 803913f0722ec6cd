"""Layers of arithmetic, movement and reduction: their shapes, and what they say of those that do not fit."""

from typing import Any

import pytest

import foveate as fv
from foveate.errors import LayerError, ShapeError
from foveate.geometry import Extent, Reach

REFUSED: list[tuple[type[fv.Layer], tuple[Any, ...], str]] = [
    (fv.CELU, (0.0,), "alpha is 0.0; it must be positive and finite"),
    (fv.Clip, (), "neither low nor high is given"),
    (fv.Clip, (2.0, 1.0), "clips to 2.0 and 1.0; give finite numbers, low no greater than high"),
    (fv.Clip, (float("-inf"), 1.0), "clips to -inf and 1.0; give finite numbers"),
    (fv.Clip, (float("nan"), 1.0), "clips to nan and 1.0; give finite numbers"),
    (fv.Rescale, (float("inf"),), "factor is inf and shift is 0.0; both must be finite"),
    (fv.Power, (float("nan"),), "exponent is nan; it must be finite"),
    (fv.Reshape, ((2, 0),), r"shape is \(2, 0\); give positive sizes"),
    (fv.Reshape, ((-1, -1),), r"shape is \(-1, -1\); give positive sizes, at most one of them -1"),
    (fv.Reshape, ("ab",), "shape is 'ab'; give ints in a tuple"),
    (fv.Transpose, ((0, 2),), r"axes are \(0, 2\); give each of 0, 1, 2, ... once"),
    (fv.Slice, (0, 0, 3, 0), "step is 0; it must go forward"),
    (fv.Slice, (0, 1.5), "begin is 1.5; it must be an int"),
    (fv.Affine, ((0,), False, False), "neither scale nor shift is there"),
    (fv.Affine, (("a",),), r"axes is \('a',\); give ints in a tuple"),
    (fv.PReLU, (True, (0,)), r"per_channel and the axes \(0,\) are both given"),
    (fv.Reduce, ("median",), 'kind is \'median\'; it must be one of "mean", "sum", "prod", "max", "min"'),
    (fv.Reduce, ("sum", 1.5), "axes is 1.5; give ints in a tuple"),
    (fv.Pad, (((0, 0), (1, 1)), "mirror"), "mode is 'mirror'; it must be one of"),
    (
        fv.Pad,
        (((1, 0), (1, 1)), "reflect"),
        r'"reflect" copies positions of 1 to 3 spatial axes, but padding is \(\(1, 0\)',
    ),
    (fv.Pad, (((0, 0), (1, 1)), "circular", 2.0), "but padding is .* and value 2; give .* no value"),
    (fv.Resize, (), "give either size or scale; neither is given"),
    (fv.Resize, (3, 2.0), "give either size or scale; both are given"),
    (fv.Resize, (0,), "size is 0; it must be at least 1"),
    (fv.Resize, (None, -1.0), "scale is -1.0; give a positive factor"),
    (fv.Resize, (None, (1.5, "2")), "scale is .* give a positive factor"),
    (fv.Resize, (3, None, "area"), "mode is 'area'; it must be one of"),
    (fv.Resize, (3, None, "nearest", True), '"nearest" copies, so there are no corners to align'),
    (fv.Resize, (3, None, "linear", True, True), "by either option, not by both"),
    (fv.Slice, (None,), "axis is None; it must be an int"),
    (fv.ThresholdedReLU, (float("inf"),), r"threshold is inf; it must be finite \(0 is ReLU\)"),
]


@pytest.mark.parametrize(("layer", "options", "words"), REFUSED, ids=[f"{r[0].__name__}{r[1]}" for r in REFUSED])
def test_options_out_of_range_are_told_with_what_is_possible(layer: Any, options: tuple[Any, ...], words: str):
    with pytest.raises(LayerError, match=f"^{layer.__name__}: .*{words}"):
        layer(*options)


MISFITS: list[tuple[fv.Layer, tuple[tuple[int, ...], ...], str]] = [
    (fv.Reshape((3, 5)), ((4, 4),), "puts the 16 values of its 4x4 input into 3x5, which has room for 15"),
    (fv.Reshape((3, -1)), ((4, 4),), "puts the 16 values .* which has room for multiples of 3"),
    (
        fv.Transpose((1, 0)),
        ((3, 4, 5),),
        "orders 2 axes, but its input 3x4x5 has 3; give every axis of a sample a place",
    ),
    (
        fv.Slice(1, 4, 2),
        ((3, 9),),
        "takes 4:2 of axis 1, which has 9 positions in its 3x9 input; nothing would be left",
    ),
    (fv.Subtract(), ((3, 9), (2, 9)), "subtracts inputs of shapes that do not match: 3x9 and 2x9. On each axis"),
    (fv.Divide(), ((3, 9),), "takes exactly 2 inputs, but 1 are connected"),
    (fv.Divide(), ((3, 9), (9,)), "divides inputs of shapes that do not match: 3x9 and 9. On each axis"),
    (fv.Raise(), ((3, 9), (9,)), "raises inputs of shapes that do not match: 3x9 and 9. On each axis"),
    (fv.Maximum(), ((3, 9), (9,), (3,)), "compares inputs of shapes that do not match: 3x9 and 9 and 3. On each axis"),
    (fv.Minimum(), ((3, 9),), "takes at least 2 inputs, but 1 are connected"),
    (fv.MatMul(), ((3, 9), (9,)), "gets 3x9 and 9. Both need equally many axes, at least two; Reshape adds axes"),
    (
        fv.MatMul(),
        ((2, 3, 9), (2, 8, 3)),
        "multiplies rows of 9 numbers with columns of 8: .* must be as long as the last but one of the second",
    ),
    (fv.MatMul(), ((2, 3, 9), (4, 9, 3)), "multiplies 2x3x9 and 4x9x3. The axes before .* must be equally long, or 1"),
    (fv.Affine((1, -1)), ((3, 9),), r"has the axes \(1, -1\), two of which are one in its input 3x9"),
    (fv.Affine(2), ((3, 9),), "is over axis 2 of its input 3x9"),
    (fv.Softmax(axis=2), ((3, 9),), "is over axis 2 of its input 3x9"),
    (fv.Concatenate(axis=1), ((3, 9), (4, 9)), "joins inputs whose other sizes differ: 3x9 and 4x9. Only axis 1 may"),
    (fv.Concatenate(axis=1), ((3, 9), (3, 9, 9)), "joins inputs whose other sizes differ: 3x9 and 3x9x9"),
    (fv.PReLU(axes=(2,)), ((3, 9),), "is over axis 2 of its input 3x9"),
    (
        fv.Reduce("sum", (0, -2)),
        ((3, 9),),
        r"has the axes \(0, -2\) for its input 3x9; give at least one, and each once",
    ),
    (fv.Reduce("sum"), ((3, 9),), "would leave no axis of its input 3x9; give keepdims=True"),
    (fv.Pad(((0, 0), (4, 1)), "reflect"), ((3, 4),), 'by "reflect": at most size - 1 positions, but its input is 3x4'),
    (fv.Pad(((0, 0), (4, 5)), "circular"), ((3, 4),), 'by "circular": at most size positions, but its input is 3x4'),
    (fv.Resize(3), ((9,),), "needs an input with 1 to 3 spatial axes after its channels, but gets 9"),
    (fv.Resize((3, 4)), ((3, 9),), r"has 2 numbers, \(3, 4\), for the 1 spatial axis of its input 3x9; give one"),
    (fv.Resize(scale=0.1), ((3, 9),), "makes 0 of its 3x9 input; give a larger scale"),
    (fv.Resize(scale=9e5), ((3, 99999),), "makes 89999100000 of its 3x99999 input; give a smaller scale"),
    (fv.Slice(2), ((3, 9),), "is over axis 2 of its input 3x9, which has the axes 0 to 1, channels first"),
]


@pytest.mark.parametrize(("layer", "shapes", "words"), MISFITS, ids=[case[0].describe() for case in MISFITS])
def test_shapes_that_do_not_fit_are_told_with_their_numbers(layer: fv.Layer, shapes: Any, words: str):
    with pytest.raises(ShapeError, match=words):
        layer.output_shape(shapes)


@pytest.mark.parametrize(
    ("layer", "shape", "reaches"),
    [
        (fv.Reshape((3, 20)), (3, 4, 5), (Extent.UNKNOWN,) * 2),
        (fv.Reshape((60,)), (3, 4, 5), (Extent.EVERYTHING,) * 2),
        (fv.Reshape((3, -1, 5)), (3, 4, 5), (Reach(1, ((0,),)),) * 2),
        (fv.Transpose((0, 2, 1)), (3, 4, 5), (Extent.UNKNOWN,) * 2),
        (fv.Transpose((0, 1, 2)), (3, 4, 5), (Reach(1, ((0,),)),) * 2),
        (fv.Softmax(axis=1), (3, 4, 5), (Extent.EVERYTHING, Reach(1, ((0,),)))),
        (fv.Linear(7, last_axis=True), (3, 4, 5), (Reach(1, ((0,),)), Extent.EVERYTHING)),
        (fv.Reduce("max", (1,), True), (3, 4, 5), (Extent.EVERYTHING, Reach(1, ((0,),)))),
        (fv.Reduce("max", (0, 2)), (3, 4, 5), (Extent.UNKNOWN, Extent.EVERYTHING)),
        (fv.Reduce("max", (2,)), (3, 4, 5), (Reach(1, ((0,),)), Extent.EVERYTHING)),
        (fv.Pad(((0, 0), (1, 2)), "reflect"), (3, 4), (Reach(1, ((-1,),), "reflect"),)),
        (fv.Resize(8, mode="nearest"), (3, 4), (Reach(1, ((0,), (0,))),)),
        (fv.Resize(8, mode="cubic"), (3, 4), (Reach(1, (range(-2, 2), range(-1, 3))),)),
        (fv.Resize(2, mode="linear", antialias=True), (3, 4), (Reach(4, (range(3), range(1, 4))),)),
        (fv.Resize(scale=1.5), (3, 3), (Reach(3, (range(1), range(2), range(1, 3), range(1, 3))),)),
        (fv.Softmax(), (3, 4, 5), (Reach(1, ((0,),)),) * 2),
        (fv.Slice(0, 1), (3, 4, 5), (Reach(1, ((0,),)),) * 2),
        (fv.Slice(1, 1, None, 2), (3, 4, 5), (Reach(2, ((1,),)), Reach(1, ((0,),)))),
        (fv.Slice(-1, None, None, -1), (3, 4, 5), (Reach(1, ((0,),)), Extent.UNKNOWN)),
    ],
    ids=lambda value: value.describe() if isinstance(value, fv.Layer) else "",
)
def test_what_a_movement_reaches_is_the_position_it_came_from(layer: fv.Layer, shape: Any, reaches: Any):
    assert layer.reaches([shape]) == (reaches,)


def test_a_reshape_shows_both_products():
    assert fv.Reshape((8, -1)).size_steps([(8, 4, 4)]) == ("`8*4*4 = 8*16 = 128`",)


def test_a_product_of_matrices_reaches_what_it_sums_over():
    own = Reach(1, ((0,),))
    assert fv.MatMul().reaches([(8, 5, 7), (8, 7, 6)]) == ((own, Extent.EVERYTHING), (Extent.EVERYTHING, own))
    assert fv.MatMul().reaches([(5, 7), (7, 6)]) == ((Extent.EVERYTHING,), (own,))
    assert fv.MatMul().reaches([(4, 1, 5, 7), (4, 3, 7, 6)])[0] == (Extent.EVERYTHING, own, Extent.EVERYTHING)
    assert fv.MatMul().cost([(8, 5, 7), (8, 7, 6)]).flops == 2 * 8 * 5 * 7 * 6


def test_what_nothing_is_multiplied_with_costs_nothing():
    shapes = [(3, 4)]
    layers = fv.Rescale(1, 0), fv.Rescale(2), fv.Rescale(2, 1)
    assert [layer.cost(shapes).flops for layer in layers] == [0, 12, 24]


def test_what_is_joined_along_an_axis_is_moved_by_what_is_before_it():
    first, second = fv.Concatenate(axis=2).reaches([(3, 4, 5), (3, 4, 2)])
    assert (first, second) == ((Reach(1, ((0,),)),) * 2, (Reach(1, ((0,),)), Reach(1, ((-5,),))))


def test_an_input_that_is_repeated_is_seen_everywhere():
    for layer in (fv.Add(), fv.Subtract(), fv.Divide()):
        assert layer.reaches([(3, 4, 5), (3, 1, 5)])[1] == (Extent.EVERYTHING, Reach(1, ((0,),)))
        assert layer.cost([(3, 4, 5), (3, 1, 5)]).flops == 60


def test_a_linear_along_the_last_axis_multiplies_at_every_position():
    layer = fv.Linear(7, last_axis=True)
    assert (layer.output_shape([(3, 4, 5)]), layer.describe()) == ((3, 4, 7), "Linear 7, last axis")
    assert layer.cost([(3, 4, 5)]) == fv.Cost(macs=3 * 4 * 5 * 7, flops=2 * 3 * 4 * 5 * 7 + 3 * 4 * 7)


def test_a_normalisation_after_a_linear_along_the_last_axis_is_not_folded_into_it():
    graph = fv.Sequential(fv.Linear(7, last_axis=True), fv.BatchNorm1d()).build((3, 5))
    fused = fv.Model(graph).fuse()
    assert [type(node.layer).__name__ for node in fused.graph.nodes] == ["Linear", "BatchNorm1d"]
    assert "makes the last axis, and the normalisation is of the first" in str(fused.report)

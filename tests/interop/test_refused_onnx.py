"""What is said of operators that no layer computes, or of files that leave something out."""

from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from tests.interop.test_from_onnx import written

ARRAYS = {
    "w3": np.ones((3, 3, 3, 3), np.float32), "rows": np.arange(12, dtype=np.float32).reshape(4, 3),
    "three": np.arange(3, dtype=np.float32), "four": np.arange(4, dtype=np.float32), "m": np.ones((3, 2), np.float32),
    "stack": np.ones((5, 3, 2), np.float32), "i0": np.array(0), "i": np.array([0]), "i1": np.array([1]),
    "i9": np.array([9]), "shape": np.array([4, -1, 7]), "flat": np.array([12]), "batch": np.array([2, 1, 1, 1]),
    "pads": np.array([1, 0, 0, 0]), "wide": np.array([1, 4, 3]), "f": np.float32(2), "sizes": np.array([1, 3, 0, 4]),
    "blocks": np.ones((2, 2), np.float32), "splits": np.array([1, 1]), "ints": np.arange(3), "t": np.array(True),
}  # fmt: skip

IMAGE = "agraph (float[4, 3, 5, 5] x) => (float[A, B, C, D] y)"
ROWS = "agraph (float[4, 3] x) => (float[A, B] y)"

REFUSED = {
    "y = Sin(x)": (ROWS, "y: Sin, because there is no such layer"),
    "y = Cast<to=7>(x)": (ROWS, "it turns numbers into int64"),
    "y = Conv(x, x)": (IMAGE, "its input 2, x, depends on the network's input"),
    "y = Conv<strides=[0, 1]>(x, w3)": (IMAGE, r"its windows are \(3, 3\), \(0, 1\) apart"),
    "y = Conv<strides=[1]>(x, w3)": (IMAGE, "its windows have 2 axes for 2 spatial axes"),
    "y = Conv<pads=[1, 1]>(x, w3)": (IMAGE, "it has 2 numbers of padding for 2 axes"),
    "y = Conv<group=2>(x, w3)": (IMAGE, "groups is 2, which does not divide"),
    "y = BatchNormalization(x, four, four, four, four)": (IMAGE, "its weight has the shape 4, not 3"),
    "y = BatchNormalization<spatial=0>(x, three, three, three, three)": (IMAGE, "statistics for each position"),
    "y = Add(x, rows)": (ROWS, "which differ from sample to sample"),
    "y = Mul(x, blocks)": (ROWS, "it computes with the array blocks of 2x2"),
    "y = Max(x, rows)": (ROWS, "which differ from sample to sample"),
    "y = Pow(x, stack)": (ROWS, "the array stack of 3 axes, one of them before the batch"),
    "y = Softmax<axis=0>(x)": (ROWS, "it is over the batch"),
    "y = Softmax<axis=5>(x)": (ROWS, "it is over axis 5 of 2"),
    "y = ReduceSum(x, i)": (ROWS, "it is over the batch"),
    "y = Reshape(x, shape)": (ROWS, "it puts 4x3 into 4x-1x7, which has other numbers"),
    "y = Reshape(x, flat)": (ROWS, "its output y puts positions of several samples into one axis"),
    "y = Gather<axis=0>(x, i)": (ROWS, "it takes samples of the batch"),
    "y = Gather<axis=1>(x, i9)": (ROWS, "positions that are not among the 3 of its axis"),
    "y = Slice(x, i, i1, i)": (ROWS, "it takes a part of the batch"),
    "y = Slice(x, i1, i1, i1)": (ROWS, "it takes nothing of an axis of 3"),
    "y, z = Split<axis=1>(x, splits)": (ROWS, r"it splits 3 positions into \[1, 1\]"),
    "y, z = Split<axis=0>(x, splits)": (ROWS, "it takes the batch apart"),
    "y = Concat<axis=0>(x, x)": (ROWS, "it joins batches"),
    "y = Tile(x, batch)": (IMAGE, "it repeats samples"),
    "y = Tile(x, wide)": (IMAGE, r"it repeats its 4 axes \[1, 4, 3\] times"),
    "y = Expand(x, shape)": (ROWS, "it expands 4x3 to 4x-1x7"),
    "y = Pad(x, pads)": (ROWS, "it pads the batch"),
    'y = Pad<mode="odd">(x, pads)': (ROWS, "it pads the batch"),
    "y = Resize(x, , , sizes)": (IMAGE, "it resizes the batch, or to nothing"),
    'y = Resize<coordinate_transformation_mode="odd">(x, , , sizes)': (IMAGE, "it resizes the batch"),
    "y = DepthToSpace<blocksize=2>(x)": (IMAGE, "its 3 channels are no multiple of 4"),
    "y = SpaceToDepth<blocksize=2>(x)": (IMAGE, "its 5x5 positions are no multiple of 2"),
    "y = SpaceToDepth<blocksize=1>(x)": (ROWS, "not channels, height and width"),
    "y = Gemm<transA=1>(x, m)": (ROWS, "the batch is the last axis of its first input"),
    "y = Gemm(x, stack)": (ROWS, "its inputs have 2 and 3 axes, not 2"),
    "y = Gemm(x, rows)": (ROWS, "it multiplies 3 numbers with rows of 4"),
    "y = MatMul(x, stack)": (ROWS, "the array stack of 3 axes, one of them before the batch"),
    "y = MatMul(rows, x)": (ROWS, "it multiplies the array rows, of 2 axes, with a tensor"),
    "y = MatMul(x, x)": (ROWS, "product of two tensors that are not matrices"),
    "y = Shrink<lambd=-1.0>(x)": (ROWS, "its bound is -1, below 0"),
    "y = Transpose<perm=[0, 0]>(x)": (ROWS, r"it orders 2 axes as \[0, 0\]"),
    "a = Transpose<perm=[1, 0]>(x) y = Softmax<axis=1>(a)": (ROWS, "it is over the batch"),
    "a = Transpose<perm=[1, 0]>(x) y = Sin(a)": (ROWS, "the batch is not the first axis of its input"),
    "a = Transpose<perm=[1, 0]>(x) y = MatMul(a, stack)": (ROWS, "but one of those of its matrices"),
    "a = Transpose<perm=[1, 0]>(x) y = Mul(a, x)": (ROWS, "or is elsewhere in another"),
    "a = Transpose<perm=[1, 0]>(x) y = Add(a, four)": (ROWS, "the array four has numbers of its own for each sample"),
    "y = Gather<axis=1>(rows, x)": (ROWS, "it computes with the array rows in place of a tensor"),
    "y = LpPool<kernel_shape=[3, 3], p=0>(x)": (IMAGE, "norm_type is 0"),
    "y, z = MaxPool<kernel_shape=[2, 2]>(x) w = Identity(z)": (IMAGE, ""),
    "a = Div(ints, i) y = Add(x, a)": (ROWS, "it divides by 0"),
    "y = DequantizeLinear(x, blocks)": (ROWS, "it is quantised in blocks"),
    "y = MeanVarianceNormalization<axes=[1]>(x)": (IMAGE, r"it is over the axes \[1\], not over all positions"),
    "y = Dropout(x, f, t)": (ROWS, "it drops values in inference too"),
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED)
def test_it_is_said_why_an_operator_cannot_be_imported(body: str, tmp_path: Path):
    head, told = REFUSED[body]
    arrays = {
        name: array
        for name, array in {**ARRAYS, "t": np.array(True)}.items()
        if f"{name})" in body or f"{name}," in body
    }
    arrays = {
        name: array
        for name, array in arrays.items()
        if f" {name})" in body or f" {name}," in body or f"({name}" in body
    }
    path = written(f"{head} {{ {body} }}", tmp_path / "a.onnx", arrays)
    if not told:
        fv.from_onnx(path)
        return
    with pytest.raises(fv.GraphError, match=told) as caught:
        fv.from_onnx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agraph (float[4] x) => (float[4] y) { y = Relu(x) }", "has 1 axes; besides the batch at least one is needed"),
        ("agraph (float[4, 2] x, float[5, 2] z) => (float[4, 2] y) { y = Add(x, z) }", "different sizes: 4, 5"),
        ("agraph (float[4, 2] x) => (int64[2] y) { y = Shape(x) }", "its output y does not depend on its input"),
        ("agraph () => (float[2] y) { y = Constant<value_floats=[1.0, 2.0]>() }", "has no input that anything depends"),
        ("agraph (float[4, 2] x) => (float[4, 2] y, float[4, 2] y) { y = Relu(x) }", "two of its outputs are one"),
        ("agraph (float[N, 2, H] x, float[N, 2] z) => (float[N, 2, 1] y) { y = Mul(x, z) }", "x is N x 2 x H; give"),
    ],
)  # fmt: skip
def test_it_is_said_what_a_network_lacks(text: str, told: str, tmp_path: Path):
    with pytest.raises(fv.FoveateError, match=told):
        fv.from_onnx(written(text, tmp_path / "a.onnx"))


def test_shapes_of_several_inputs_go_by_name(tmp_path: Path):
    text = "agraph (float[N, 2, H] x, float[N, 2, 1] z) => (float[N, 2, H] y) { y = Mul(x, z) }"
    path = written(text, tmp_path / "a.onnx")
    with pytest.raises(fv.GraphError, match="it has 2 inputs: give input_shape as a mapping from their names, x, z"):
        fv.from_onnx(path, (2, 5))
    assert dict(fv.from_onnx(path, {"x": (2, 5)}).graph.inputs) == {"x": (2, 5), "z": (2, 1)}

"""ONNX files that leave the batch open: what is computed of each sample is imported, what spans samples is refused."""

from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from tests.interop.test_from_onnx import check, written

I0, ROWS = np.array([0]), "agraph (float[N, 4] x) => (float[A, B] y)"
SEVEN = "agraph (float[N, 7, 4] x) => (float[A, B] y)"

ACROSS = {
    "m = ReduceMean(x, i0) y = Sub(x, m)": (ROWS, {"i0": I0}),
    "m = ReduceMax(x) y = Sub(x, m)": (ROWS, {}),
    "y = Slice(x, b, e, i0)": (ROWS, {"i0": I0, "b": np.array([0]), "e": np.array([1])}),
    "y = Reshape(x, shape)": (ROWS, {"shape": np.array([1, -1])}),
    "y = Add(x, k)": (ROWS, {"k": np.ones((1, 1, 4), np.float32)}),
    "y = MatMul(x, k)": (ROWS, {"k": np.ones((1, 4, 3), np.float32)}),
    "y = Max(x, k)": (ROWS, {"k": np.ones((1, 1, 1), np.float32)}),
    "y = Pow(k, x)": (ROWS, {"k": np.full((1, 1, 1), 2, np.float32)}),
    "s = Shape(x) n = Gather(s, i) f = Cast<to=1>(n) y = Div(x, f)": (ROWS, {"i": np.array(0)}),
    "s = Size(x) f = Cast<to=1>(s) y = Div(x, f)": (ROWS, {}),
    "s = Shape(x) n = Gather(s, i) f = Cast<to=1>(n) w = Mul(f, k) y = Add(x, w)": (
        ROWS, {"i": np.array(0), "k": np.arange(4, dtype=np.float32)}
    ),
    "y = Reshape(x, seven)": (SEVEN, {"seven": np.array([7, -1])}),
    "y = Reshape(x, thirteen)": ("agraph (float[N, 13, 4] x) => (float[A, B] y)", {"thirteen": np.array([13, -1])}),
}  # fmt: skip


@pytest.mark.parametrize("body", ACROSS)
def test_what_depends_on_the_other_samples_is_refused(body: str, tmp_path: Path):
    head, arrays = ACROSS[body]
    path = written(f"{head} {{ {body} }}", tmp_path / "a.onnx", arrays)
    with pytest.raises(fv.GraphError, match=r"batch|how many samples|across samples"):
        fv.from_onnx(path)


def test_a_batch_of_one_is_a_way_out(tmp_path: Path):
    body, shape = "{ y = Reshape(x, shape) }", {"shape": np.array([1, -1])}
    path = written(f"agraph (float[N, 2, 3] x) => (float[1, B] y) {body}", tmp_path / "a.onnx", shape)
    with pytest.raises(fv.GraphError, match="write 1 for the batch into the shape of each input"):
        fv.from_onnx(path)
    check(written(f"agraph (float[1, 2, 3] x) => (float[1, B] y) {body}", tmp_path / "b.onnx", shape), (1, 2, 3))


EACH = {
    "s = Shape(x) n = Gather(s, i0) d = Concat<axis=0>(n, rest) y = Reshape(x, d)": {"i0": I0, "rest": np.array([-1])},
    "y = Reshape(x, d)": {"d": np.array([-1, 12])},
    "m = ReduceMean(x, axes) y = Sub(x, m)": {"axes": np.array([1, 2])},
    "s = Shape(x) n = Gather(s, i0) d = Concat<axis=0>(n, rest) z = ConstantOfShape(d) y = Add(x, z)": {
        "i0": I0, "rest": np.array([3, 4])
    },
}  # fmt: skip


@pytest.mark.parametrize("body", EACH)
def test_what_is_of_each_sample_is_imported(body: str, tmp_path: Path):
    text = f"agraph (float[N, 3, 4] x) => (float[A, B] y) {{ {body} }}"
    check(written(text, tmp_path / "a.onnx", EACH[body]), (5, 3, 4))


def test_a_stack_of_one_matrix_adds_an_axis(tmp_path: Path):
    text, array = "agraph (float[1, 4] x) => (float[1, 1, 3] y) { y = MatMul(x, k) }", np.ones((1, 4, 3), np.float32)
    model = check(written(text, tmp_path / "a.onnx", {"k": array}), (1, 4))
    assert model.graph.output_shape == (1, 3)

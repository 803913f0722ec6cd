"""What is computed of arrays and whole numbers during import is what ONNX says, and bounded before it is made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import foveate as fv
from tests.interop.test_from_onnx import check, written

ROWS = "agraph (float[N, 3] x) => (float[A, B] y)"
I64 = np.int64

ARRAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "a sum over no axes": ("k = ReduceSum<noop_with_empty_axes=1>(a) y = Mul(x, k)", {"a": np.float32([1, 2, 3])}),
    "a root of whole numbers": (
        "p = Pow(a, b) k = Cast<to=1>(p) y = Mul(x, k)", {"a": np.array([2, 3, 5]), "b": np.float32(0.5)}
    ),
    "a power of whole numbers": (
        "p = Pow(a, b) k = Cast<to=1>(p) y = Mul(x, k)", {"a": np.array([2, 3, 5]), "b": np.array(3)}
    ),
    "a negative power": ("p = Pow(a, b) y = Mul(x, p)", {"a": np.float32([2, 3, 5]), "b": np.array(-2)}),
    "a product of stacks": (
        "p = MatMul(a, b) s = ReduceSum<keepdims=0>(p) y = Mul(x, s)",
        {"a": np.ones((2, 1, 3, 4), np.float32), "b": np.ones((5, 4, 2), np.float32)},
    ),
    "a product with a vector": (
        "p = MatMul(a, b) y = Mul(x, p)", {"a": np.ones((3, 4), np.float32), "b": np.ones(4, np.float32)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_are_computed_as_onnx_says(case: str, tmp_path: Path):
    body, arrays = ARRAYS[case]
    check(written(f"{ROWS} {{ {body} }}", tmp_path / "a.onnx", arrays), (4, 3))


def test_the_last_part_is_what_is_left(tmp_path: Path):
    """10 numbers in 4 parts: 3, 3, 3 and 1."""
    body = "a, b, c, d = Split<num_outputs=4>(k) s = ReduceSum(c) y = Mul(x, s)"
    path = written(f"{ROWS} {{ {body} }}", tmp_path / "a.onnx", {"k": np.arange(10, dtype=np.float32)})
    assert fv.from_onnx(path).logits(np.ones((1, 3), np.float32)).tolist() == [[6 + 7 + 8] * 3]


LARGE: dict[str, tuple[str, dict[str, Any]]] = {
    "a constant": ("c = ConstantOfShape(n)", {"n": np.array([1 << 27])}),
    "copies": ("c = Expand(k, n)", {"k": np.ones(1, np.float32), "n": np.array([1 << 27])}),
    "tiles": ("c = Tile(k, n)", {"k": np.ones(2, np.float32), "n": np.array([1 << 26])}),
    "a range": ("c = Range(a, n, b)", {"a": I64(0), "n": I64(1 << 27), "b": I64(1)}),
    "a product": (
        "e = Expand(k, n) f = Expand(k, m) c = MatMul(e, f)",
        {"k": np.ones(1, np.float32), "n": np.array([1 << 20, 1]), "m": np.array([1, 1 << 20])},
    ),
    "a product of stacks": (
        "e = Expand(k, n) f = Expand(k, m) c = MatMul(e, f)",
        {"k": np.ones(1, np.float32), "n": np.array([1 << 20, 1, 1, 1]), "m": np.array([1, 1 << 20, 1, 1])},
    ),
    "one array again and again": (
        "e = Expand(k, n) c = Concat<axis=0>(e, e, e)", {"k": np.ones(1, np.float32), "n": np.array([1 << 25])}
    ),
    "parts": ("c, d = Split<num_outputs=1099511627776>(k)", {"k": np.ones(2, np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("case", LARGE)
def test_large_arrays_are_refused_before_they_are_made(case: str, tmp_path: Path):
    body, arrays = LARGE[case]
    path = written(f"{ROWS} {{ {body} s = ReduceMax(c) y = Add(x, s) }}", tmp_path / "a.onnx", arrays, opset=18)
    with pytest.raises(fv.GraphError, match=r"c: \w+, because it (makes an array of|splits)"):
        fv.from_onnx(path)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("int64", "d = Div(x, k) y = Cast<to=1>(d)"),
        ("int64", "d = ReduceMean<axes=[1]>(x) y = Cast<to=1>(d)"),
        ("int32", "t = Identity(x) d = Div(t, t) y = Cast<to=1>(d)"),
        ("uint8", "d = Sub(x, k) y = Cast<to=1>(d)"),
    ],
)
def test_whole_numbers_are_not_computed_as_floats(kind: str, body: str, tmp_path: Path):
    text = f"agraph ({kind}[N, 3] x) => (float[A, B] y) {{ {body} }}"
    arrays = {"k": np.array([2], kind)} if "k)" in body else {}
    path = written(text, tmp_path / "a.onnx", arrays, opset=17)
    with pytest.raises(fv.GraphError, match=f"d: .* whole numbers of the type {kind}, which are floats here; cast"):
        fv.from_onnx(path)


def test_whole_numbers_that_are_cast_first_are_taken(tmp_path: Path):
    text = "agraph (uint8[N, 3] x) => (float[N, 3] y) { f = Cast<to=1>(x) y = Div(f, k) }"
    path = written(text, tmp_path / "a.onnx", {"k": np.float32(255)})
    pixels = np.array([[0, 100, 255]], np.uint8)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": pixels})[0]
    assert np.allclose(fv.from_onnx(path).logits(pixels.astype(np.float32)), expected)


def test_the_numbers_of_all_arrays_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("foveate.interop.onnx.folding.LARGEST_ARRAY", 1000)
    body = "a = Exp(k) b = Exp(a) c = Exp(b) d = ReduceSum<keepdims=0>(c) y = Add(x, d)"
    path = written(f"{ROWS} {{ {body} }}", tmp_path / "a.onnx", {"k": np.ones(600, np.float32)})
    with pytest.raises(fv.GraphError, match="c: Exp, because more than 1,000 numbers were computed from arrays before"):
        fv.from_onnx(path)

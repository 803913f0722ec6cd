"""Networks whose batch shares an axis with heads, windows or positions for a while, as PyTorch writes attention."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from tests.interop.test_from_onnx import check, exported, written
from tests.interop.transformers import VisionTransformer, WindowTransformer
from tests.support import relative_error


class Heads(nn.Module):
    """Attention whose batch and heads are one axis while queries are multiplied with keys."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = (
            each(x).reshape(batch, length, 3, 4).transpose(1, 2).reshape(batch * 3, length, 4)
            for each in (self.q, self.k, self.v)
        )
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) / 2, -1)
        made = torch.bmm(weights, v).reshape(batch, 3, length, 4).transpose(1, 2).reshape(batch * length, width)
        return self.out(made).reshape(batch, length, width)


class Windows(nn.Module):
    """Attention within windows, each of which is a sample for a while, with a bias for each pair of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.bias = nn.Parameter(torch.randn(2, 16, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = x.shape
        inside = x.reshape(batch, height // 4, 4, width // 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        inside = self.norm(inside.reshape(-1, 16, channels))
        q, k, v = self.qkv(inside).reshape(-1, 16, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-2, -1) + self.bias, -1)
        made = self.out((weights @ v).transpose(1, 2).reshape(-1, 16, channels))
        back = made.reshape(batch, height // 4, width // 4, 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
        return x + back.reshape(batch, height, width, channels)


class SequenceFirst(nn.Module):
    """PyTorch's own attention, which takes the sequence before the batch, between two transpositions."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.position = nn.MultiheadAttention(12, 3), nn.Parameter(torch.randn(7, 1, 12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turned = x.transpose(0, 1) + self.position
        return self.attention(turned, turned, turned)[0].mean(0)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "heads": (Heads, (7, 12)),
    "windows": (Windows, (8, 12, 8)),
    "the sequence first": (SequenceFirst, (7, 12)),
    "a transformer's layer": (lambda: nn.TransformerEncoderLayer(12, 3, 20, activation="gelu"), (5, 12)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_attention_that_pytorch_wrote_is_the_same_here(name: str, tmp_path: Path):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    module = make().eval()
    first = name == "a transformer's layer"
    wrapped = Turned(module) if first else module
    model = fv.from_onnx(exported(wrapped, shape, tmp_path / "a.onnx"))
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    with torch.no_grad():
        theirs = wrapped(torch.from_numpy(x)).numpy()
    assert relative_error(next(iter(model.outputs(x).values())), theirs) <= 1e-5
    assert "MatMul" in {type(node.layer).__name__ for node in model.graph.nodes}


class Turned(nn.Module):
    """A module that takes the sequence first, for batches that come first."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


MERGED = {
    "all positions of all samples": "a = Reshape(x, rows) b = MatMul(a, w) c = Add(b, four) y = Reshape(c, back)",
    "the batch behind": "a = Transpose<perm=[1, 0, 2]>(x) b = Softmax<axis=-1>(a) y = Transpose<perm=[1, 0, 2]>(b)",
    "a part in front": """a = Transpose<perm=[1, 0, 2]>(x) b = Slice(a, one, three, zero)
        c = ReduceSum<keepdims=0>(b, zero) d = Relu(c) y = Unsqueeze(d, zero) z = Identity(d)""",
    "a line over merged rows": "a = Reshape(x, rows) b = Mul(a, two) c = Add(b, two) y = Reshape(c, back)",
    "sums and means of merged rows": "a = Reshape(x, rows) b = Sum(a, four) c = Mean(a, b, two) y = Reshape(c, back)",
    "norms of merged rows": "a = Reshape(x, rows) b = LayerNormalization(a, four) y = Reshape(b, back)",
    "joined behind": "a = Transpose<perm=[2, 0, 1]>(x) b = Concat<axis=0>(a, a) y = Transpose<perm=[1, 2, 0]>(b)",
    "shape of merged rows": "a = Reshape(x, rows) s = Shape(a) b = Relu(a) c = Reshape(b, s) y = Reshape(c, back)",
}


@pytest.mark.parametrize("name", MERGED)
@pytest.mark.parametrize("batch", ["N", "1", "6"])
def test_what_is_done_to_merged_positions_is_done_to_each_sample(name: str, batch: str, tmp_path: Path):
    arrays = {
        "rows": np.array([-1, 4]), "back": np.array([-1, 3, 4]), "w": np.random.default_rng(1).random((4, 4)),
        "four": np.arange(4), "two": np.array(2), "one": np.array([1]), "three": np.array([3]), "zero": np.array([0]),
    }  # fmt: skip
    body = MERGED[name]
    used = {
        key: array.astype(np.float32) if key in ("w", "four", "two") else array
        for key, array in arrays.items()
        if f" {key})" in body or f" {key}," in body
    }
    text = f"agraph (float[{batch}, 3, 4] x) => (float[A, B, C] y) {{ {body} }}"
    check(written(text, tmp_path / "a.onnx", used), (6 if batch == "N" else int(batch), 3, 4))


def test_a_batch_of_one_that_is_left_out_is_none(tmp_path: Path):
    body = "a = Squeeze(x, zero) b = MatMul(a, w) y = Unsqueeze(b, zero)"
    arrays = {"zero": np.array([0]), "w": np.ones((4, 2), np.float32)}
    text = f"agraph (float[1, 3, 4] x) => (float[1, 3, 2] y) {{ {body} }}"
    check(written(text, tmp_path / "a.onnx", arrays), (1, 3, 4))


def test_an_array_of_another_length_is_joined_to_a_batch_of_one_that_is_left_out(tmp_path: Path):
    body = "a = Squeeze(x, zero) b = Concat<axis=0>(a, w) y = Unsqueeze(b, zero)"
    arrays = {"zero": np.array([0]), "w": np.arange(8, dtype=np.float32).reshape(2, 4)}
    text = f"agraph (float[1, 3, 4] x) => (float[1, 5, 4] y) {{ {body} }}"
    check(written(text, tmp_path / "a.onnx", arrays), (1, 3, 4))


OVER = "agraph (float[2, 3, 4] x) => (float[A, B, C] y)"
BEHIND = "a = Transpose<perm=[1, 0, 2]>(x)"
MERGED_ROWS = "a = Reshape(x, six)"
OVER_THE_BATCH = {
    "softmax of old": (f"{BEHIND} b = Softmax<axis=0>(a) y = Transpose<perm=[1, 0, 2]>(b)", 11),
    "log-softmax of old": (f"{BEHIND} b = LogSoftmax<axis=0>(a) y = Transpose<perm=[1, 0, 2]>(b)", 11),
    "norm": (f"{BEHIND} b = LayerNormalization<axis=0>(a, norm) y = Transpose<perm=[1, 0, 2]>(b)", 17),
    "norm of rows": (f"{MERGED_ROWS} b = LayerNormalization<axis=0>(a, rows) y = Reshape(b, back)", 17),
    "sum of all": (f"{BEHIND} b = ReduceSum(a) y = Add(x, b)", 17),
    "rows of each": (f"{MERGED_ROWS} b = Concat<axis=1>(a, rows) y = Reshape(b, wide)", 17),
}


@pytest.mark.parametrize("name", OVER_THE_BATCH)
def test_what_is_over_a_range_of_axes_with_the_batch_is_refused(name: str, tmp_path: Path):
    body, opset = OVER_THE_BATCH[name]
    path = written(f"{OVER} {{ {body} }}", tmp_path / "a.onnx", _used(body), opset)
    with pytest.raises(fv.GraphError, match=r"it is over the batch|has numbers of its own for each sample"):
        fv.from_onnx(path)


JOINED = {
    "behind": f"{BEHIND} b = Concat<axis=0>(tall, a) y = Transpose<perm=[1, 0, 2]>(b)",
    "merged": f"{MERGED_ROWS} b = Concat<axis=1>(a, equal) y = Reshape(b, wide)",
}


@pytest.mark.parametrize("name", JOINED)
def test_an_array_is_joined_wherever_the_batch_is(name: str, tmp_path: Path):
    path = written(f"{OVER} {{ {JOINED[name]} }}", tmp_path / "a.onnx", _used(JOINED[name]))
    check(path, (2, 3, 4))


def _used(body: str) -> dict[str, np.ndarray]:
    rows = np.arange(24, dtype=np.float32).reshape(6, 4)
    arrays = {
        "six": np.array([6, 4]), "back": np.array([2, 3, 4]), "wide": np.array([2, 3, 8]), "rows": rows,
        "norm": np.ones((3, 2, 4), np.float32), "tall": np.repeat(rows.reshape(6, 1, 4), 2, 1),
        "equal": np.tile(rows[:3], (2, 1)),
    }  # fmt: skip
    return {name: array for name, array in arrays.items() if f"({name}," in body or f" {name})" in body}


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_as_many_heads_as_samples_are_not_mistaken_for_them(batch: int, heads: int, tmp_path: Path):
    arrays = {
        "parts": np.array([batch, 5, heads, 4]), "rows": np.array([batch * heads, 5, 4]),
        "apart": np.array([batch, heads, 5, 4]), "back": np.array([batch, 5, heads * 4]),
    }  # fmt: skip
    body = """a = Reshape(x, parts) b = Transpose<perm=[0, 2, 1, 3]>(a) c = Reshape(b, rows)
        d = Transpose<perm=[0, 2, 1]>(c) e = MatMul(c, d) f = Softmax<axis=-1>(e) g = MatMul(f, c)
        h = Reshape(g, apart) i = Transpose<perm=[0, 2, 1, 3]>(h) y = Reshape(i, back)"""
    text = f"agraph (float[{batch}, 5, {heads * 4}] x) => (float[A, B, C] y) {{ {body} }}"
    check(written(text, tmp_path / "a.onnx", arrays), (batch, 5, heads * 4))


def test_a_number_of_each_sample_does_not_meet_the_last_axis(tmp_path: Path):
    body = "a = ReduceSum<keepdims=0>(x, one) y = Mul(x, a)"
    path = written(
        f"agraph (float[4, 4] x) => (float[4, 4] y) {{ {body} }}", tmp_path / "a.onnx", {"one": np.array([1])}
    )
    with pytest.raises(fv.GraphError, match="the batch is the only axis of its input, and meets the last one"):
        fv.from_onnx(path)


ONE_EACH = {
    "logarithms": "a = ReduceSum<keepdims=0>(x, axes) b = Add(a, a) y = LogSoftmax<axis=-1>(b)",
    "a part": "a = ReduceSum<keepdims=1>(x, axes) b = Reshape(a, four) y = Gather<axis=-1>(b, two)",
}


@pytest.mark.parametrize("name", ONE_EACH)
def test_one_number_of_each_sample_stays_without_an_axis(name: str, tmp_path: Path):
    arrays = {"axes": np.array([1, 2]), "four": np.array([4]), "two": np.array([0, 0])}
    used = {key: array for key, array in arrays.items() if f" {key})" in ONE_EACH[name]}
    text = f"agraph (float[4, 2, 3] x) => (float[N] y) {{ {ONE_EACH[name]} }}"
    with pytest.raises(fv.GraphError, match=r"it is over the batch|it takes samples of the batch"):
        fv.from_onnx(written(text, tmp_path / "a.onnx", used))


def test_what_a_branch_moves_stays_moved(tmp_path: Path):
    text = """agraph (float[2, 3, 4] x) => (float[A, B, C] y) {
        a = If(t) <
            then_branch = first () => (float[3, 2, 4] b) { b = Transpose<perm=[1, 0, 2]>(x) },
            else_branch = second () => (float[3, 2, 4] c) { c = Transpose<perm=[1, 0, 2]>(x) }
        >
        d = Softmax<axis=0>(a)
        y = Transpose<perm=[1, 0, 2]>(d)
    }"""
    check(written(text, tmp_path / "a.onnx", {"t": np.array(True)}), (2, 3, 4))


@pytest.mark.parametrize("make", [VisionTransformer, WindowTransformer])
@pytest.mark.parametrize("fixed", [False, True])
def test_a_vision_transformer_that_pytorch_wrote_is_the_same_here(
    make: Callable[[], nn.Module], fixed: bool, tmp_path: Path
):
    torch.manual_seed(0)
    module = make().eval()
    for batch in (1, 3):
        x = torch.randn(batch, 3, 16, 16)
        model = fv.from_onnx(exported(module, (3, 16, 16), tmp_path / "a.onnx", batch=batch if fixed else None))
        with torch.no_grad():
            theirs = module(x).numpy()
        assert relative_error(model.logits(x.numpy()), theirs) <= 1e-5
        assert {"blocks.0.attn.qkv", "blocks.1.mlp.2", "head"} <= set(model.graph.by_name)

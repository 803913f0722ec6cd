"""Networks whose batch shares an axis with heads, windows or positions for a while, as PyTorch writes attention."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from tests.interop.test_from_onnx import check, exported, written
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

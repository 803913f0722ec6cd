"""ONNX files as models: the same outputs as PyTorch or ONNX's own evaluator, names, notes, and what is refused."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from torch import nn

import foveate as fv
from tests.support import relative_error

RANDOM = np.random.default_rng(5)


def exported(
    module: nn.Module, shape: tuple[int, ...], path: Path, opset: int = 17, batch: int | None = None, **options: Any
) -> Path:
    """A file that PyTorch writes; the batch is open unless it is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.randn(batch or 2, *shape),), path, opset_version=opset, dynamo=False,
            input_names=["image"], dynamic_axes=None if batch else {"image": {0: "batch"}}, **options,
        )  # fmt: skip
    return path


def written(text: str, path: Path, arrays: Mapping[str, Any] | None = None, opset: int = 19) -> Path:
    """A file of a graph in ONNX's own language, with arrays."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for name, array in (arrays or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    onnx.save(model, path)
    return path


def check(path: Path, *shapes: tuple[int, ...], bound: float = 1e-5, **options: Any) -> fv.Model:
    """Compare the model with ONNX's own evaluator on random inputs."""
    model = fv.from_onnx(path, **options)
    evaluator = ReferenceEvaluator(str(path))
    arrays = [RANDOM.standard_normal(shape).astype(np.float32) for shape in shapes]
    expected = evaluator.run(None, dict(zip(evaluator.input_names, arrays, strict=True)))
    made = model.outputs(dict(zip(model.graph.inputs, arrays, strict=True)))
    for ours, theirs in zip(made.values(), expected, strict=True):
        assert relative_error(ours.reshape(theirs.shape), theirs) <= bound
    return model


class Attention(nn.Module):
    """Two heads, as timm writes them: queries, keys and values are split while the batch is the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj, self.norm = nn.Linear(12, 36), nn.Linear(12, 12), nn.LayerNorm(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size, length, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(size, length, 3, 2, 6).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * 6**-0.5 @ k.transpose(-2, -1)).softmax(-1)
        return x + self.proj((weights @ v).transpose(1, 2).reshape(size, length, width))


class Block(nn.Module):
    """A network with what image classifiers are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1), nn.Sigmoid())
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(x))
        x = x * self.squeeze(x) + nn.functional.hardswish(x)
        grouped = x.reshape(x.shape[0], 4, 4, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        x = nn.functional.gelu(grouped) + nn.functional.silu(x)
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1))


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_a_network_that_pytorch_wrote_is_the_same_here(tmp_path: Path, opset: int):
    module = Block()
    model = fv.from_onnx(exported(module, (3, 32, 32), tmp_path / "block.onnx", opset))
    images = RANDOM.standard_normal((3, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        theirs = module(torch.from_numpy(images)).numpy()
    assert relative_error(model.logits(images), theirs) <= 1e-5
    layers = {type(node.layer).__name__ for node in model.graph.nodes}
    assert {"ChannelShuffle", "GELU", "SiLU", "Linear", "GlobalAvgPool2d"} <= layers
    assert "head.2" in model.graph.by_name
    assert model.names["head.2.weight"] == "head.2.weight"


def test_attention_is_the_same_here(tmp_path: Path):
    module = Attention()
    model = fv.from_onnx(exported(module, (5, 12), tmp_path / "attention.onnx"))
    tokens = RANDOM.standard_normal((3, 5, 12)).astype(np.float32)
    with torch.no_grad():
        theirs = module(torch.from_numpy(tokens)).numpy()
    assert relative_error(model.logits(tokens), theirs) <= 1e-5
    assert {"qkv", "proj", "norm"} <= set(model.graph.by_name)


@pytest.mark.parametrize("affine", [True, False])
def test_a_layer_normalisation_that_is_spelt_out_is_one_layer(tmp_path: Path, affine: bool):
    module = nn.Sequential(nn.LayerNorm(12, eps=0.1, elementwise_affine=affine), nn.Linear(12, 4))
    model = fv.from_onnx(exported(module, (5, 12), tmp_path / "a.onnx", opset=13))
    tokens = RANDOM.standard_normal((3, 5, 12)).astype(np.float32)
    with torch.no_grad():
        assert relative_error(model.logits(tokens), module(torch.from_numpy(tokens)).numpy()) <= 1e-5
    assert [type(node.layer) for node in model.graph.nodes] == [fv.LayerNorm, fv.Linear]


def test_a_result_on_the_way_that_is_read_elsewhere_stays(tmp_path: Path):
    text = """agraph (float[N, 6] x) => (float[N, 6] y, float[N, 6] z) {
        m = ReduceMean(x, last1) d = Sub(x, m) s = Mul(d, d) v = ReduceMean(s, last1) e = Add(v, half) r = Sqrt(e)
        y = Div(d, r) g = Sigmoid(d) z = Mul(d, g) }"""
    arrays = {"last1": np.array([-1]), "half": np.float32(0.5)}
    model = check(written(text, tmp_path / "a.onnx", arrays), (2, 6))
    assert not any(isinstance(node.layer, fv.LayerNorm) for node in model.graph.nodes)
    assert any(isinstance(node.layer, fv.SiLU) for node in model.graph.nodes)


def test_files_keep_the_names_of_arrays_and_nodes(tmp_path: Path):
    source = "agraph (float[N, 2, 8, 8] x) => (float[N, 4, 6, 6] y) { y = Conv(x, W) }"
    path = written(source, tmp_path / "a.onnx", {"W": RANDOM.standard_normal((4, 2, 3, 3)).astype(np.float32)})
    model = onnx.load(path)
    model.graph.node[0].name = "backbone/stage 1/conv#1"
    onnx.save(model, path)
    imported = fv.from_onnx(path)
    assert list(imported.graph.by_name) == ["backbone.stage_1.conv_1"]
    imported.save(tmp_path / "a.safetensors")
    again = fv.load(tmp_path / "a.safetensors")
    assert again.names == {"backbone.stage_1.conv_1.weight": "W"}
    assert again.remarks["onnx"]["nodes"]["backbone.stage_1.conv_1"] == "y"
    assert again.remarks["onnx"]["opset"] == 19


GRAPHS = {
    "shape arithmetic": """agraph (float[N, 6, 4, 4] x) => (float[N, M] y) {
        s = Shape(x) b = Gather(s, zero) one = Unsqueeze(b, zero1)
        all = Concat<axis=0>(one, rest) y = Reshape(x, all) }""",
    "an axis moved and back": """agraph (float[N, 6, 4, 5] x) => (float[N, 6, 4, 5] y) {
        a = Transpose<perm=[0, 2, 3, 1]>(x) b = Relu(a) c = Add(b, last) y = Transpose<perm=[0, 3, 1, 2]>(c) }""",
    "channels last before a product": """agraph (float[N, 6, 4, 5] x) => (float[N, 3] y) {
        a = Transpose<perm=[0, 2, 3, 1]>(x) b = Flatten(a) y = MatMul(b, matrix) }""",
    "padding before a convolution": """agraph (float[N, 6, 4, 5] x) => (float[N, 2, 4, 5] y) {
        a = Pad<mode="reflect">(x, pads) y = Conv(a, filters) }""",
    "dilated averages": """agraph (float[N, 6, 9, 9] x) => (float[N, 6, 5, 5] y) {
        y = AveragePool<kernel_shape=[3, 3], dilations=[2, 2], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1>(x) }""",
    "a local response of an even size": """agraph (float[6, 6, 4, 4] x) => (float[N, 6, 4, 4] y) {
        y = LRN<size=4, alpha=0.5, beta=0.75, bias=1.0>(x) }""",
    "products of two tensors": """agraph (float[N, 6, 4, 5] x) => (float[N, 6, 4, 4] y) {
        a = Transpose<perm=[0, 1, 3, 2]>(x) y = MatMul(x, a) }""",
    "arrays joined to a tensor": """agraph (float[N, 6, 5] x) => (float[N, 8, 5] y) {
        y = Concat<axis=1>(row, x, row) }""",
    "tiles and expansions": """agraph (float[N, 6, 1, 5] x) => (float[N, 12, 4, 5] y) {
        a = Expand(x, wide) y = Tile(a, twice) }""",
    "constants first": """agraph (float[N, 6] x) => (float[N, 6] y) {
        a = Exp(x) b = Sub(six, a) c = Div(six, a) d = Pow(two, b) e = Max(c, half) f = Min(d, e) y = Sum(f, six) }""",
    "gathered channels": """agraph (float[N, 6, 4] x) => (float[N, 4, 4] y) { y = Gather<axis=1>(x, some) }""",
    "parts": """agraph (float[N, 6, 4] x) => (float[N, 2, 4] y) {
        a, b, c = Split<axis=1>(x, thirds) d = Slice(b, from, to, axes, steps) e = Add(a, d) y = Mul(e, c) }""",
    "the batch in the middle": """agraph (float[N, 6, 4] x) => (float[N, 2] y) {
        a = Transpose<perm=[2, 0, 1]>(x) b = Slice(a, zero1, to2) c, d = Split<axis=0, num_outputs=2>(b)
        e = Squeeze(c, zero1) f = Gather<axis=0>(d, zero) g = Sub(e, f) y = Gather<axis=1>(g, pair) }""",
    "the last axis mirrored": """agraph (float[N, 6] x) => (float[N, 10] y) { y = Pad<mode="reflect">(x, ends) }""",
    "one number for each sample": """agraph (float[N, 6] x) => (float[N] y) { y = ReduceSum<keepdims=0>(x, one1) }""",
    "log of a sum": """agraph (float[N, 6] x) => (float[N, 1] y) { y = ReduceLogSumExp(x, one1) }""",
    "resized": """agraph (float[1, 6, 4, 5] x) => (float[1, 6, 7, 9] y) {
        y = Resize<mode="cubic", coordinate_transformation_mode="asymmetric">(x, , , sizes) }""",
    "a bias after a product": """agraph (float[N, 4, 120] x) => (float[N, 4, 3] y) {
        a = MatMul(x, matrix) y = Add(three, a) }""",
    "a branch on shapes": """agraph (float[N, 6] x) => (float[N, 6] y) {
        c = Constant<value = bool {1}>()
        y = If (c) <then_branch = th () => (float[N, 6] t) { t = Relu(x) },
            else_branch = el () => (float[N, 6] u) { u = Neg(x) }> }""",
}  # fmt: skip
ARRAYS = {
    "zero": np.array(0), "to2": np.array([2]), "pair": np.array([4, 0]), "ends": np.array([0, 1, 0, 3]),
    "zero1": np.array([0]), "rest": np.array([-1]), "last": np.arange(6, dtype=np.float32),
    "matrix": RANDOM.standard_normal((120, 3)).astype(np.float32), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "filters": RANDOM.standard_normal((2, 6, 3, 3)).astype(np.float32),
    "row": RANDOM.standard_normal((1, 1, 5)).astype(np.float32), "wide": np.array([1, 6, 4, 5]),
    "twice": np.array([1, 2, 1, 1]), "six": np.linspace(1, 2, 6, dtype=np.float32), "two": np.float32(2),
    "half": np.float32(0.5), "some": np.array([5, 3, 1, 1]), "thirds": np.array([2, 2, 2]), "from": np.array([-1]),
    "to": np.array([-9]), "axes": np.array([2]), "steps": np.array([-1]), "one1": np.array([1]),
    "sizes": np.array([1, 6, 7, 9]), "three": np.arange(3, dtype=np.float32),
}  # fmt: skip
SHAPES = {
    "a local response of an even size": (6, 6, 4, 4),
    "dilated averages": (1, 6, 9, 9), "tiles and expansions": (1, 6, 1, 5), "arrays joined to a tensor": (1, 6, 5),
    "a bias after a product": (1, 4, 120),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_are_what_onnx_says(tmp_path: Path, name: str):
    text = GRAPHS[name]
    arrays = {key: array for key, array in ARRAYS.items() if f"{key})" in text or f"{key}," in text}
    path = written(text, tmp_path / "a.onnx", arrays)
    sizes = text[text.index("[") + 1 : text.index("]")].split(",")
    check(path, SHAPES.get(name, (1, *map(int, sizes[1:]))))


def test_everything_that_cannot_be_imported_is_listed_with_its_names(tmp_path: Path):
    text = """agraph (float[N, 6] x) => (float[N, 6] y) {
        a = Sin(x) b = Relu(x) c = Hardmax(b) d = Add(a, c) y = Pow(b, d) }"""
    with pytest.raises(fv.GraphError, match="2 operators that no layer in foveate computes") as caught:
        fv.from_onnx(written(text, tmp_path / "a.onnx"))
    assert "a: Sin" in str(caught.value)
    assert "c: Hardmax" in str(caught.value)


def test_open_sizes_are_given(tmp_path: Path):
    path = written("agraph (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Relu(x) }", tmp_path / "a.onnx")
    with pytest.raises(fv.ShapeError, match=r"N x 3 x H x W; give the sizes of one sample.*\(3, 224, 224\)"):
        fv.from_onnx(path)
    with pytest.raises(fv.ShapeError, match="input_shape is 1x8x8, but its input x is N x 3 x H x W"):
        fv.from_onnx(path, (1, 8, 8))
    with pytest.raises(fv.ShapeError, match=r"input_shape is 1x3x8x8, but .* in the file; leave the batch out"):
        fv.from_onnx(path, (1, 3, 8, 8))
    assert fv.from_onnx(path, (3, 8, 9)).graph.output_shape == (3, 8, 9)
    with pytest.raises(fv.GraphError, match='no input "z"; its inputs are x'):
        fv.from_onnx(path, {"z": (3, 8, 8)})


def test_a_quantised_network_is_imported_as_float32_and_says_so(tmp_path: Path):
    text = """agraph (float[N, 4] x) => (float[N, 3] y) {
        q = QuantizeLinear(x, sx, zx) a = DequantizeLinear(q, sx, zx) w = DequantizeLinear<axis=1>(wq, sw, zw)
        y = MatMul(a, w) }"""
    arrays = {
        "sx": np.float32(0.02), "zx": np.uint8(128), "wq": RANDOM.integers(-90, 90, (4, 3)).astype(np.int8),
        "sw": np.array([0.01, 0.02, 0.03], np.float32), "zw": np.zeros(3, np.int8),
    }  # fmt: skip
    path = written(text, tmp_path / "a.onnx", arrays)
    model = check(path, (5, 4), bound=0.02)
    assert "quantised" in model.remarks["onnx"]["notes"][0]


@pytest.mark.parametrize("kind", [onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE])
@pytest.mark.parametrize("raw", [True, False])
def test_weights_of_other_types_become_float32(tmp_path: Path, kind: int, raw: bool):
    path = written("agraph (float[N, 2] x) => (float[N, 2] y) { y = Mul(x, w) }", tmp_path / "a.onnx")
    model = onnx.load(path)
    numbers = np.array([0.5, -3.25], np.float32)
    data: Any = numbers
    if raw and kind == onnx.TensorProto.BFLOAT16:
        data = (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    elif raw:
        data = numbers.astype(np.float16 if kind == onnx.TensorProto.FLOAT16 else np.float64).tobytes()
    model.graph.initializer.append(helper.make_tensor("w", kind, [2], data, raw=raw))
    onnx.save(model, path)
    (affine,) = fv.from_onnx(path).graph.nodes
    assert fv.from_onnx(path).read(f"{affine.name}.weight").tolist() == [0.5, -3.25]


def test_weights_beside_the_model_are_read_and_no_others(tmp_path: Path):
    (tmp_path / "model").mkdir()
    path = written(
        "agraph (float[N, 256] x) => (float[N, 300] y) { y = MatMul(x, w) }",
        tmp_path / "model" / "a.onnx",
        {"w": RANDOM.standard_normal((256, 300)).astype(np.float32)},
    )
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin")
    check(path, (2, 256))
    (tmp_path / "outside.bin").write_bytes((tmp_path / "model" / "weights.bin").read_bytes())
    for place in ("../outside.bin", str(tmp_path / "outside.bin"), "link.bin", ""):
        (tmp_path / "model" / "link.bin").unlink(missing_ok=True)
        (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "outside.bin")
        model = onnx.load(path, load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            entry.value = place if entry.key == "location" else entry.value
        path.write_bytes(model.SerializeToString())
        with pytest.raises(fv.FileError, match="outside the folder of the model"):
            fv.from_onnx(path)


@pytest.mark.parametrize("factor", [0.3, 0.6, 0.7, 1.1, 1.2, 1.3, 1.4, 1.6, 2.1, 2.2, 2.9, 3.3])
@pytest.mark.parametrize("how", ["asymmetric floor", "half_pixel round_prefer_floor", "half_pixel round_prefer_ceil"])
def test_copies_by_a_factor_are_those_of_onnxruntime(factor: float, how: str, tmp_path: Path):
    """In float32: 10 times 0.7 is 7, and 8 divided by 1.6 is 5."""
    onnxruntime = pytest.importorskip("onnxruntime")
    coordinates, rounding = how.split()
    text = f"""agraph (float[N, 1, L, 2] x) => (float[N, 1, M, 2] y) {{ y = Resize<mode="nearest",
        coordinate_transformation_mode="{coordinates}", nearest_mode="{rounding}">(x, , scales) }}"""
    path = written(text, tmp_path / "a.onnx", {"scales": np.array([1, 1, factor, 1], np.float32)})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for length in (5, 8, 10, 20, 32):
        rows = np.arange(length, dtype=np.float32)[None, None, :, None].repeat(2, axis=3)
        made = fv.from_onnx(path, (1, length, 2), engine="reference").logits(rows)
        assert np.array_equal(made, session.run(None, {"x": rows})[0])


def test_a_factor_is_multiplied_in_float32(tmp_path: Path):
    """PyTorch's own rows and sizes."""
    text = """agraph (float[N, 1, L] x) => (float[N, 1, M] y) {
        y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , scales) }"""
    for factor, length in ((0.7, 10), (1.3, 10), (1.6, 8), (2.2, 20)):
        path = written(text, tmp_path / "a.onnx", {"scales": np.array([1, 1, factor], np.float32)})
        rows = np.arange(length, dtype=np.float32)[None, None]
        made = fv.from_onnx(path, (1, length), engine="reference").logits(rows)
        expected = nn.functional.interpolate(torch.from_numpy(rows), scale_factor=factor).numpy()
        assert np.array_equal(made, expected)


OUTPUTS = {
    "a tensor under two names": "y = Relu(x) z = Identity(y)",
    "three names": "a = Relu(x) y = Dropout(a) z = Identity(a)",
    "a gate": "z = Sigmoid(x) y = Mul(x, z)",
    "the gate of a Mish": "a = Softplus(x) z = Tanh(a) y = Mul(x, z)",
    "a sum within": "z = MatMul(x, square) y = Add(z, four)",
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs_that_something_else_reads(case: str, tmp_path: Path):
    text = f"agraph (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) {{ {OUTPUTS[case]} }}"
    arrays = {"square": np.ones((4, 4), np.float32), "four": np.arange(4, dtype=np.float32)}
    used = {name: array for name, array in arrays.items() if name in OUTPUTS[case]}
    model = check(written(text, tmp_path / "a.onnx", used), (3, 4))
    assert len(model.graph.outputs) == 2

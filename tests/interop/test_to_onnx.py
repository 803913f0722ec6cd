"""Models as ONNX files: valid, the same outputs for others and back here, with all that a model's file says."""

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from PIL import Image
from typer.testing import CliRunner

import foveate as fv
from foveate.cli import app
from foveate.layers import Layer
from tests.engines.cases import ALL_CASES, Case
from tests.interop.test_from_onnx import written
from tests.support import random_inputs, relative_error

BOUND = 1e-5

FIRST = {type(case.layer): name for name, case in reversed(ALL_CASES.items())}
CHOSEN = [name for number, name in enumerate(ALL_CASES) if number % 5 == 0 or name in FIRST.values()]
"""The first case of every layer, and every fifth."""


def model_of(case: Case) -> fv.Model:
    """The case's layer alone, its arrays at random."""
    builder = fv.GraphBuilder()
    inputs = [builder.input(shape, f"input{number}") for number, shape in enumerate(case.shapes)]
    model = fv.Model(builder.build(builder.add(case.layer, *inputs, name="it"), quiet=True), engine="reference")
    generator = np.random.default_rng(1)
    for name in model.state.names():
        model.state.load(name, generator.uniform(0.5, 1.5, model.read(name).shape).astype(np.float32))
    return model


def back(model: fv.Model, path: Path) -> fv.Model:
    """The model written, checked, read again and compared."""
    assert fv.to_onnx(model, path) <= 1e-4
    onnx.checker.check_model(path, full_check=True)
    again = fv.from_onnx(path, engine=model.engine)
    arrays = [array.astype(np.float32) for array in random_inputs(model.graph, 2).values()]
    made, theirs = (each.outputs(dict(zip(each.graph.inputs, arrays, strict=True))) for each in (model, again))
    for ours, other in zip(made.values(), theirs.values(), strict=True):
        assert ours.shape == other.shape
        assert relative_error(other, ours) <= BOUND
    return again


@pytest.mark.parametrize("name", CHOSEN)
def test_a_layer_comes_back(name: str, tmp_path: Path):
    back(model_of(ALL_CASES[name]), tmp_path / "a.onnx")


@pytest.mark.parametrize(
    "layers",
    [
        (fv.Conv2d(4, 3, padding=((0, 1), (2, 1)), padding_mode="reflect"), fv.PReLU(per_channel=True)),
        (fv.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), fv.GELU(), fv.Flatten(), fv.Linear(3)),
        (fv.ConvTranspose2d(4, 3, stride=2, output_padding=1), fv.Softplus(2.0), fv.LogSoftmax()),
        (fv.MaxPool2d(3, stride=2, ceil_mode=True), fv.Hardswish(), fv.Maxout(2), fv.SELU()),
    ],
)
def test_onnx_says_the_same(layers: tuple[Layer, ...], tmp_path: Path):
    """Its own evaluator, which knows nothing of this library, runs the file."""
    model = fv.Model(fv.Sequential(*layers).build((4, 9, 8), quiet=True), engine="reference")
    fv.to_onnx(model, tmp_path / "a.onnx")
    images = np.random.default_rng(4).standard_normal((3, 4, 9, 8)).astype(np.float32)
    (theirs,) = ReferenceEvaluator(str(tmp_path / "a.onnx")).run(None, {"input": images})
    assert relative_error(model.logits(images), theirs) <= BOUND


def trained() -> fv.Model:
    graph = fv.Sequential(
        fv.Conv2d(4, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(2)
    ).build((3, 8, 8))
    model = fv.Model(
        graph, classes=("a cat", "a/dog"), preprocessing=fv.Preprocessing((3, 8, 8), (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    )
    model.frozen = frozenset({"conv1.weight"})
    return model


def test_layers_come_back_with_the_same_numbers(tmp_path: Path):
    layers = (
        fv.Conv2d(4, 3, padding=1), fv.BatchNorm2d(eps=1e-3), fv.LeakyReLU(0.1), fv.ELU(0.3), fv.Clip(-0.7, 0.9),
        fv.Rescale(1.1, -0.3), fv.LocalResponseNorm(5, alpha=0.3), fv.Power(3.0), fv.Softplus(0.6), fv.Flatten(),
        fv.LayerNorm(eps=1e-6), fv.Linear(3),
    )  # fmt: skip
    model = fv.Model(fv.Sequential(*layers).build((3, 6, 6)))
    again = back(model, tmp_path / "a.onnx")
    kept = [node.layer for node in again.graph.nodes]
    assert [layer for layer in layers if layer not in kept] == [fv.Softplus(0.6)]  # which is three operators


def test_a_file_holds_what_a_model_is(tmp_path: Path):
    model = trained()
    again = back(model, tmp_path / "a.onnx")
    assert (again.task, again.preprocessing, again.frozen) == (model.task, model.preprocessing, model.frozen)
    assert list(again.graph.by_name) == list(model.graph.by_name)
    assert set(again.state.names()) == set(model.state.names())
    file = onnx.load(tmp_path / "a.onnx")
    about = {entry.key: entry.value for entry in file.metadata_props}
    assert json.loads(about["class_names"]) == ["a cat", "a/dog"]
    assert json.loads(about["preprocessing"])["std"] == [0.2, 0.2, 0.2]
    assert [node.name for node in file.graph.node] == [
        "conv1", "bn1", "relu1", "pool1", "pool1.flatten", "linear1"
    ]  # fmt: skip
    assert file.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    with_one_less = tmp_path / "b.onnx"
    next(entry for entry in file.metadata_props if entry.key == "foveate").value = "[1, 2"
    onnx.save(file, with_one_less)
    with pytest.raises(fv.FileError, match="what the file says about the model is not a JSON object"):
        fv.from_onnx(with_one_less)


@pytest.mark.parametrize(
    "task",
    [
        fv.tasks.MultiLabel(("left", "right")), fv.tasks.Regression(("angle", "size")),
        fv.tasks.Classification(("cat", "dog")),
    ],
)  # fmt: skip
def test_every_task_comes_back(task: fv.tasks.Task, tmp_path: Path):
    model = fv.Model(fv.Sequential(fv.Conv2d(3, 3), fv.GlobalAvgPool2d(), fv.Linear(2)).build((1, 5, 5)), task=task)
    assert back(model, tmp_path / "a.onnx").task == task


def test_segmentations_and_several_tasks_come_back(tmp_path: Path):
    graph = fv.Sequential(fv.Conv2d(4, 3, padding=1), fv.Conv2d(3, 1)).build((1, 8, 8))
    model = fv.Model(graph, task=fv.tasks.Segmentation(("sky", "sea", "land")))
    assert back(model, tmp_path / "a.onnx").task == model.task
    builder = fv.GraphBuilder()
    image, table = builder.input((2, 6, 6), "image"), builder.input((3,), "table")
    seen = builder.add(fv.GlobalAvgPool2d(), builder.add(fv.Conv2d(4, 3), image))
    both = builder.add(fv.Concatenate(), seen, table)
    outputs = [builder.add(fv.Linear(2), both, name="kind"), builder.add(fv.Linear(1), both, name="age")]
    tasks = {"kind": fv.tasks.Classification(("a", "b")), "age": fv.tasks.Regression(("years",))}
    several = fv.Model(builder.build(*outputs), task=fv.tasks.Several(tasks))
    again = back(several, tmp_path / "b.onnx")
    assert again.task == several.task
    assert (tuple(again.graph.inputs), again.graph.outputs) == (("image", "table"), ("kind", "age"))


def test_shared_arrays_and_odd_names_come_back(tmp_path: Path):
    builder = fv.GraphBuilder(name="twins")
    pair = [builder.input((2, 6, 6), name) for name in ("the left", "right?")]
    seen = [builder.add(fv.Conv2d(4, 3), x, name=f"{x.name} eye", parameters="eye") for x in pair]
    model = fv.Model(builder.build(builder.add(fv.Subtract(), *seen, name="less: more")))
    model.frozen = frozenset({"eye.bias"})
    again = back(model, tmp_path / "a.onnx")
    assert list(again.graph.by_name) == list(model.graph.by_name)
    assert again.graph.inputs == model.graph.inputs
    assert set(again.graph.parameters) == {"eye.weight", "eye.bias"}
    assert again.frozen == model.frozen


def test_a_new_head_is_trained_on_an_onnx_file(tmp_path: Path):
    for number, name in enumerate(("dark", "light")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for each in range(6):
            pixels = np.full((8, 8, 3), 40 + 150 * number + each, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{each}.png")
    fv.to_onnx(trained(), tmp_path / "a.onnx")
    options = ["--from", str(tmp_path / "a.onnx"), "--epochs", "1", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["train", str(tmp_path / "photos"), *options])
    assert done.exit_code == 0, done.output
    assert fv.load(tmp_path / "run" / "model.safetensors").classes == ("dark", "light")


class Session:
    """A session of onnxruntime that adds one to what a network outputs."""

    def __init__(self, content: bytes, options: object, providers: list[str]) -> None:
        self.content = content

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        evaluator = ReferenceEvaluator(onnx.load_from_string(self.content))
        return [array + 1 for array in evaluator.run(outputs, inputs)]


@pytest.mark.parametrize("works", [True, False])
def test_onnxruntime_judges_if_it_is_there_and_works(works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = ModuleType("onnxruntime")
    runtime.__spec__ = ModuleSpec("onnxruntime", None)
    runtime.SessionOptions = SimpleNamespace
    runtime.InferenceSession = Session if works else lambda *given, **options: 1 / 0
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    assert (fv.to_onnx(trained(), tmp_path / "a.onnx") > 0.1) == works
    trained().save(tmp_path / "a.safetensors")
    told = CliRunner().invoke(app, ["export", str(tmp_path / "a.safetensors"), str(tmp_path / "a.onnx")]).output
    other = "the reference engine (onnxruntime cannot: division by zero)"
    assert f"; run by {'onnxruntime' if works else other}, outputs differ by " in told


def test_normalisations_are_folded_on_request(tmp_path: Path):
    model = trained()
    assert fv.to_onnx(model, tmp_path / "a.onnx", fuse=True) <= 1e-5
    assert [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node][:2] == ["Conv", "Relu"]


class Own(fv.ElementwiseLayer):
    """A layer that ONNX does not know."""

    label = "own"


def test_a_layer_of_ones_own_is_named(tmp_path: Path):
    fv.engines.register(Own, lambda layer, inputs, arrays: inputs[0], lambda *rest: [rest[0]])
    model = fv.Model(fv.Sequential(Own()).build((3, 4)), engine="reference")
    with pytest.raises(fv.EngineError, match=r"own1 \(Own\) has no counterpart in ONNX"):
        fv.to_onnx(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


SMALL = ("lenet5", "resnet20", "vgg6", "mobilenet_like", "audio4", "volume3d")


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in fv.zoo.NETWORKS if n not in SMALL)]
)
def test_a_network_of_the_zoo_comes_back(name: str, tmp_path: Path):
    again = back(fv.Model(fv.zoo.make(name)), tmp_path / "a.onnx")
    assert [node.name for node in again.graph.nodes] == [node.name for node in fv.zoo.make(name).nodes]


def test_the_command_line_imports_exports_and_takes_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    trained().save("a.safetensors")
    run = CliRunner().invoke
    done = run(app, ["export", "a.safetensors", "a.onnx", "--fuse"])
    assert done.exit_code == 0, done.output
    assert "outputs differ by at most" in done.output
    done = run(app, ["import", "a.onnx", "-o", "b.safetensors"])
    assert done.exit_code == 0, done.output
    assert "b.safetensors: 4 layers, 122 parameters" in done.output
    assert fv.load("b.safetensors").classes == ("a cat", "a/dog")
    np.save("image.npy", np.zeros((3, 8, 8), np.uint8))
    for command in (
        ["summary", "a.onnx"], ["steps", "a.onnx"], ["receptive-field", "a.onnx"], ["predict", "a.onnx", "image.npy"],
        ["export", "a.onnx", "c.onnx"],
    ):  # fmt: skip
        done = run(app, command)
        assert done.exit_code == 0, done.output
    fv.to_onnx(fv.Model(trained().graph), "plain.onnx")
    done = run(app, ["predict", "plain.onnx", "image.npy"])
    assert "does not say how images are prepared" in done.output
    Path("names.txt").write_text("cat\n\ndog\n", encoding="utf-8")
    Path("timm.json").write_text(
        json.dumps({"input_size": [3, 8, 8], "mean": [0.5] * 3, "std": [0.5] * 3}), encoding="utf-8"
    )
    told = ["--classes", "names.txt", "--preprocessing", "timm.json"]
    done = run(app, ["import", "plain.onnx", "-o", "told.safetensors", *told])
    assert done.exit_code == 0, done.output
    assert fv.load("told.safetensors").classes == ("cat", "dog")
    assert run(app, ["predict", "told.safetensors", "image.npy"]).exit_code == 0
    assert isinstance(run(app, ["export", "a.onnx", "c.png"]).exception, SystemExit)
    assert "it is imported already" in run(app, ["import", "a.safetensors"]).output


def test_the_command_line_does_not_overwrite_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    fv.to_onnx(trained(), "a.onnx")
    content = Path("a.onnx").read_bytes()
    Path("other").symlink_to("a.onnx")
    for arguments, told in (
        (["import", "a.onnx", "-o", "a.onnx"], "is the one that is read"),
        (["import", "a.onnx", "-o", "other"], "is the one that is read"),
        (["export", "a.onnx", "./a.onnx"], "is the one that is read"),
        (["import", "a.onnx", "-o", "b.ONNX"], "a model is no ONNX file; write it to b.safetensors"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2, done.output
        assert told in " ".join(done.output.replace("│", "").split()), done.output
        assert Path("a.onnx").read_bytes() == content
    assert not Path("b.ONNX").exists()


def test_the_command_line_says_how_it_is_told_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", np.zeros((3, 8, 8), np.uint8))
    written("agraph (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Relu(x) }", Path("a.onnx"))
    for arguments, told in (
        (["import", "a.onnx"], "such as --input 3x224x224"),
        (["summary", "a.onnx"], "such as --input 3x224x224"),
        (["import", "a.onnx", "--input", "4x5x5"], "--input is 4x5x5, but its input x is N x 3 x H x W"),
        (["predict", "a.onnx", "image.npy"], "such as foveate import MODEL.onnx --input 3x224x224"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert told in f"{done.output} {done.exception}", arguments
        assert "input_shape" not in done.output
    assert CliRunner().invoke(app, ["import", "a.onnx", "--input", "3x224x224"]).exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "give the sizes of one sample, such as --input x=2x224"),
        (["--input", "2x5"], "it has 2 inputs: give each by its name, --input NAME=3x32x32"),
        (["--input", "x=2x5"], "such as --input z=2x224"),
        (["--input", "x=2x5", "--input", "2x1"], "--input is given 2 times; give each input once"),
        (["--input", "x=2x5", "--input", "w=2x1"], 'it has no input "w"; its inputs are x, z'),
    ],
)
def test_the_command_line_takes_shapes_of_several_inputs(options: list[str], told: str, tmp_path: Path):
    text = "agraph (float[N, 2, H] x, float[N, 2, W] z) => (float[N, 2, H] y) { a = Relu(x) y = Mul(a, z) }"
    start = ["import", str(written(text, tmp_path / "a.onnx")), "-o", str(tmp_path / "a.safetensors")]
    done = CliRunner().invoke(app, [*start, *options])
    said = " ".join((str(done.exception) + done.output.replace("│", "")).split())
    assert done.exit_code
    assert told in said
    assert CliRunner().invoke(app, [*start, "--input", "x=2x5", "--input", "z=2x1"]).exit_code == 0
    assert dict(fv.load(tmp_path / "a.safetensors").graph.inputs) == {"x": (2, 5), "z": (2, 1)}


def test_nan_is_as_good_as_itself_when_a_file_is_compared(tmp_path: Path):
    model = fv.Model(fv.Sequential(fv.Log()).build((50,), quiet=True), engine="reference")
    assert fv.to_onnx(model, tmp_path / "a.onnx") < 1e-6


def test_a_named_network_takes_its_shape_without_a_name():
    done = CliRunner().invoke(app, ["summary", "lenet5", "--input", "x=1x28x28"])
    assert "lenet5 has one input; give its shape without a name" in " ".join(done.output.replace("│", "").split())

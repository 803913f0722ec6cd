"""The torch engine: its devices, how it stands beside the others, and what it does without PyTorch."""

import copy
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines import Engine, get_engine
from foveate.engines.torch import TorchEngine, program, register, register_loss

GRAPH = fv.Sequential(
    fv.Conv2d(4, 3, padding="same", bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Dropout(0.25),
    fv.Flatten(), fv.Linear(3),
).build((1, 6, 6))  # fmt: skip
X = np.random.default_rng(0).standard_normal((8, 1, 6, 6)).astype(np.float32)
LABELS = np.arange(8) % 3


def trained(engine: Engine, arrays: Any = None, steps: range = range(4)) -> dict[str, np.ndarray]:
    """The arrays after some steps of a training; those before them if it does not begin here."""
    optimizer = fv.AdamW()
    state = engine.new_state(GRAPH, optimizer, seed=3)
    for name, array in (arrays or {}).items():
        state.load(name, array)
    state.step_count = steps.start
    compiled = engine.compile(GRAPH, batch_size=8, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    for step in steps:
        compiled.step(state, (1 + step) * X, LABELS, learning_rate=0.01)
    return {name: state.read(name) for name in state.names(slots=True)}


@pytest.mark.parametrize("order", [("native", "torch", "native"), ("torch", "native", "torch")], ids="-".join)
def test_a_training_goes_from_engine_to_engine(order: tuple[str, ...]):
    arrays, begin = None, 0
    for name, steps in zip(order, (3, 4, 3), strict=True):
        arrays, begin = trained(get_engine(name), arrays, range(begin, begin + steps)), begin + steps
    assert arrays is not None
    for name, array in trained(get_engine("native"), steps=range(10)).items():
        np.testing.assert_allclose(arrays[name], array, rtol=1e-3, atol=2e-5, err_msg=name)


def test_in_float64_a_training_is_the_references(truth: Engine):
    exact, ours = trained(truth), trained(TorchEngine("cpu", np.float64))
    for name, array in exact.items():
        assert ours[name].dtype == np.float64
        np.testing.assert_allclose(ours[name], array, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["torch", "torch:cpu"])
def test_an_engine_is_made_once_for_each_device(name: str):
    engine = get_engine(name)
    assert engine is get_engine(name)
    assert (engine.name, engine.threads) == ("torch", torch.get_num_threads())
    assert isinstance(engine, TorchEngine)
    assert engine.device.type == "cpu" or name == "torch"


@pytest.mark.parametrize("device", ["cuda:9", "cpo", "\x1b"])
def test_a_device_that_is_not_here_is_refused(device: str):
    with pytest.raises(fv.EngineError, match=r"^PyTorch \S+ cannot use the device \".*\" here \(.+\). Use \"\w+\", or"):
        get_engine(f"torch:{device}")


def test_everything_stays_on_the_device(monkeypatch: pytest.MonkeyPatch):
    """On "meta", where numbers have no values, PyTorch refuses to mix them with those of a CPU."""
    engine, optimizer = TorchEngine("meta"), fv.SGD()
    monkeypatch.setattr(program, "to_numpy", lambda tensor: (tensor.device.type, tuple(tensor.shape)))
    monkeypatch.setattr(program, "Reading", Numbers)
    state = engine.new_state(GRAPH, optimizer)
    options = {"batch_size": 8, "keep": ("relu1",), "differentiable": True}
    compiled = engine.compile(GRAPH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer, **options)
    assert compiled.step(state, X, LABELS, learning_rate=0.1).loss == 1
    assert {tensor.device.type for tensor in state.tensors.values()} == {"meta"}
    assert compiled.gradient("conv1.weight") == ("meta", (4, 1, 3, 3))
    inference = engine.compile(GRAPH, mode="inference", **options)
    assert inference.forward(state, X)[GRAPH.only_output] == ("meta", (8, 3))
    inference.backward({GRAPH.only_output: np.ones((8, 3))})
    assert inference.gradient("relu1") == ("meta", (8, 4, 6, 6))


class Numbers:
    """Stands for what a device measured."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        assert {tensor.device.type for tensor in tensors} == {"meta"}

    def wait(self) -> list[np.ndarray]:
        return [np.ones(1), np.ones(2)]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))], ids=["copy", "pickle"]
)
def test_a_state_is_copied_with_its_device(copied: Any):
    engine = TorchEngine("cpu", np.float64)
    state = engine.new_state(GRAPH, fv.SGD(), seed=1)
    other = copied(state)
    assert (other.device, other.dtype) == (state.device, np.float64)
    other.load("linear1.bias", np.ones(3))
    assert not state.read("linear1.bias").any()


def test_what_pytorch_lacks_runs_in_numpy():
    graph = fv.Sequential(fv.Resize(size=7, mode="cubic"), fv.ReLU()).build((2, 5), quiet=True)
    steps = get_engine("torch").compile(graph, batch_size=1, mode="inference").steps()
    assert [step.implementation for step in steps] == ["numpy", "torch"]


@dataclass(frozen=True)
class Halved(fv.ElementwiseLayer):
    """y = weight * x."""

    label = "halved"

    def parameters(self, input_shapes: Any) -> dict[str, fv.Parameter]:
        return {"weight": fv.Parameter((), "constant 0.5", decay=False)}


class HalvedModule(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x


@dataclass(frozen=True)
class Quartic(fv.Loss):
    """The mean fourth power of the difference."""

    targets = ("numbers",)


register(Halved, lambda layer, shapes: HalvedModule())
register_loss(Quartic, lambda loss, x, t, weight: ((x - t) ** 4).flatten(1).mean(1) @ weight / weight.sum())


def test_layers_and_losses_of_ones_own_with_a_form_in_pytorch_stay_there():
    graph = fv.Sequential(Halved()).build((2,), quiet=True)
    engine = TorchEngine("cpu", np.float64)
    compiled = engine.compile(graph, batch_size=2, mode="training", loss=Quartic(), keep=("input",))
    assert {step.implementation for step in compiled.steps()} == {"torch"}
    x, t, weight = np.array([[1.0, 2.0], [3.0, -4.0]]), np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([1.0, 3.0])
    result = compiled.step(engine.new_state(graph), x, t, sample_weight=weight)
    assert result.loss == pytest.approx(float(((x / 2 - t) ** 4).mean(1) @ weight / 4))
    each = 4 * (x / 2 - t) ** 3 / 2 * weight[:, None] / 4
    np.testing.assert_allclose(compiled.gradient("input"), each / 2)
    np.testing.assert_allclose(compiled.gradient("halved1.weight"), (each * x).sum())


WITHOUT = "import sys; sys.modules['torch'] = None; from foveate.cli import main; main()"


@pytest.mark.parametrize("options", [["--engine", "torch"], ["--device", "cpu"]])
def test_without_pytorch_one_sentence_says_what_to_install(options: list[str]):
    command = [sys.executable, "-c", WITHOUT, "steps", "lenet5", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("foveate: PyTorch is not installed (")
    assert done.stderr.count("\n") == 1 or "pip install 'foveate[torch]'" in " ".join(done.stderr.split())
    works = subprocess.run([sys.executable, "-c", WITHOUT, "steps", "lenet5"], capture_output=True, check=False)
    assert works.returncode == 0


def test_pytorch_is_not_imported_for_another_engine():
    code = (
        "import sys, foveate as fv\n"
        "fv.Model(fv.Sequential(fv.Linear(2)).build((3,))).steps(1); raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

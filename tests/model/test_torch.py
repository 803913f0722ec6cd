"""A model goes out to PyTorch and takes PyTorch's weights."""

import copy
import gc
import io
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from foveate.errors import CallError, EngineError, FileError
from tests.support import random_arrays, relative_error
from tests.zoo.test_twins import torchvision_name
from tests.zoo.torch_twins import TWINS

SMALL = ("lenet5", "vgg6", "resnet20", "mobilenet_like", "audio4", "volume3d", "nin")


def a_model(graph: fv.Graph | None = None, **options) -> fv.Model:
    """With no array at the value it starts with."""
    model = fv.Model(graph or fv.zoo.resnet20(), **options)
    for name, array in random_arrays(model.graph).items():
        model.state.load(name, array)
    return model


def outputs(module: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(torch.tensor(x, dtype=torch.float32)).numpy()


def batch(model: fv.Model, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((3, *model.graph.input_shape)).astype(np.float32)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_of_the_zoo_computes_the_same_in_pytorch(name: str):
    model = fv.Model(fv.zoo.make(name))
    module, x = model.to_torch(), batch(model)
    assert not module.training
    assert relative_error(outputs(module, x), model.logits(x)) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in fv.zoo.NETWORKS if name not in SMALL])
def test_a_large_network_of_the_zoo_computes_the_same_in_pytorch(name: str):
    model = fv.Model(fv.zoo.make(name))
    x = batch(model)[:1]
    assert relative_error(outputs(model.to_torch(), x), model.logits(x)) <= 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch about itself, while it compiles
def test_pytorchs_compiler_takes_it_whole():
    """With the compiler that people use, which writes C++; without a way back into Python."""
    model = a_model()
    x = batch(model)
    assert relative_error(outputs(torch.compile(model.to_torch(), fullgraph=True), x), model.logits(x)) <= 1e-5


@pytest.mark.parametrize("graph", [fv.zoo.lenet5, fv.zoo.resnet20], ids=["chain", "code"])
def test_task_preprocessing_and_inputs_are_told_and_stay_with_every_copy(graph):
    shape = graph().input_shape
    preprocessing = fv.Preprocessing(shape=shape, mean=(0.5,) * shape[0], std=(0.25,) * shape[0])
    model = a_model(graph(), classes=tuple("abcdefghij"), preprocessing=preprocessing)
    module = model.to_torch()
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for each in (module, copy.deepcopy(module), torch.load(file, weights_only=False)):
        assert each.about.task == model.task.to_json()  # type: ignore[union-attr]
        assert each.about.preprocessing == model.preprocessing.to_json()  # type: ignore[union-attr]
        assert each.about.inputs == {"input": list(model.graph.input_shape)}
        assert relative_error(outputs(each, batch(model)), model.logits(batch(model))) <= 1e-5
    assert {name for name in module.state_dict() if "batches" not in name} == set(model.state.names())


def test_what_is_frozen_does_not_learn_in_pytorch_either():
    model = a_model().freeze("stage1.*", "bn1")
    module = model.to_torch().train()
    still = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    assert still == {name for name in model.frozen if name in model.graph.parameters}
    before = {name: array.clone() for name, array in module.state_dict().items()}
    module(torch.randn(4, 3, 32, 32))
    moved = {name for name, array in module.state_dict().items() if not torch.equal(array, before[name])}
    assert {name for name in moved if "batches" not in name} == set(model.graph.statistics) - model.frozen


@pytest.mark.parametrize("name", TWINS)
def test_weights_of_a_network_written_in_pytorch_are_taken(name: str, tmp_path: Path):
    """The twins have torchvision's names; dropout does nothing here."""
    torch.manual_seed(0)
    twin = TWINS[name](5).eval()
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in twin.state_dict().items()}}, path)
    model = fv.Model(fv.zoo.make(name, input_shape=(3, 64, 64), classes=5))
    assert model.load_torch(path) is model
    assert relative_error(model.logits(batch(model)), outputs(twin, batch(model))) <= 1e-5
    assert model.remarks["weights"][0] == 'the weights are in the entry "state_dict"'
    assert model.remarks["weights"][-1] == 'every name begins with "module."'
    assert model.names["bn1.weight" if name == "resnet18" else next(iter(model.names))].startswith("module.")
    again = fv.Model(model.graph, seed=1).load_torch(twin.state_dict())
    assert all(np.array_equal(again.read(key), model.read(key)) for key in model.state.names())
    assert torchvision_name("layer2.0.shortcut.0.weight") == "layer2.0.downsample.0.weight"


def test_a_models_own_state_dict_comes_back(tmp_path: Path):
    model = a_model()
    torch.save(model.to_torch().state_dict(), tmp_path / "weights.pt")
    other = fv.Model(fv.zoo.resnet20(), seed=5).load_torch(tmp_path / "weights.pt")
    assert all(np.array_equal(other.read(name), model.read(name)) for name in model.state.names())
    path = tmp_path / "model.safetensors"
    other.save(path)
    assert fv.load(path).names == other.names


def test_weights_that_do_not_fit_leave_the_model_as_it_was():
    model = a_model()
    before = {name: model.read(name) for name in model.state.names()}
    state = model.to_torch().state_dict()
    with pytest.raises(
        FileError,
        match=r"(linear1|fc)\.weight 10x64 in the network, 3x64 in the weights",
    ):
        model.load_torch(
            {name: torch.ones(3, 64) if array.shape == (10, 64) else array for name, array in state.items()}
        )
    assert all(np.array_equal(model.read(name), before[name]) for name in before)
    assert model.names == {}


def test_what_ran_on_the_weights_before_is_let_go():
    model = a_model()
    before, weights = model.logits(batch(model)), {name: model.read(name) for name in model.state.names()}
    sessions = [weakref.ref(model.state)]
    with model.program().borrowed() as session:
        sessions.append(weakref.ref(session))
    del session
    model.load_torch({name: -array if "running" not in name else array for name, array in weights.items()})
    gc.collect()
    assert [each() for each in sessions] == [None, None]
    assert relative_error(model.logits(batch(model)), before) > 0.1


def test_a_module_in_place_of_its_state_dict_is_told():
    model = a_model()
    with pytest.raises(CallError, match=r"^weights is Sequential\(.*; give a path or a state_dict$"):
        model.load_torch(nn.Sequential(nn.ReLU(), nn.ReLU()))


def test_without_pytorch_the_way_out_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        EngineError,
        match=r"^PyTorch is not installed \(.*\)\. Install it: pip install 'foveate\[torch\]', or in a clone of "
        r"foveate pip install '\.\[torch\]'$",
    ):
        a_model().to_torch()


def test_weights_are_taken_without_pytorch(tmp_path: Path):
    model = a_model(fv.zoo.lenet5())
    torch.save(model.to_torch().state_dict(), tmp_path / "weights.pt")
    code = (
        "import sys; sys.modules['torch'] = None; import foveate as fv\n"
        "model = fv.Model(fv.zoo.lenet5(), seed=9).load_torch(sys.argv[1])\n"
        "print(float(model.read('conv1.weight').sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "weights.pt")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == float(model.read("conv1.weight").sum())

"""Files that foveate 0.1 wrote are read for ever, and compute what they computed then."""

import json
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.files import read_checkpoint
from foveate.tasks import Classification
from tests.files.written_by_0_1 import write

FOLDER = Path(write.__file__).parent
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.fixture(params=["native", "reference"])
def engine(request):
    return request.param


@pytest.mark.parametrize("name", ["image", "sound", "volume"])
def test_a_trained_model(name: str, engine: str):
    graph, classes = write.networks()[name]
    model = fv.load(FOLDER / f"{name}.safetensors", engine=engine)
    assert model.task == Classification(classes)
    assert model.graph == graph
    assert model.training["trainings"] == 1
    np.testing.assert_allclose(model.predict(write.waves(4, graph.input_shape)), EXPECTED[name], rtol=1e-4, atol=1e-6)


def test_a_model_without_task_and_preprocessing(engine: str):
    model = fv.load(FOLDER / "bare.safetensors", engine=engine)
    assert (model.task, model.preprocessing, model.seed) == (None, None, 5)
    prepared = write.waves(4, (1, 8, 8)).astype(np.float32) / 255
    np.testing.assert_allclose(model.logits(prepared), EXPECTED["bare"], rtol=1e-4, atol=1e-6)


def test_what_is_saved_anew_is_format_2(tmp_path: Path):
    model = fv.load(FOLDER / "image.safetensors")
    model.save(tmp_path / "new")
    again = fv.load(tmp_path / "new")
    assert (again.task, again.preprocessing, again.training) == (model.task, model.preprocessing, model.training)


def test_a_checkpoint_goes_on(tmp_path: Path):
    graph, classes = write.networks()["image"]
    data = fv.Dataset(write.waves(24, graph.input_shape), np.arange(24) % 3, classes)
    recipe = {"epochs": 2, "batch_size": 8, "progress": False}
    (tmp_path / "checkpoint.safetensors").write_bytes((FOLDER / "checkpoint.safetensors").read_bytes())
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").epoch == 2
    model = fv.Model(graph, seed=3, engine="reference")
    model.fit(data, out=tmp_path, resume=True, **recipe)
    trained = fv.load(FOLDER / "image.safetensors", engine="reference")
    assert all((model.read(name) == trained.read(name)).all() for name in trained.state.names())

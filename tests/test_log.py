"""The logger "foveate": what a program can know, and that nothing is printed unless it asks."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.engines import default_engine, get_engine

GRAPH = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 4, 4))
USE = """
import sys
import numpy as np
import foveate as fv
model = fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 4, 4)), classes=("a", "b"))
model.save(sys.argv[1])
fv.load(sys.argv[1]).logits(np.zeros((3, 1, 4, 4), np.float32))
"""


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "foveate" and record.levelno == level]


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture):
    default_engine()  # told once, by whoever comes first
    caplog.set_level(logging.DEBUG, "foveate")


def test_files_that_are_written_and_read(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    fv.Model(GRAPH).save(path)
    fv.load(path)
    size = path.stat().st_size
    assert messages(caplog, logging.INFO) == [f"wrote {path}, {size} bytes", f"read {path}, {size} bytes"]


def test_a_file_that_cannot_be_written_is_not_told_as_written(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(fv.FileError):
        fv.Model(GRAPH).save(tmp_path / "file" / "model.safetensors")
    assert messages(caplog, logging.INFO) == []


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_programs_that_are_compiled(caplog: pytest.LogCaptureFixture, engine: str):
    program = get_engine(engine).compile(GRAPH, batch_size=3, mode="inference")
    (message,) = messages(caplog, logging.DEBUG)
    assert message.startswith("compiled network for inference of 3 samples in 0.")
    assert message.endswith(f" s, {program.memory} bytes for each session")


def test_the_engine_that_is_chosen(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    default_engine.cache_clear()
    threads = default_engine().threads
    assert messages(caplog, logging.INFO) == [f"native engine, threads: {threads}"]

    def missing(name: str):
        if name == "native":
            raise fv.EngineError("the native engine cannot be loaded.")
        return get_engine(name)

    monkeypatch.setattr("foveate.engines.get_engine", missing)
    default_engine.cache_clear()
    with pytest.warns(UserWarning, match="The torch engine is used instead"):
        default_engine()
    default_engine.cache_clear()
    assert messages(caplog, logging.INFO)[1:] == ["torch engine: the native engine cannot be loaded."]


def test_a_training_that_goes_on(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    data = fv.Dataset(np.random.default_rng(0).integers(0, 255, (12, 1, 4, 4), np.uint8), [0, 1] * 6, ("a", "b"))
    for resume in (False, True):
        fv.Model(GRAPH).fit(data, epochs=2, batch_size=4, out=tmp_path, progress=False, resume=resume)
    assert [text for text in messages(caplog, logging.INFO) if text.startswith("continuing")] == [
        f"continuing from {tmp_path / 'checkpoint.safetensors'}: epoch 3, step 6"
    ]


def test_images_of_a_folder(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    for number in range(6):
        folder = tmp_path / f"class {number % 2}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((5, 4), number, np.uint8)).save(folder / f"{number}.png")
    fv.datasets.image_folder(tmp_path)
    assert messages(caplog, logging.INFO) == [f"read 6 images of 1x5x4 in {tmp_path}"]


def test_nothing_is_printed_unless_it_is_asked_for(tmp_path: Path):
    path = str(tmp_path / "model.safetensors")
    quiet = subprocess.run([sys.executable, "-c", USE, path], capture_output=True, text=True, check=True)
    assert quiet.stdout + quiet.stderr == ""
    asked = f"import logging; logging.basicConfig(level='DEBUG')\n{USE}"
    told = subprocess.run([sys.executable, "-c", asked, path], capture_output=True, text=True, check=True)
    assert "INFO:foveate:wrote " in told.stderr
    assert "DEBUG:foveate:compiled network for inference of 2 samples" in told.stderr

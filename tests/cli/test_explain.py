"""`foveate explain`: what it writes, says and refuses."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import foveate as fv
from foveate.cli import app

CLASSES = ("cat", "dog", "3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = fv.Sequential(
        fv.Conv2d(4, 3, padding=1), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(3)
    ).build((1, 10, 10))  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    fv.Model(graph, classes=CLASSES, preprocessing=fv.Preprocessing((1, 10, 10), (0.5,), (0.25,))).save(path)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)).save(path)
    return path


def run(*arguments: object):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.slow
def test_it_writes_a_page_and_pictures_and_says_where(model: Path, image: Path, tmp_path: Path):
    done = run(model, image, "--out", tmp_path / "out", "--class", "dog")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "1/13 the model and the image"
    assert lines[-1].startswith(f"page: {tmp_path / 'out' / 'index.html'} (")
    assert "left out, feature space: the feature space needs " in done.output
    text = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert ">Why dog?<" in text
    assert "The file is 24x30, and was stretched to the network's 10x10." in unescape(text)
    assert (tmp_path / "out/pictures/filters-conv1-dark.png").exists()


def test_json_and_an_array_and_a_class_by_number(model: Path, tmp_path: Path):
    np.save(tmp_path / "array.npy", np.random.default_rng(0).uniform(size=(1, 10, 10)).astype(np.float32))
    done = run(model, tmp_path / "array.npy", "--out", tmp_path / "out", "--class", "1", "--json")
    report = json.loads(done.stdout)
    assert report["page"] == str(tmp_path / "out/index.html")
    assert set(report["left_out"]) == {"convolution and pooling compared", "feature space"}
    assert set(report["seconds"]) > {"filters", "why this class"}
    assert ">Why dog?<" in Path(report["page"]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["MODEL", "none.png"], 'foveate: there is no file "none.png"; a PNG'),
        (["MODEL", "none.npy"], 'foveate: there is no file "none.npy"'),
        (["MODEL", "IMAGE", "--class", "cow"], 'foveate: there is no class "cow". Nearest: '),
        (["MODEL", "IMAGE", "--class", "9"], "foveate: there is no class 9: the 3 classes are numbered 0 to 2"),
        (["MODEL", "IMAGE", "--data", "imagenet"], "foveate: there is no dataset"),
        (["none.safetensors", "IMAGE"], "foveate: none.safetensors"),
        (["MODEL", "text.npy"], 'foveate: "text.npy" is not an array written by numpy.save:'),
        (["MODEL", "broken.npy"], 'foveate: "broken.npy" is not an array written by numpy.save: '),
        (["MODEL", "several.npy"], 'foveate: "several.npy" is an archive that numpy.savez wrote; write one array'),
        (["MODEL", "words.npy"], "foveate: the array of type <U3 cannot be used; give uint8"),
        (["MODEL", "IMAGE", "--class", "²"], 'foveate: there is no class "²"'),
        (["MODEL", "wrong.npy"], "foveate: image 0 is 3x4x5, in which"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    given: list[str], sentence: str, model: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("text.npy").write_text("no array", encoding="utf-8")
    Path("broken.npy").write_bytes(b"PK\x03\x04 and no more")
    with Path("several.npy").open("wb") as file:
        np.savez(file, np.zeros(3))
    np.save("words.npy", np.array(["one", "two"]))
    np.save("wrong.npy", np.zeros((2, 3, 4, 5), np.float32))
    named = {"MODEL": model, "IMAGE": image}
    done = run(*(named.get(word, word) for word in given))
    assert done.exit_code == 1
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert not Path("runs").exists()


def test_a_network_over_sounds_asks_for_an_array(tmp_path: Path, image: Path):
    graph = fv.Sequential(fv.Conv1d(4, 3), fv.GlobalAvgPool1d(), fv.Linear(3)).build((1, 30))
    path = tmp_path / "sound.safetensors"
    fv.Model(graph, preprocessing=fv.Preprocessing((1, 30), (0.0,), (1.0,))).save(path)
    done = run(path, image)
    assert done.exit_code == 1
    assert done.stderr.endswith(
        "is not a .npy file, but this network takes arrays: save one of its input shape with numpy.save\n"
    )


def test_the_help_shows_an_example():
    assert "Example: foveate explain" in " ".join(run("--help").output.split())


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [("8000", "sample_rate is for signals, but the network takes 1x10x10; leave it out"), ("0", "sample_rate is 0.0")],
)
def test_a_sample_rate_that_cannot_be_is_refused(rate: str, sentence: str, model: Path, image: Path, tmp_path: Path):
    done = run(model, image, "--sample-rate", rate, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()

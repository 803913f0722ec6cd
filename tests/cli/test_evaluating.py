"""`foveate evaluate` with figures and the images on which a model is most wrong."""

import json

import pytest
from PIL import Image

import foveate as fv


@pytest.fixture
def model(trained):
    return trained[0] / "model.safetensors"


def test_the_images_with_the_highest_losses_are_named(foveate, model, images):
    result = foveate("evaluate", model, images, "--top-losses", 3)
    assert result.exit_code == 0, result.output
    found = fv.load(model)
    held = fv.datasets.held_out(images, found.preprocessing, classes=found.classes, record=found.splits)
    expected = found.top_losses(held.dataset, 3, names=held.files)
    assert result.stdout.splitlines()[-3:] == [str(sample) for sample in expected]
    for sample in expected:
        with Image.open(images / sample.name) as image:
            assert sample.name.split("/")[0] == sample.target
            assert (held.dataset.inputs[sample.index][0] == image).all()


def test_figures_are_written(foveate, model, images, tmp_path):
    out = tmp_path / "new" / "figures"
    result = foveate("evaluate", model, images, "--top-losses", 4, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-2:] == [
        f"figure: {out / 'evaluation.png'}",
        f"contact sheet: {out / 'top_losses.png'}",
    ]
    for name in ("evaluation.png", "top_losses.png"):
        with Image.open(out / name) as image:
            assert image.format == "PNG"
    other = tmp_path / "other"
    assert foveate("evaluate", model, images, "--out", other).exit_code == 0
    assert [path.name for path in other.iterdir()] == ["evaluation.png"]


def test_as_json(foveate, model, images, tmp_path):
    result = foveate("evaluate", model, images, "--top-losses", 2, "--out", tmp_path, "--json")
    report = json.loads(result.stdout)
    assert [list(row) for row in report["top_losses"]] == [
        ["index", "name", "loss", "target", "prediction", "probability"]
    ] * 2
    assert report["figure"] == str(tmp_path / "evaluation.png")
    assert report["contact_sheet"] == str(tmp_path / "top_losses.png")
    assert "top_losses" not in json.loads(foveate("evaluate", model, images, "--json").stdout)


def test_an_unwritable_folder_is_a_sentence(foveate, model, images, tmp_path):
    (tmp_path / "file").write_text("")
    result = foveate("evaluate", model, images, "--out", tmp_path / "file" / "figures")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr

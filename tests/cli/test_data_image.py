"""`foveate data image`: a picture to try the other commands on."""

import numpy as np
import pytest
from PIL import Image

import foveate as fv


def test_a_test_image_becomes_a_file_that_predict_takes(foveate, images, trained, tmp_path):
    out = tmp_path / "new" / "photo.png"
    result = foveate("data", "image", images, 3, "--out", out)
    assert result.exit_code == 0, result.output
    test = fv.datasets.load(images).test
    assert result.stdout == f"{out}: {test.classes[int(test.labels[3])]}, test image 3 of {images}\n"
    np.testing.assert_array_equal(np.asarray(Image.open(out)), test.inputs[3, 0])
    assert foveate("predict", trained[0] / "model.safetensors", out, "--engine", "reference").exit_code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["FOLDER", 9], "foveate: there is no image 9: the 9 test images are numbered 0 to 8\n"),
        (
            ["FOLDER", "--out", "/dev/null/x.png"],
            "foveate: /dev/null/x.png cannot be written: File exists. What was there before is untouched\n",
        ),
        (
            ["FOLDER", "--out", "photo.nosuch"],
            'foveate: "photo.nosuch" cannot be written: unknown file extension: .nosuch\n',
        ),
        (["nothing"], "foveate: there is no dataset and no folder "),
    ],
)
def test_what_cannot_be_written(options, sentence, foveate, images):
    result = foveate("data", "image", *(images if each == "FOLDER" else each for each in options))
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)


def test_a_file_that_nobody_named_is_not_replaced(foveate, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert foveate("data", "image", images).exit_code == 0
    before = (tmp_path / "photo.png").read_bytes()
    result = foveate("data", "image", images, 5)
    assert result.exit_code == 2
    assert "photo.png exists already; name the file to write with --out, the same" in " ".join(
        result.stderr.replace("│", " ").split()
    )
    assert (tmp_path / "photo.png").read_bytes() == before
    assert foveate("data", "image", images, 5, "--out", "photo.png").exit_code == 0
    assert (tmp_path / "photo.png").read_bytes() != before


def test_the_mode_of_a_picture_is_kept(foveate, images, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.png").chmod(0o600)
    assert foveate("data", "image", images, 0, "--out", tmp_path / "a.png").exit_code == 0
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o600

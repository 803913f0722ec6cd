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
        (["FOLDER", "--out", "/dev/null/x.png"], 'foveate: "/dev/null/x.png" cannot be written: File exists\n'),
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

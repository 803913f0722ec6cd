"""The contact sheet shows what the network gets, class by class."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate import DataError, Preprocessing
from foveate.cli import app
from foveate.data.datasets import contact_sheet, image_folder
from tests.data.support import noise


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for place, name in enumerate(("cat", "Käfer 甲虫", "dog" * 40)):
        (root / name).mkdir(parents=True)
        for number in range(5 + 6 * place):
            pixels = noise(40, 60, 3, seed=100 * place + number)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def tiles(sheet: Image.Image, tile: np.ndarray, zoom: int) -> int:
    """How often the picture (C, H, W) is on the sheet, enlarged."""
    large = tile.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0)
    paper = np.asarray(sheet)
    height, width = large.shape[:2]
    middle = height // 2, width // 2  # a border is black all over
    starts = np.argwhere((paper == large[middle]).all(axis=2)) - middle
    return sum(
        np.array_equal(paper[top : top + height, left : left + width], large)
        for top, left in starts
        if top >= 0 <= left
    )


@pytest.mark.parametrize(("fit", "size", "zoom"), [("crop", (20, 24), 4), ("pad", (20, 24), 4), ("stretch", 100, 1)])
def test_each_picture_on_the_sheet_is_what_the_network_gets(photos, fit, size, zoom):
    sheet = contact_sheet(photos, each=4, size=size, fit=fit)
    assert sheet.dataset.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    splits = image_folder(photos, size=size, fit=fit)
    got = {each.tobytes() for part in (splits.train, splits.validation, splits.test) for each in part.inputs}
    for picture in sheet.dataset.inputs:
        assert picture.tobytes() in got
    for picture in sheet.dataset.inputs[[0, 5, 11]]:
        assert tiles(sheet.image, picture, zoom) == 1
    assert sheet.found == "33 images in 3 classes (60x40 pixels)"


def test_a_models_own_preprocessing_is_shown(photos):
    model = Preprocessing((1, 8, 8), (0.5,), (0.5,), fit="pad")
    sheet = contact_sheet(photos, each=1, preprocessing=model)
    assert sheet.dataset.shape == (1, 8, 8)
    picture = sheet.dataset.inputs[0]
    path = photos / "Käfer 甲虫" / "0.png"
    assert sheet.dataset.classes[2] == path.parent.name
    np.testing.assert_array_equal(model.from_images(path), model.apply(sheet.dataset.inputs[2:3]))
    assert tiles(sheet.image, np.repeat(picture, 3, axis=0), 12) == 1


def test_small_classes_and_one_picture_each(photos):
    assert len(contact_sheet(photos, each=100, size=8).dataset) == 33
    assert len(contact_sheet(photos, each=1, size=8).dataset) == 3


def test_what_cannot_be_shown_is_a_sentence(photos, tmp_path):
    with pytest.raises(DataError, match="each is 0; give the number of images of a class, at least 1"):
        contact_sheet(photos, each=0)
    with pytest.raises(DataError, match="fit is 'letterbox'; give one of crop, pad, stretch"):
        contact_sheet(photos, fit="letterbox")
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "0.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r'none of the images in ".*bad" can be read: 2 skipped: a/0.png \(empty\), b/0'
    ):
        contact_sheet(tmp_path / "bad")


def test_on_the_command_line(photos, tmp_path):
    def show(*options):
        return CliRunner().invoke(app, ["data", "show", *map(str, options)])

    result = show(photos, "--size", 16, "--each", 2, "--out", tmp_path / "out" / "sheet.png")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{photos.name}: 33 images in 3 classes (60x40 pixels)\ncontact sheet: {tmp_path / 'out' / 'sheet.png'}\n"
    )
    with Image.open(tmp_path / "out" / "sheet.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(contact_sheet(photos, size=16, each=2).image))
    result = show(photos, "--out", tmp_path / "sheet.unknown")
    assert result.exit_code == 1
    assert 'sheet.unknown" cannot be written: unknown file extension' in result.stderr


def test_a_sheet_without_room_for_all_classes_says_so(photos, monkeypatch):
    monkeypatch.setattr("foveate.data.contact_sheet.MOST_CLASSES", 2)
    sheet = contact_sheet(photos, each=1, size=8)
    assert sheet.found == "33 images in 3 classes (60x40 pixels); the sheet shows the first 2 of 3 classes"
    assert len(sheet.dataset) == 2


def test_shards_are_told_from_folders_of_images(tmp_path):
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(DataError, match="holds shards, and contact sheets are of folders of images"):
        contact_sheet(tmp_path)

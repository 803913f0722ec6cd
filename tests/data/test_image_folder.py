"""Folders of images as datasets."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from foveate import DataError, FileError
from foveate.data.datasets import SkippedImagesWarning, image_folder
from foveate.data.image_folder import LONGEST_SIDE
from tests.data.support import write_images


def test_classes_come_in_natural_order_and_every_image_keeps_its_class(tmp_path):
    counts = {"10": 9, "9": 7, "1": 6, "0": 8}
    root = write_images(tmp_path / "digits", counts)
    (root / ".hidden").mkdir()
    (root / "readme.txt").write_text("not a class")
    (root / "1" / "Thumbs.db").write_text("not an image")
    splits = image_folder(root)
    assert splits.classes == ("0", "1", "9", "10")
    assert splits.name == "digits"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (22, 4, 4)
    assert splits.train.shape == (3, 9, 7)
    seen = []
    for part in (splits.train, splits.validation, splits.test):
        for pixels, label in zip(part.inputs, part.labels, strict=True):
            assert len(np.unique(pixels[0])) == 1
            assert list(counts)[pixels[0, 0, 0] // 40] == splits.classes[label]
            seen.append(int(pixels[0, 0, 0]))
    assert len(seen) == len(set(seen)) == 30


def test_the_split_is_fixed_by_the_seed(tmp_path):
    root = write_images(tmp_path, {"a": 20, "b": 20})
    first, again, other = (image_folder(root, seed=seed).test.inputs for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_preprocessing_fits_the_training_part(tmp_path):
    splits = image_folder(write_images(tmp_path, {"a": 20, "b": 20}))
    outputs = splits.preprocessing.apply(splits.train.inputs)
    np.testing.assert_allclose(outputs[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(outputs[:, 0].std(), 1, rtol=1e-5)


def test_a_shape_that_nobody_gave_is_found_from_the_images(tmp_path):
    grey = write_images(tmp_path / "grey", {"a": 3, "b": 3}, mode="L", size=(5, 8))
    assert image_folder(grey).train.shape == (1, 5, 8)
    Image.new("RGB", (8, 5)).save(grey / "a" / "color.png")
    assert image_folder(grey).train.shape == (3, 5, 8)
    large = write_images(tmp_path / "large", {"a": 3, "b": 3}, mode="L", size=(300, 150))
    assert image_folder(large).train.shape == (1, LONGEST_SIDE, LONGEST_SIDE // 2)
    deep = write_images(tmp_path / "deep", {"a": 3, "b": 3}, mode="L", size=(5, 8))
    for number, path in enumerate(sorted(deep.rglob("*.png"))):
        Image.fromarray(np.full((5, 8), 40000 + number, np.uint16)).save(path)
    splits = image_folder(deep)
    assert splits.train.shape == (1, 5, 8)
    assert np.all(splits.train.inputs == 156)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_images_that_lie_give_the_folder_the_shape_in_which_they_stand(tmp_path, suffix: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(6):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.new("L", (8, 5), 40 * number).save(folder / f"{number}{suffix}", exif=exif)
    assert image_folder(tmp_path).train.shape == (1, 8, 5)


def test_a_given_shape_is_kept(tmp_path):
    root = write_images(tmp_path, {"a": 5, "b": 5})
    splits = image_folder(root, shape=(1, 4, 3))
    assert splits.train.shape == splits.preprocessing.shape == (1, 4, 3)


@pytest.mark.parametrize("shape", [None, (3, 9, 7)])
def test_images_that_cannot_be_read_are_skipped_and_listed(tmp_path, shape):
    root = write_images(tmp_path / "photos", {"a": 9, "b": 9})
    (root / "a" / "3.png").write_bytes(b"no image")
    (root / "b" / "0.png").write_bytes((root / "b" / "1.png").read_bytes()[:50])
    with pytest.warns(SkippedImagesWarning) as caught:
        splits = image_folder(root, shape=shape)
    message = str(caught[0].message)
    assert message.startswith(f"2 of 18 images in {root} cannot be read and are left out: a/3.png, b/0.png. First: ")
    assert '3.png" is not an image that can be read' in message
    assert caught[0].filename == __file__
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 16
    levels = np.concatenate([part.inputs[:, 0, 0, 0] for part in (splits.train, splits.validation, splits.test)])
    assert sorted(levels.tolist()) == [0, 1, 2, *range(4, 9), *range(41, 49)]
    labels = np.concatenate([part.labels for part in (splits.train, splits.validation, splits.test)])
    assert np.array_equal(labels, levels >= 40)


def test_of_many_damaged_images_the_first_are_named(tmp_path):
    root = write_images(tmp_path, {"a": 9, "b": 9})
    for number in range(5):
        (root / "a" / f"{number}.png").write_bytes(b"")
    with pytest.warns(
        SkippedImagesWarning, match=r"5 of 18 images in .*: a/0.png, a/1.png, a/2.png and 2 more\. First: .*empty"
    ):
        image_folder(root)


def test_a_folder_that_is_none_is_a_sentence(tmp_path):
    with pytest.raises(
        FileError, match=r'".*none" does not exist; a folder with one subfolder of images for each class'
    ):
        image_folder(tmp_path / "none")
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(FileError, match=r'".*file" is a file; a folder'):
        image_folder(path)


def test_a_folder_without_classes_or_images_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r'".*" has no subfolders; put the images of each class into a subfolder'):
        image_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(
        DataError, match=r'the class folder ".*cat" has no images; put some into it \(.png, .*\), or remove it'
    ):
        image_folder(tmp_path)


def test_too_few_images_are_a_sentence(tmp_path):
    root = write_images(tmp_path, {"a": 1, "b": 2})
    with pytest.raises(
        DataError,
        match=r'".*" has 3 images that can be read, 3 of them different, and none for validation; at least 3 different',
    ):
        image_folder(root)
    root = write_images(tmp_path / "copies", {"a": 4, "b": 4})
    for path in root.rglob("*.png"):
        path.write_bytes((root / path.parent.name / "0.png").read_bytes())
    with pytest.raises(DataError, match="has 8 images that can be read, 2 of them different, and none for validation"):
        image_folder(root)


@pytest.mark.filterwarnings("ignore::foveate.data.datasets.SkippedImagesWarning")
def test_a_class_or_folder_of_damaged_images_is_a_sentence(tmp_path):
    root = write_images(tmp_path, {"a": 5, "b": 1})
    (root / "b" / "0.png").write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r'no image of the class "b" in ".*" can be read; replace them or remove the class'
    ):
        image_folder(root)
    for path in (root / "a").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r'none of the 6 images can be read; the first: ".*0.png" is not an image'):
        image_folder(root)


def test_a_wrong_or_enormous_shape_is_a_sentence(tmp_path):
    root = write_images(tmp_path, {"a": 3, "b": 3})
    for shape in ((2, 9, 9), (9, 9), (3, 0, 9)):
        with pytest.raises(DataError, match=r"shape is .*; give \(1, H, W\) for grey images or \(3, H, W\) for RGB"):
            image_folder(root, shape=shape)
    for side in (2**24, 2**31):
        with pytest.raises(
            DataError, match=f"6 images of 3x{side}x{side} fit neither into memory nor .* 20 GB .*; give a"
        ):
            image_folder(root, shape=(3, side, side))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "size is 0; give a number of pixels, or"),
        ({"size": (3, 4, 5)}, r"size is \(3, 4, 5\); give"),
        ({"size": "big"}, "size is 'big'"),
        ({"fit": "letterbox"}, "fit is 'letterbox'; give one of crop, pad, stretch"),
        ({"split": (0.9, 0.1)}, r"split is \(0.9, 0.1\); give three positive shares .* such as \(0.8, 0.1, 0.1\)"),
        ({"split": (0.9, 0.1, 0)}, "three positive shares"),
        ({"split": (0.9, 0.1, float("nan"))}, "three positive shares"),
        ({"split": "0.8"}, "three positive shares"),
    ],
)
def test_options_that_are_none_are_a_sentence(tmp_path, options: dict, said: str):
    root = write_images(tmp_path, {"a": 3, "b": 3})
    with pytest.raises(DataError, match=said):
        image_folder(root, **options)


MEMORY = """
import sys
from benchmarks.memory import peak
import foveate as fv
splits = fv.datasets.image_folder(sys.argv[1], size=64, cache=False)
before = peak()
data = fv.datasets.image_folder(sys.argv[1], size=320, cache=False)
size = sum(part.inputs.nbytes for part in (data.train, data.validation, data.test))
print((peak() - before) / size)
"""


def test_the_images_are_in_memory_once(tmp_path):
    root = write_images(tmp_path, {"a": 150, "b": 150}, size=(20, 20))
    done = subprocess.run([sys.executable, "-c", MEMORY, str(root)], capture_output=True, text=True, check=True)
    assert 0.7 < float(done.stdout) < 1.4

"""What importers need of a preprocessing: resizing and cutting, interpolation, scale, and blue first."""

import numpy as np
import pytest
import torch
from PIL import Image

from foveate import DataError, FileError, Preprocessing
from foveate.data import resizing
from foveate.data.resizing import Resizing
from tests.data.support import noise

IMAGENET = Preprocessing((3, 22, 24), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), resize=26)


def photo(height: int, width: int) -> Image.Image:
    return Image.fromarray(noise(height, width, 3))


def as_torchvision(image: Image.Image, shorter: int, size: tuple[int, int], how: Image.Resampling):
    """Resize(shorter) and CenterCrop(size), as torchvision's documentation gives their arithmetic."""
    width, height = image.size
    short, long = sorted((width, height))
    sides = (shorter, int(shorter * long / short))
    wanted = sides if width <= height else sides[::-1]
    if (width, height) != wanted:
        image = image.resize(wanted, how)
    top, left = (round((side - kept) / 2.0) for side, kept in zip((image.height, image.width), size, strict=True))
    return np.asarray(image)[top : top + size[0], left : left + size[1]]


@pytest.mark.parametrize("size", [(60, 45), (45, 60), (26, 26), (26, 31), (300, 29), (27, 26)])
def test_the_shorter_side_then_the_middle(size: tuple[int, int]):
    image = photo(*size)
    cut = as_torchvision(image, 26, (22, 24), Image.Resampling.BILINEAR)
    wanted = (cut.transpose(2, 0, 1) / 255 - np.reshape(IMAGENET.mean, (3, 1, 1))) / np.reshape(IMAGENET.std, (3, 1, 1))
    for given in (image, np.asarray(image)):
        np.testing.assert_allclose(IMAGENET.from_images(given)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_height_and_width_then_the_middle(interpolation: str):
    how = Image.Resampling[interpolation.upper()]
    preprocessing = Preprocessing((3, 22, 24), (0.0,) * 3, (1.0,) * 3, resize=(25, 40), interpolation=interpolation)
    image = photo(50, 33)
    cut = np.asarray(image.resize((40, 25), how))[2:24, 8:32]
    np.testing.assert_allclose(preprocessing.from_images(image)[0], cut.transpose(2, 0, 1) / 255, atol=1e-6)


def test_nearest_and_bilinear_differ():
    sides = {Resizing((5, 5), 9, name)(photo(30, 30)).tobytes() for name in ("nearest", "bilinear", "bicubic")}
    assert len(sides) == 3


def test_floats_are_resized_without_rounding():
    image = photo(40, 50)
    floats = IMAGENET.from_images(np.asarray(image).astype(np.float32) / 255)
    np.testing.assert_allclose(floats, IMAGENET.from_images(image), atol=1.6 / 255 / 0.22)


def test_what_has_the_networks_size_already_is_only_normalised():
    exact = noise(2, 3, 22, 24)
    np.testing.assert_array_equal(IMAGENET.from_images(exact), IMAGENET.apply(exact))


def test_caffes_preprocessing():
    """0 to 255, blue first, the mean taken off: what Caffe's networks take."""
    caffe = Preprocessing((3, 6, 5), (103.939, 116.779, 123.68), (1.0,) * 3, scale=1.0, channel_order="BGR")
    rgb = noise(4, 3, 6, 5)
    wanted = torch.from_numpy(rgb).float().flip(1) - torch.tensor(caffe.mean).reshape(3, 1, 1)
    np.testing.assert_allclose(caffe.apply(rgb), wanted.numpy(), atol=1e-4)
    np.testing.assert_allclose(caffe.apply(rgb / np.float32(255)), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    "preprocessing",
    [
        IMAGENET,
        Preprocessing((3, 22, 24), (103.9, 116.8, 123.7), (1.0, 2.0, 3.0), scale=1.0, channel_order="BGR"),
        Preprocessing((3, 22, 24), (0.5,) * 3, (0.5,) * 3, resize=(30, 30), interpolation="lanczos", scale=1 / 127.5),
    ],
)
def test_undone_and_written_and_read(preprocessing: Preprocessing):
    raw = noise(2, 3, 22, 24)
    np.testing.assert_allclose(preprocessing.undo(preprocessing.apply(raw)), raw / 255, atol=1e-5)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_defaults_are_left_out_of_files():
    plain = Preprocessing((1, 2, 2), (0.5,), (0.25,))
    assert plain.to_json() == {"shape": [1, 2, 2], "mean": [0.5], "std": [0.25]}
    with pytest.raises(FileError, match=r"its preprocessing is damaged: .*there is no option letterbox"):
        Preprocessing.from_json({**plain.to_json(), "letterbox": True})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resize": 23}, r"resize is 23; give the pixels of the shorter side, or \(height, width\), from 22x24, which"),
        ({"resize": (30, 23)}, r"resize is \(30, 23\); give"),
        ({"resize": (30, 30, 30)}, "resize is"),
        ({"resize": True}, "resize is True"),
        ({"resize": 10**9}, "up to 65,535"),
        ({"resize": "256"}, "resize is '256'"),
        ({"fit": "letterbox"}, "fit is 'letterbox'; give one of crop, pad, stretch, or"),
        ({"fit": "pad", "resize": 26}, "fit is 'pad'; .* for images that are cropped after resize=.*, leave it out"),
        ({"interpolation": "area"}, "interpolation is 'area'; give one of nearest, bilinear, bicubic, lanczos"),
        ({"scale": 0}, "scale is 0; give a positive number, such as 1/255 or 1"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": "1"}, "scale is '1'"),
        ({"channel_order": "GBR"}, "channel_order is 'GBR' for 3 channels"),
    ],
)
def test_options_that_are_none(options: dict, said: str):
    with pytest.raises(DataError, match=said):
        Preprocessing((3, 22, 24), (0.0,) * 3, (1.0,) * 3, **options)


def test_options_for_images_alone():
    with pytest.raises(DataError, match="resize=9 is for images, but a sample is 2x9"):
        Preprocessing((2, 9), (0.0,) * 2, (1.0,) * 2, resize=9)
    with pytest.raises(DataError, match=r"fit is 'crop'; .* for anything but grey and RGB images, leave it out"):
        Preprocessing((2, 9), (0.0,) * 2, (1.0,) * 2, fit="crop")
    with pytest.raises(DataError, match="channel_order is 'BGR' for 1 channels"):
        Preprocessing((1, 9, 9), (0.0,), (1.0,), channel_order="BGR")


@pytest.mark.parametrize("sides", [(2000, 30), (30, 2000), (3000, 1)])
@pytest.mark.parametrize("options", [{"fit": "crop"}, {"resize": 26}])
def test_of_a_long_strip_only_the_middle_is_resized(monkeypatch, sides, options):
    image = Image.fromarray(noise(*sides, 3))
    scale = (26 if "resize" in options else 24 if sides[0] > sides[1] else 22) / min(sides)
    height, width = int(sides[0] * scale), int(sides[1] * scale)
    top, left = round((height - 22) / 2), round((width - 24) / 2)
    whole = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + 24, top + 22))
    monkeypatch.setattr(resizing, "FEW_PIXELS", 1000)
    sizes, real = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, size, *rest: sizes.append(size) or real(image, size, *rest)
    )
    pixels = np.asarray(Resizing((22, 24), **options)(image))
    assert sizes == [(24, 22)]
    assert np.abs(pixels.astype(int) - np.asarray(whole)).max() <= 1


def test_a_line_of_pixels_fills_no_memory(monkeypatch):
    sizes, real = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, size, *rest: sizes.append(size) or real(image, size, *rest)
    )
    line = Image.fromarray(noise(1, 2000, 3))
    assert Resizing((224, 224), fit="crop")(line).size == (224, 224)
    assert sizes == [(224, 224)]

"""Preprocessing: the arithmetic, and every form in which an image may come."""

import struct
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from foveate import DataError, Dataset, FileError, Preprocessing, ShapeError
from foveate.data.images import read_pixels
from foveate.data.resizing import Resizing
from tests.data.support import noise, small_dataset

GREY = Preprocessing((1, 6, 5), (0.25,), (0.5,))
COLOR = Preprocessing((3, 6, 5), (0.1, 0.2, 0.3), (0.4, 0.5, 0.25))
PLAIN = Preprocessing((1, 6, 5), (0.0,), (1.0,))
PLAIN_COLOR = Preprocessing((3, 6, 5), (0.0,) * 3, (1.0,) * 3)
SOUND = Preprocessing((2, 9), (0.0, 0.1), (1.0, 2.0))
VOLUME = Preprocessing((1, 3, 4, 5), (0.0,), (1.0,))


def normalised(inputs, preprocessing: Preprocessing):
    """The formula in float64."""
    values = np.asarray(inputs, np.float64) / (255 if inputs.dtype == np.uint8 else 1)
    axes = (-1, *(1,) * (len(preprocessing.shape) - 1))
    return (values - np.reshape(preprocessing.mean, axes)) / np.reshape(preprocessing.std, axes)


@pytest.mark.parametrize("preprocessing", [GREY, COLOR, SOUND, VOLUME], ids=lambda p: str(p.shape))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_apply_normalises_each_channel(preprocessing: Preprocessing, dtype):
    inputs = noise(4, *preprocessing.shape)
    if dtype != np.uint8:
        inputs = (inputs / 255).astype(dtype)
    outputs = preprocessing.apply(inputs)
    assert outputs.dtype == np.float32
    assert outputs.flags.c_contiguous
    assert outputs.shape == inputs.shape
    np.testing.assert_allclose(outputs, normalised(inputs, preprocessing), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_measure_brings_every_channel_to_mean_zero_and_deviation_one(dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("foveate.data.measuring.CHUNK", 500)
    inputs = (noise(40, 3, 4, 5).astype(float) * [[[[0.2]], [[0.5]], [[1]]]]).astype(dtype)
    inputs = inputs if dtype == np.uint8 else inputs * 1e-3 + 100
    measured = Preprocessing.measure(Dataset(inputs, np.zeros(40, int), ("one",)))
    outputs = normalised(inputs, measured)
    np.testing.assert_allclose(outputs.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(outputs.std(axis=(0, 2, 3)), 1, rtol=1e-6)


def test_a_constant_channel_keeps_its_scale():
    measured = Preprocessing.measure(Dataset(np.full((3, 2, 4), 51, np.uint8), [0, 0, 0], ("one",)))
    np.testing.assert_allclose(measured.mean, (0.2, 0.2))
    assert measured.std == (1.0, 1.0)


def test_json_gives_back_an_equal_preprocessing():
    assert Preprocessing.from_json(COLOR.to_json()) == COLOR
    assert COLOR.to_json() == {"shape": [3, 6, 5], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.25]}
    assert Preprocessing([1, 2, 2], [0], [1]) == Preprocessing((1, 2, 2), (0.0,), (1.0,))


DAMAGED = {
    "missing": {"shape": [1, 2, 2], "mean": [0.0]},
    "word": {"shape": [1, 2, 2], "mean": ["x"], "std": [1.0]},
    "count": {"shape": [1, 2, 2], "mean": [0.0, 0.0], "std": [1.0]},
    "zero": {"shape": [1, 2, 2], "mean": [0.0], "std": [0.0]},
    "text": "no mapping",
    "number": {"shape": 3, "mean": [0.0], "std": [1.0]},
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_json_is_a_sentence(data):
    with pytest.raises(FileError, match="its preprocessing is damaged: "):
        Preprocessing.from_json(data)


@pytest.mark.parametrize(
    ("shape", "mean", "std", "message"),
    [
        ((), (), (), r"shape is \(\); give \(C, \*spatial\), ints of at least 1"),
        ((1, 0), (0,), (1,), r"shape is \(1, 0\); give"),
        ((1, 2.5), (0,), (1,), r"shape is \(1, 2.5\); give"),
        (28, (0,), (1,), "shape is 28; give"),
        ((3, 2, 2), (0,), (1, 1, 1), "there are 3 channels, but 1 values of mean; give one for each channel"),
        ((1, 2, 2), (0,), (1, 1), "there are 1 channels, but 2 values of std"),
        ((1, 2, 2), (0,), (0,), r"std is \(0.0,\); it must be positive, finite numbers"),
        ((1, 2, 2), (float("nan"),), (1,), r"mean is \(nan,\); it must be finite numbers"),
        ((1, 2, 2), 0.5, (1,), "mean is 0.5; give one number for each channel, as a tuple"),
    ],
)
def test_wrong_numbers_are_a_sentence(shape, mean, std, message: str):
    with pytest.raises(DataError, match=message):
        Preprocessing(shape, mean, std)


def test_apply_refuses_other_shapes_and_types():
    with pytest.raises(
        ShapeError, match=r"inputs must have the shape N x 1x6x5 \(batch first\), but the array has 1x6x5"
    ):
        GREY.apply(noise(1, 6, 5))
    with pytest.raises(ShapeError, match="but the array has 2x3x6x5"):
        GREY.apply(noise(2, 3, 6, 5))
    with pytest.raises(DataError, match="inputs of type int32 cannot be used; give uint8"):
        GREY.apply(noise(2, 1, 6, 5).astype(np.int32))


# ------------------------------------------------------------------------------------------------- forms of an image


def test_every_form_of_the_same_grey_image_gives_the_same(tmp_path):
    pixels = noise(6, 5)
    path = tmp_path / "grey.png"
    Image.fromarray(pixels).save(path)
    forms = [path, str(path), Image.fromarray(pixels), pixels, pixels[:, :, None], pixels[None], pixels / 255]
    expected = normalised(pixels[None, None], GREY)
    for form in [*forms, *([form] for form in forms), (form for form in (pixels,)), pixels[None, None]]:
        outputs = GREY.from_images(form)
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert GREY.from_images(forms).shape == (7, 1, 6, 5)


def test_every_form_of_the_same_colour_image_gives_the_same(tmp_path):
    pixels = noise(6, 5, 3)
    path = tmp_path / "color.png"
    Image.fromarray(pixels).save(path)
    forms = [path, Image.fromarray(pixels), pixels, pixels.transpose(2, 0, 1), (pixels / 255).astype(np.float32)]
    expected = normalised(pixels.transpose(2, 0, 1)[None], COLOR)
    for form in [*forms, pixels[None], pixels.transpose(2, 0, 1)[None]]:
        np.testing.assert_allclose(COLOR.from_images(form), expected, rtol=1e-5, atol=1e-6)
    assert COLOR.from_images(OrderedDict.fromkeys([path]).keys()).shape == (1, 3, 6, 5)


@pytest.mark.parametrize(("preprocessing", "channels"), [(COLOR, 3), (COLOR, 1), (GREY, 1)])
def test_channels_may_come_first_or_last_in_any_size(preprocessing: Preprocessing, channels: int):
    pixels = noise(12, 20, channels)
    np.testing.assert_array_equal(
        preprocessing.from_images(pixels.transpose(2, 0, 1)), preprocessing.from_images(pixels)
    )


@pytest.mark.parametrize("as_float", [False, True])
def test_channels_are_converted(as_float: bool):
    color = noise(6, 5, 3)
    given = (color / 255).astype(np.float32) if as_float else color
    luma = color @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(PLAIN.from_images(given)[0, 0], luma, atol=1 / 255)
    repeated = PLAIN_COLOR.from_images(given[:, :, 0])
    np.testing.assert_allclose(repeated, np.repeat(color[None, None, :, :, 0] / 255, 3, axis=1), atol=1e-6)


@pytest.mark.parametrize("as_float", [False, True])
def test_what_is_transparent_is_laid_on_white(as_float: bool):
    pixels = noise(6, 5, 4)
    given = (pixels / 255).astype(np.float32) if as_float else pixels
    alpha = pixels[:, :, 3:] / 255
    expected = (pixels[:, :, :3] / 255 * alpha + 1 - alpha).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(PLAIN_COLOR.from_images(given), expected, atol=1.5 / 255)


def test_transparency_of_palettes_and_grey_images_is_laid_on_white(tmp_path):
    path = tmp_path / "palette.png"
    Image.new("P", (5, 6), 0).save(path, transparency=0)
    np.testing.assert_array_equal(PLAIN.from_images(path), np.ones((1, 1, 6, 5), np.float32))
    np.testing.assert_array_equal(PLAIN.from_images(Image.new("LA", (5, 6), (0, 0)))[0, 0], np.ones((6, 5)))


@pytest.mark.parametrize("as_float", [False, True])
def test_an_image_of_another_size_is_stretched_smoothly(as_float: bool):
    ramp = np.linspace(0, 250, 60)[:, None] * np.ones(35)
    given = (ramp / 255).astype(np.float32) if as_float else ramp.astype(np.uint8)
    outputs = PLAIN.from_images([given, given[::2, ::2]])
    expected = ramp.reshape(6, 10, 35).mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(outputs[:, 0], np.broadcast_to(expected[:, None], (2, 6, 5)), atol=0.03)


def test_sixteen_bits_become_eight_and_do_not_saturate(tmp_path):
    levels = (np.arange(30).reshape(6, 5) * 2000).astype(np.uint16)
    path = tmp_path / "deep.png"
    Image.fromarray(levels).save(path)
    expected = levels[None, None] / 65535
    for form in (path, Image.fromarray(levels), Image.fromarray(levels.astype(np.int32))):
        np.testing.assert_allclose(PLAIN.from_images(form), expected, atol=1 / 255)


def test_a_photograph_is_turned_as_its_exif_orientation_says(tmp_path):
    upright = noise(6, 5)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(np.rot90(upright).copy()).save(path, exif=exif)
    np.testing.assert_allclose(PLAIN.from_images(path)[0, 0], upright / 255, atol=1e-6)
    with Image.open(path) as image:
        np.testing.assert_allclose(PLAIN.from_images(image)[0, 0], upright / 255, atol=1e-6)


def test_sounds_and_volumes_are_arrays_of_exactly_their_shape():
    for preprocessing in (SOUND, VOLUME):
        batch = noise(3, *preprocessing.shape) / 255
        expected = preprocessing.apply(batch)
        np.testing.assert_array_equal(preprocessing.from_images(batch), expected)
        np.testing.assert_array_equal(preprocessing.from_images(list(batch)), expected)
        np.testing.assert_array_equal(preprocessing.from_images(batch[0]), expected[:1])


def test_the_batches_of_a_data_set_are_taken_as_they_are():
    dataset = small_dataset(7)
    np.testing.assert_array_equal(GREY.from_images(dataset.inputs), GREY.apply(dataset.inputs))


# ---------------------------------------------------------------------------------------------------- what is refused

NAN = np.full((6, 5), np.nan)
ONE_NAN = np.zeros((3, 1, 6, 5))
ONE_NAN[1, 0, 2, 2] = np.inf

REFUSED_ARRAYS = {
    "nan": (GREY, NAN, DataError, "the array holds NaN or infinity; fix or remove it"),
    "nan-in-batch": (GREY, ONE_NAN, DataError, "image 1 holds NaN or infinity"),
    "nan-in-list": (GREY, [np.zeros((6, 5)), NAN], DataError, "image 1 holds NaN or infinity"),
    "nan-in-sounds": (SOUND, np.full((2, 2, 9), np.nan), DataError, "sample 0 holds NaN or infinity"),
    "type": (GREY, noise(6, 5).astype(int), DataError, "the array of type int64 cannot be used; give uint8"),
    "scale": (
        GREY,
        noise(6, 5) * 1.0,
        DataError,
        "the array has floating-point values up to 2.*scale is 0 to 1; divide",
    ),
    "batch-scale": (GREY, noise(2, 1, 6, 5) * 1.0, DataError, "the batch has floating-point values up to 2"),
    "ambiguous": (GREY, noise(3, 9, 3), DataError, "the array is 3x9x3, in which the channels cannot be told"),
    "stack": (GREY, noise(10, 6, 5), DataError, r"is 10x6x5, .* or a batch of N x 1x6x5"),
    "three-grey": (GREY, noise(3, 6, 5), DataError, r"is 3x6x5, .* give \(H, W, C\) with 1, 3 or 4 channels"),
    "vector": (GREY, noise(6), ShapeError, r"the array is 6, but an image is \(H, W\), \(H, W, C\) or \(C, H, W\)"),
    "no-pixels": (GREY, noise(0, 5), ShapeError, r"the array is empty \(0x5\); give an array with values"),
    "nested": (GREY, [noise(2, 1, 6, 5)], ShapeError, "image 0 is 2x1x6x5, but an image is"),
    "sound": (SOUND, noise(2, 10), ShapeError, r"the network takes 2x9 \(a batch N x 2x9\), but the array is 2x10"),
    "sounds": (SOUND, noise(4, 2, 10), ShapeError, "the network takes 2x9 .*, but sample 0 is 2x10"),
    "none": (GREY, [], DataError, "there are no images; give at least one path, PIL image or array"),
    "empty-batch": (GREY, noise(0, 1, 6, 5), DataError, "there are no images"),
    "numbers": (GREY, [1.5], DataError, "image 0 is a float; give a path, a PIL image or a NumPy array"),
    "nothing": (GREY, None, DataError, "the input is a NoneType; give a path, a PIL image or a NumPy array"),
    "path-for-sound": (
        SOUND,
        "a.wav",
        DataError,
        'takes 2x9, which is neither a grey nor an RGB image, so "a.wav"',
    ),
    "pil-for-sound": (
        SOUND,
        Image.new("L", (9, 2)),
        DataError,
        "takes 2x9, but the image is a PIL image; give an array",
    ),
    "float-pil": (
        GREY,
        Image.new("F", (5, 6)),
        DataError,
        "the image cannot be used: the image has the mode F and 5x6",
    ),
    "empty-pil": (
        GREY,
        Image.new("L", (0, 6)),
        DataError,
        "the image cannot be used: .* has the mode L and 0x6 pixels",
    ),
}


@pytest.mark.parametrize(("preprocessing", "given", "error", "message"), REFUSED_ARRAYS.values(), ids=REFUSED_ARRAYS)
def test_what_cannot_be_an_input_is_a_sentence(preprocessing: Preprocessing, given, error, message: str):
    with pytest.raises(error, match=message):
        preprocessing.from_images(given)


def test_values_a_little_beyond_one_are_left_alone():
    sharpened = np.linspace(-0.3, 1.4, 30).reshape(6, 5)
    np.testing.assert_allclose(GREY.from_images(sharpened)[0, 0], (sharpened - 0.25) / 0.5, rtol=1e-5, atol=1e-6)
    decibels = np.linspace(0, 80, 30).reshape(6, 5)
    loud = Preprocessing((1, 6, 5), (40.0,), (20.0,))
    np.testing.assert_allclose(loud.from_images(decibels)[0, 0], (decibels - 40) / 20, rtol=1e-5, atol=1e-6)


def png_of(size: tuple[int, int]) -> bytes:
    """The beginning of a PNG file that claims this size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (body, data, b"IEND")
    )


def good_file(folder: Path, suffix: str) -> bytes:
    path = folder / f"good{suffix}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".tif", ".webp", ".ppm"])
def test_images_of_every_format_are_read_and_truncated_ones_refused(tmp_path, suffix: str):
    content = good_file(tmp_path, suffix)
    assert COLOR.from_images(tmp_path / f"good{suffix}").shape == (1, 3, 6, 5)
    for kept in (len(content) // 2, 30, 10):
        path = tmp_path / f"short{suffix}"
        path.write_bytes(content[:kept])
        with pytest.raises(FileError, match=f'".*short{suffix}" is .*; a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image'):
            COLOR.from_images(path)


BAD_FILES = {
    "empty": (b"", r"is empty \(0 bytes\); a PNG, JPEG, .* image was expected"),
    "text": (b"this is no image", "is not an image that can be read; a PNG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image that can be read"),
    "large": (png_of((12000, 10000)), "claims more than 89,478,485 pixels, which would fill the memory"),
    "bomb": (png_of((60000, 60000)), "claims more than 89,478,485 pixels"),
    "short": (png_of((50, 50)), r"is a damaged image \(.*\); a PNG"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_a_sentence_with_its_name(tmp_path, content: bytes, message: str):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f'".*photo.png" {message}'):
        GREY.from_images([noise(6, 5), path])


def test_what_is_no_file_or_no_usable_image_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match=r'there is no file ".*none.png"; a PNG'):
        GREY.from_images(tmp_path / "none.png")
    with pytest.raises(FileError, match=r'".*" is a folder; a PNG, .* was expected: name the files in it'):
        GREY.from_images(tmp_path)
    path = tmp_path / "float.tif"
    Image.new("F", (5, 6)).save(path)
    with pytest.raises(FileError, match=r'".*float.tif" cannot be used: the image has the mode F'):
        GREY.from_images(path)


def test_an_image_that_pil_has_only_opened_may_be_damaged(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(good_file(tmp_path, ".png")[:500])
    with Image.open(path) as image, pytest.raises(DataError, match=r"the image cannot be used: .*truncated"):
        GREY.from_images(image)


def test_no_global_of_pil_is_set(tmp_path):
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    path = tmp_path / "photo.png"
    path.write_bytes(good_file(tmp_path, ".png"))
    GREY.from_images(path)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_what_the_system_refuses_to_open_is_not_called_damage(tmp_path):
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    with pytest.raises(FileError, match=r'round\.png" cannot be read: Too many levels of symbolic links$'):
        read_pixels(tmp_path / "round.png", 1, Resizing((4, 4)))
    with pytest.raises(FileError, match=r'" cannot be read: File name too long$'):
        read_pixels(tmp_path / f"{300 * 'a'}.png", 1, Resizing((4, 4)))


def test_permission_denied_is_told_as_such(tmp_path, monkeypatch):
    path = tmp_path / "closed.png"
    Image.new("L", (4, 4)).save(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(FileError, match=r'^".*closed\.png" cannot be read: Permission denied$'):
        read_pixels(path, 1, Resizing((4, 4)))

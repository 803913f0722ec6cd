"""Image files of many kinds, against what Pillow gives by hand or what was written, pixel for pixel."""

import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from foveate import FileError, Preprocessing
from foveate.data import images
from foveate.data.images import read_image, read_pixels, read_size
from foveate.data.resizing import Resizing
from tests.data.support import noise

HEIGHT, WIDTH = 13, 17
TAG_BITS, TAG_PHOTOMETRIC, TAG_ORIENTATION, TAG_FORMAT = 258, 262, 274, 339


def channels(path: Path, count: int) -> np.ndarray:
    """The file's pixels at its own size."""
    return read_pixels(path, count, Resizing(read_size(path)[1:]))


def test_every_16_bit_level_is_rounded(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    wanted = np.rint(levels / 65535 * 255)
    for name in ("deep.png", "deep.tif", "deep.pgm"):
        Image.fromarray(levels).save(tmp_path / name)
        assert np.array_equal(channels(tmp_path / name, 1)[0], wanted), name
        assert np.array_equal(channels(tmp_path / name, 3), np.stack([wanted] * 3)), name
    assert wanted[40000 // 256, 40000 % 256] == 156


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_32_bit_integers_are_read_on_the_scale_of_tiff(tmp_path, compression):
    path, signed = tmp_path / "deep.tif", np.linspace(0, 2**31 - 1, 100).astype(np.int32).reshape(10, 10)
    Image.fromarray(signed).save(path, compression=compression)
    assert np.array_equal(channels(path, 1)[0], np.rint(signed / (2**31 - 1) * 255))


def test_32_bit_integers_without_a_sign(tmp_path):
    path, levels = tmp_path / "deep.tif", np.linspace(0, 2**32 - 1, 100).astype(np.uint32).reshape(10, 10)
    write_unsigned(path, levels)
    assert read_size(path) == (1, 10, 10)
    assert np.array_equal(channels(path, 1)[0], np.rint(levels / (2**32 - 1) * 255))


def write_unsigned(path: Path, levels: np.ndarray) -> None:
    """A TIFF written byte by byte, for Pillow writes no unsigned one."""
    entries = {
        256: levels.shape[1],
        257: levels.shape[0],
        258: 32,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: levels.shape[0],
    }
    entries |= {279: levels.nbytes, 339: 1}
    directory = b"".join(
        tag.to_bytes(2, "little") + b"\x04\x00\x01\x00\x00\x00" + value.to_bytes(4, "little")
        for tag, value in sorted(entries.items())
    )
    start = (8 + levels.nbytes).to_bytes(4, "little")
    count = len(entries).to_bytes(2, "little")
    path.write_bytes(b"II*\x00" + start + levels.astype("<u4").tobytes() + count + directory + bytes(4))


def test_small_32_bit_integers_are_no_black_image(tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.arange(256, dtype=np.int32).reshape(16, 16)).save(path)
    with pytest.raises(
        FileError, match=r'deep\.tif" cannot be used: its integers go up to 255, but white is 2,147,483'
    ):
        channels(path, 1)
    Image.fromarray(np.zeros((4, 4), np.int32)).save(path)
    assert not channels(path, 1).any()


def test_white_may_be_zero_and_a_level_transparent(tmp_path):
    levels = (np.arange(4, dtype=np.uint16) * 20000).reshape(2, 2)
    Image.fromarray(levels).save(tmp_path / "negative.tif", tiffinfo={TAG_PHOTOMETRIC: 0})
    with Image.open(tmp_path / "negative.tif") as image:
        assert image.tag_v2[TAG_PHOTOMETRIC] == 0
    assert np.array_equal(channels(tmp_path / "negative.tif", 1)[0], 255 - np.rint(levels / 257))
    Image.fromarray(levels).save(tmp_path / "clear.png", transparency=20000)
    assert channels(tmp_path / "clear.png", 1)[0].tolist() == [[0, 255], [156, 233]]


ORIENTED = {".jpg": {"quality": 95}, ".png": {}, ".webp": {"lossless": True}, ".tif": {}}


@pytest.mark.parametrize(("suffix", "orientation"), list(product(ORIENTED, range(1, 9))))
def test_an_image_stands_as_its_orientation_says(tmp_path, suffix: str, orientation: int):
    """By the definition in the EXIF standard: where the 0th row and column are shown."""
    path, stored = tmp_path / f"photo{suffix}", Image.fromarray(noise(HEIGHT, WIDTH, 3))
    exif = Image.Exif()
    exif[TAG_ORIENTATION] = orientation
    stored.save(path, exif=exif, **ORIENTED[suffix])
    plain = tmp_path / f"plain{suffix}"
    stored.save(plain, **ORIENTED[suffix])
    pixels = np.asarray(Image.open(plain).convert("RGB"))
    shown = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.transpose(1, 0, 2), 6: np.rot90(pixels, -1), 7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]  # fmt: skip
    assert read_size(path) == (3, *shown.shape[:2])
    assert np.array_equal(channels(path, 3), shown.transpose(2, 0, 1))
    plain_scale = Preprocessing((3, *shown.shape[:2]), (0,) * 3, (1,) * 3)
    with Image.open(path) as opened:
        assert np.array_equal(plain_scale.from_images(opened), plain_scale.from_images(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_stands_too(tmp_path, orientation: int):
    path, levels = tmp_path / "deep.tif", noise(HEIGHT, WIDTH).astype(np.uint16) * 257
    Image.fromarray(levels).save(path, tiffinfo={TAG_ORIENTATION: orientation})
    sizes = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    assert read_size(path) == (1, *sizes)
    assert channels(path, 1).shape == (1, *sizes)
    assert channels(path, 1).sum() == (levels // 257).sum()


@pytest.mark.parametrize("behind", [False, True])
def test_the_size_of_a_png_is_read_without_its_pixels(tmp_path, monkeypatch, behind: bool):
    exif = Image.Exif()
    exif[TAG_ORIENTATION] = 6
    path = tmp_path / "photo.png"
    Image.fromarray(noise(HEIGHT, WIDTH, 3)).save(path, exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = content[start:end], content[:start] + content[end:]
    path.write_bytes(rest[:-12] + chunk + rest[-12:] if behind else content)
    assert read_size(path) == (3, WIDTH, HEIGHT)
    assert channels(path, 3).shape == (3, WIDTH, HEIGHT)
    path.write_bytes(rest)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("it was decoded"))
    assert read_size(path) == (3, HEIGHT, WIDTH)


SAVED = {
    ".png": ("1", "L", "LA", "P", "RGB", "RGBA"),
    ".jpg": ("L", "RGB", "CMYK", "YCbCr"),
    ".jfif": ("L", "RGB", "CMYK"),
    ".jpe": ("RGB",),
    ".gif": ("1", "L", "P", "RGB", "RGBA"),
    ".bmp": ("1", "L", "P", "RGB", "RGBA"),
    ".tif": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"),
    ".webp": ("L", "RGB", "RGBA"),
    ".ppm": ("1", "L", "RGB"),
}
SHAPES = {"flat": (HEIGHT, WIDTH), "noise": (HEIGHT, WIDTH), "thin": (1, 40), "tall": (33, 2), "dot": (1, 1)}
ODD = [(suffix, mode, kind) for suffix, modes in SAVED.items() for mode in modes for kind in SHAPES]


def by_hand(path: Path, count: int) -> np.ndarray:
    """Pillow's own steps: upright, on white, to grey or RGB."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        white.alpha_composite(image)
        image = white
    pixels = np.asarray(image.convert("L" if count == 1 else "RGB"))
    return pixels[None] if count == 1 else pixels.transpose(2, 0, 1)


def odd_image(mode: str, kind: str) -> Image.Image:
    height, width = SHAPES[kind]
    pixels = noise(height, width, 4) if kind != "flat" else np.full((height, width, 4), 77, np.uint8)
    return Image.fromarray(pixels).convert("RGB").convert(mode) if mode == "P" else converted(pixels, mode)


def converted(pixels: np.ndarray, mode: str) -> Image.Image:
    if mode == "CMYK":
        return Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes())
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(("suffix", "mode", "kind"), ODD)
def test_files_of_every_mode_give_what_pillow_gives_by_hand(tmp_path, suffix: str, mode: str, kind: str):
    path = tmp_path / f"odd{suffix}"
    odd_image(mode, kind).save(path, format="JPEG" if suffix in (".jfif", ".jpe") else None)
    for count in (1, 3):
        assert np.array_equal(channels(path, count), by_hand(path, count))
    renamed = path.rename(tmp_path / "without_a_name")
    assert np.array_equal(channels(renamed, 3), by_hand(renamed, 3))


TRANSPARENT = [("P", 0), ("P", 3), ("L", 0), ("L", 77), ("RGB", (1, 2, 3)), ("RGB", (77, 77, 77)), ("1", 0), ("1", 1)]


@pytest.mark.parametrize(("mode", "key"), TRANSPARENT)
@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_a_transparent_colour_is_white(tmp_path, mode: str, key, kind: str):
    path = tmp_path / "clear.png"
    odd_image(mode, kind).save(path, transparency=key)
    with Image.open(path) as opened:
        assert "transparency" in opened.info
    for count in (1, 3):
        assert np.array_equal(channels(path, count), by_hand(path, count))


def test_there_are_more_than_200_odd_files():
    assert len(ODD) + len(TRANSPARENT) * 2 + 8 * len(ORIENTED) + 8 > 200


def test_photographs_of_two_pictures_and_modern_ones(tmp_path):
    first, second = (Image.fromarray(noise(HEIGHT, WIDTH, 3, seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "two.mpo", save_all=True, append_images=[second])
    assert np.array_equal(channels(tmp_path / "two.mpo", 3), by_hand(tmp_path / "two.mpo", 3))
    if features.check("avif"):  # a build of Pillow may lack it
        first.save(tmp_path / "new.avif")
        assert np.array_equal(channels(tmp_path / "new.avif", 3), by_hand(tmp_path / "new.avif", 3))
        assert "AVIF" in images.formats()


HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(100)


@pytest.fixture
def _fresh_formats() -> Iterator[None]:
    images.formats.cache_clear()
    yield
    images.formats.cache_clear()


@pytest.mark.usefixtures("_fresh_formats")
def test_a_heic_image_without_its_plug_in_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("foveate.data.images.find_spec", lambda name: None)
    (tmp_path / "phone.jpg").write_bytes(HEIC)
    with pytest.raises(FileError, match=r'phone\.jpg" is a HEIC image, for which the plug-in pillow-heif is needed'):
        read_image(tmp_path / "phone.jpg")


@pytest.mark.usefixtures("_fresh_formats")
def test_the_plug_in_for_heic_is_used_where_it_is_installed(tmp_path, monkeypatch):
    """A stand-in for pillow_heif, which registers a format of that name with Pillow."""

    def register() -> None:
        png = import_module("PIL.PngImagePlugin")
        Image.register_open("HEIF", png.PngImageFile, lambda prefix: prefix.startswith(b"\x89PNG"))

    plug_in = ModuleType("pillow_heif")
    plug_in.register_heif_opener = register  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", plug_in)
    monkeypatch.setattr("foveate.data.images.find_spec", lambda name: plug_in)
    assert images.formats()[-1] == "HEIF"
    assert "HEIF" in Image.OPEN
    del Image.OPEN["HEIF"]
    Image.ID.remove("HEIF")


SIZES = [(60, 45), (45, 60), (22, 24), (300, 29), (29, 300), (10, 10), (7, 50), (1, 90), (90, 1), (2000, 3)]


@pytest.mark.parametrize(("size", "target"), list(product(SIZES, [(22, 24), (24, 24), (30, 11)])))
def test_padding_is_pillows(size: tuple[int, int], target: tuple[int, int]):
    image = Image.fromarray(noise(*size, 3))
    ours = Resizing(target, fit="pad")(image)
    assert ours.size == target[::-1]
    if min(round(min(target[0] / size[0], target[1] / size[1]) * side) for side in size) > 0:
        theirs = ImageOps.pad(image, target[::-1], Image.Resampling.BILINEAR)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize(("size", "target"), list(product(SIZES, [(22, 24), (24, 24), (30, 11)])))
def test_cropping_covers_the_target_and_cuts_the_same_on_both_sides(size: tuple[int, int], target: tuple[int, int]):
    image = Image.fromarray(noise(*size, 3))
    scale = max(target[0] / size[0], target[1] / size[1])
    covering = tuple(max(side, int(scale * given + 1e-9)) for given, side in zip(size, target, strict=True))
    large = (
        np.asarray(image.resize(covering[::-1], Image.Resampling.BILINEAR)) if covering != size else np.asarray(image)
    )
    top, left = (round((given - side) / 2) for given, side in zip(covering, target, strict=True))
    wanted = large[top : top + target[0], left : left + target[1]]
    assert np.array_equal(np.asarray(Resizing(target, fit="crop")(image)), wanted)
    if target[0] == target[1]:
        assert np.array_equal(wanted, np.asarray(Resizing(target, resize=target[0])(image)))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_fit_is_written_read_and_the_same_for_files_and_floats(tmp_path, fit: str):
    preprocessing = Preprocessing((3, 20, 30), (0.0,) * 3, (1.0,) * 3, fit=fit)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing
    assert ("fit" in preprocessing.to_json()) == (fit != "stretch")
    pixels = noise(50, 40, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    of_file = preprocessing.from_images(tmp_path / "a.png")
    assert np.array_equal(of_file, preprocessing.from_images(pixels))
    np.testing.assert_allclose(of_file, preprocessing.from_images(pixels / np.float32(255)), atol=1.6 / 255)

"""Images as arrays: files and PIL images to uint8 (C, H, W). No global of PIL is set."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from foveate.data.guarded import GuardedFile
from foveate.errors import DataError, FileError, FoveateError
from foveate.opening import open_regular
from foveate.text import named

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The formats that are read. PIL knows more, some of which run other programs (EPS starts Ghostscript)."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
"""How the names of image files end, in lower case."""

_EXPECTED = "a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image"
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_GREY_MODES = ("1", "L", "I", "LA", "La")
_EXIF_ORIENTATION = 0x0112
_EXIF_LYING = (5, 6, 7, 8)
"""Orientations that swap height and width."""
_LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601, as PIL weights red, green and blue for grey."""

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
"""PIL's filters; all but the nearest average when an image shrinks."""


@dataclass(frozen=True)
class Resizing:
    """How an image of any height and width becomes one of `size`.

    Args:
        size: (height, width) of the result, in pixels.
        resize: first resize the image to this (height, width), or its shorter side to this many pixels, keeping the
            proportions; then crop the middle. With None the image is stretched to `size`.
        interpolation: one of `INTERPOLATIONS`.
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"

    def __call__(self, image: "Image.Image") -> "Image.Image":
        """The image resized and cropped."""
        from PIL import Image

        height, width = self._between(image.height, image.width)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling[self.interpolation.upper()])
        if (height, width) == self.size:
            return image
        top, left = round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)
        return image.crop((left, top, left + self.size[1], top + self.size[0]))

    def _between(self, height: int, width: int) -> tuple[int, int]:
        """Height and width before cropping."""
        if self.resize is None:
            return self.size
        if not isinstance(self.resize, int):
            return self.resize
        if height <= width:
            return self.resize, self.resize * width // height
        return self.resize * height // width, self.resize


def read_pixels(path: Path, channels: int, resizing: Resizing) -> NDArray[np.uint8]:
    """The image in `path` as uint8 (channels, height, width); see `image_pixels`.

    Raises:
        FileError: there is no such file, or it is not an image that can be read completely and converted to grey or
            RGB.
    """
    image = read_image(path)
    try:
        return image_pixels(image, channels, resizing)
    except (DataError, ValueError) as error:
        raise FileError(f"{named(path)} cannot be used: {error}") from None


def read_image(path: Path) -> "Image.Image":
    """The decoded image in `path`, turned as its EXIF orientation says; for an animation, the first picture.

    Raises:
        FileError: there is no such file, or it is not an image that can be read completely.
    """
    with _opened(path) as image:
        from PIL import ImageOps

        image.load()
        return ImageOps.exif_transpose(image)


def read_size(path: Path) -> tuple[int, int, int]:
    """(channels, height, width) that `read_image` would give, from the file's header alone; 1 channel if it is grey.

    Raises:
        FileError: there is no such file, or its header is not an image's.
    """
    with _opened(path) as image:
        width, height = image.size
        if image.getexif().get(_EXIF_ORIENTATION, 1) in _EXIF_LYING:
            width, height = height, width
        return (1 if image.mode in _GREY_MODES or image.mode.startswith("I;16") else 3), height, width


def image_pixels(image: "Image.Image", channels: int, resizing: Resizing) -> NDArray[np.uint8]:
    """A PIL image as uint8 (channels, height, width).

    Transparent pixels are laid on white; 16-bit grey becomes 8-bit; grey becomes RGB by repetition, RGB grey by ITU-R
    601.

    Args:
        image: of any mode but floating point.
        channels: 1 for grey, 3 for RGB.
        resizing: how to resize it to the network's height and width.

    Raises:
        DataError: the image's mode cannot be converted to grey or RGB.
    """
    from PIL import Image

    if image.mode == "F" or 0 in image.size:
        raise DataError(
            f"the image has the mode {image.mode} and {image.size[0]}x{image.size[1]} pixels; an image with "
            "whole-number pixels was expected: give floating point as an array on the scale 0 to 1"
        )
    if image.mode.startswith("I"):
        image = Image.fromarray(np.clip(np.asarray(image).astype(np.int64) // 257, 0, 255).astype(np.uint8))
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    array = np.asarray(resizing(image.convert("L" if channels == 1 else "RGB")))
    return np.ascontiguousarray(array[None] if channels == 1 else array.transpose(2, 0, 1))


def byte_pixels(array: NDArray[np.uint8], channels: int, resizing: Resizing) -> NDArray[np.uint8]:
    """An image (H, W, C) of bytes, of 1, 3 or 4 channels, treated as `image_pixels` treats a PIL image."""
    from PIL import Image

    flat = array[:, :, 0] if array.shape[2] == 1 else array
    return image_pixels(Image.fromarray(np.ascontiguousarray(flat)), channels, resizing)


def float_pixels(array: NDArray[np.float32], channels: int, resizing: Resizing) -> NDArray[np.float32]:
    """An image (H, W, C) on a scale from 0 to 1, of 1, 3 or 4 channels, as float32 (channels, height, width).

    The same as `byte_pixels`, without rounding to bytes on the way.
    """
    from PIL import Image

    if array.shape[2] == 4:
        array = array[:, :, :3] * array[:, :, 3:] + (1 - array[:, :, 3:])
    if channels == 1 and array.shape[2] == 3:
        array = array @ np.asarray(_LUMA, np.float32)[:, None]
    planes = [np.ascontiguousarray(array[:, :, channel]) for channel in range(array.shape[2])]
    planes = [np.asarray(resizing(Image.fromarray(plane))) for plane in planes]
    return np.stack(planes * (channels // len(planes)))


@contextmanager
def _opened(path: Path) -> "Iterator[Image.Image]":
    """The image in `path`, not decoded yet."""
    with _sentences(path), open_regular(path) as file:
        from PIL import Image

        guarded = GuardedFile(file, path)
        with Image.open(guarded, formats=FORMATS) as image:  # type: ignore[arg-type]
            guarded.pixels = prod(image.size)
            yield image


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Whatever fails while PIL reads `path` becomes one sentence."""
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size == 0 and path.is_file():
            raise FileError(f"{named(path)} is empty (0 bytes); {_EXPECTED} was expected")
        # PIL warns about many slips in files that it reads well; only a picture too large to be honest matters here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except FoveateError:
        raise
    except FileNotFoundError:
        raise FileError(f"there is no file {named(path)}; {_EXPECTED} was expected") from None
    except IsADirectoryError:
        raise FileError(f"{named(path)} is a folder; {_EXPECTED} was expected: name the files in it") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        _refuse_bomb(path)
    except UnidentifiedImageError:
        raise FileError(f"{named(path)} is not an image that can be read; {_EXPECTED} was expected") from None
    except OSError as error:
        if error.errno is None:  # PIL's own, about the content
            raise _damaged(path, error) from None
        raise FileError(f"{named(path)} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # PIL's decoders raise a dozen types on damaged files, SyntaxError among them
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> FileError:
    words = str(error).rstrip(".") or type(error).__name__
    return FileError(f"{named(path)} is a damaged image ({words}); {_EXPECTED} was expected")


def _refuse_bomb(path: Path) -> NoReturn:
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS or 0
    raise FileError(
        f"{named(path)} claims more than {most:,} pixels, which would fill the memory if it were true; "
        "scale it down, or if you trust it open it with PIL and give the image"
    ) from None

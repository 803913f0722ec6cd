"""Images as arrays: files and PIL images to uint8 (C, H, W). No global of PIL is set."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from math import prod
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from foveate.data.guarded import MOST_READS, GuardedFile
from foveate.data.resizing import Resizing
from foveate.errors import DataError, FileError, FoveateError
from foveate.opening import open_regular
from foveate.text import named

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The formats that are always read. PIL knows more, some of which run other programs (EPS starts Ghostscript)."""

SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
)
"""How the names of image files end, in lower case. What a file is, its content says."""

_EXPECTED = "a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_GREY_MODES = ("1", "L", "I", "LA", "La")
_EXIF_ORIENTATION = 0x0112
_EXIF_LYING = (5, 6, 7, 8)
"""Orientations that swap height and width."""
_SMALL = 1 << 16
"""Bytes in memory that may be read again and again in no time."""
_PNG_SIGNATURE, _PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt")
_TIFF_WIDTH, _TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 256, 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_SIXTEEN_BITS = 2**16 - 1
_LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601, as PIL weights red, green and blue for grey."""


class DamagedImageError(FileError):
    """The content is at fault: the same bytes will never be read, whatever the machine and the moment."""


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read here: AVIF if PIL has it, HEIF if its plug-in `pillow_heif` is installed."""
    avif = ("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()
    if find_spec("pillow_heif") is None:
        return FORMATS + avif
    import_module("pillow_heif").register_heif_opener()
    return (*FORMATS, *avif, "HEIF")


@dataclass(frozen=True)
class Held:
    """The bytes of a file that are in memory already, and what sentences call it: the `str` of `name`."""

    name: object
    content: bytes | memoryview

    def __str__(self) -> str:
        return str(self.name)


def read_pixels(path: Path | Held, channels: int, resizing: Resizing) -> NDArray[np.uint8]:
    """The image in `path` as uint8 (channels, height, width); see `image_pixels`.

    Raises:
        FileError: there is no such file, or it is not an image that can be read completely and converted to grey or
            RGB.
    """
    image = read_image(path)
    try:
        return image_pixels(image, channels, resizing)
    except (DataError, ValueError) as error:
        raise DamagedImageError(f"{named(path)} cannot be used: {error}") from None


def read_image(path: Path | Held) -> "Image.Image":
    """The decoded image in `path`, turned as its EXIF orientation says; for an animation, the first picture.

    Raises:
        FileError: there is no such file, or it is not an image that can be read completely.
    """
    with _opened(path) as image:
        return upright(image)


def read_size(path: Path | Held) -> tuple[int, int, int]:
    """(channels, height, width) that `read_image` would give, from the file's header alone; 1 channel if it is grey.

    Raises:
        FileError: there is no such file, or its header is not an image's.
    """
    with _opened(path) as image:
        width, height = image.size
        turned = _tags(image).get(_TIFF_WIDTH, width) != width  # PIL itself has swapped the sides of a TIFF
        # PIL decodes a whole PNG to find EXIF data behind the pixels.
        has_exif = image.format != "PNG" or "exif" in image.info or _has_chunk(path, b"eXIf")
        if not turned and has_exif and image.getexif().get(_EXIF_ORIENTATION, 1) in _EXIF_LYING:
            width, height = height, width
        return (1 if image.mode in _GREY_MODES or image.mode.startswith("I;16") else 3), height, width


def _has_chunk(path: Path | Held, kind: bytes) -> bool:
    """Whether a PNG file has a chunk of this kind, or a text chunk, in which older programs keep EXIF data."""
    with _file(path) as file:
        file.seek(len(_PNG_SIGNATURE))
        for _ in range(MOST_READS):
            head = file.read(8)
            if head[4:] in (kind, *_PNG_TEXTS):
                return True
            if len(head) < 8 or head[4:] == b"IEND":
                return False
            file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return False


def upright(image: "Image.Image") -> "Image.Image":
    """A PIL image, loaded, turned as its EXIF orientation says, integers of more than 8 bits brought to 8."""
    from PIL import ImageOps

    image.load()
    white, inverted = _white(image), _tags(image).get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    turned = ImageOps.exif_transpose(image)
    return turned if white is None else _eight_bits(turned, white, inverted)


def image_pixels(image: "Image.Image", channels: int, resizing: Resizing) -> NDArray[np.uint8]:
    """A PIL image as uint8 (channels, height, width).

    Transparent pixels are laid on white; 16-bit grey becomes 8-bit, rounded; grey becomes RGB by repetition, RGB grey
    by ITU-R 601.

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
    if (white := _white(image)) is not None:
        image = _eight_bits(image, white)
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


def _tags(image: "Image.Image") -> Any:
    """The tags of a TIFF, nothing for other images."""
    return getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}


def _white(image: "Image.Image") -> int | None:
    """The integer that is white in an image of more than 8 bits, as TIFF defines it; None for any other image."""
    if not image.mode.startswith("I"):
        return None
    tags = _tags(image)
    signed = tags.get(_TIFF_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    return int(2 ** (tags.get(_TIFF_BITS, (16,))[0] - signed)) - 1


def _eight_bits(image: "Image.Image", white: int, inverted: bool = False) -> "Image.Image":
    """An image of integers from 0 to `white` as 8-bit grey, rounded; its transparent level becomes white.

    Raises:
        DataError: it would be black throughout, although it is not.
    """
    from PIL import Image

    values = np.asarray(image)
    values = (values.view(np.uint32) if white >= 2**31 else values).astype(np.int64)
    levels = np.clip((510 * values + white) // (2 * white), 0, 255)
    if white > _SIXTEEN_BITS and not levels.any() and values.any():
        raise DataError(
            f"its integers go up to {values.max():,}, but white is {white:,}, so all of it would be black; save it "
            "with 8 or 16 bits"
        )
    if inverted:
        levels = 255 - levels
    if isinstance(image.info.get("transparency"), int):
        levels[values == image.info["transparency"]] = 255
    return Image.fromarray(levels.astype(np.uint8))


class _Quiet:
    """PIL warns about many slips in files that it reads well; only a picture too large to be honest matters here.

    Python's filters belong to the whole process: the first thread to enter sets them, the last to leave resets them.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        from PIL import Image

        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


quiet = _Quiet()
"""Entered while PIL reads."""


@contextmanager
def _opened(path: Path | Held) -> "Iterator[Image.Image]":
    """The image in `path`, not decoded yet."""
    with _sentences(path), _file(path) as file:
        from PIL import Image

        guarded = None if _is_small(path) else GuardedFile(file, named(path))
        with Image.open(guarded or file, formats=formats()) as image:  # type: ignore[arg-type]
            if guarded is not None:
                guarded.pixels = prod(image.size)
            yield image


@contextmanager
def _sentences(path: Path | Held) -> Iterator[None]:
    """Whatever fails while PIL reads `path` becomes one sentence."""
    from PIL import Image, UnidentifiedImageError

    try:
        if _is_empty(path):
            raise FileError(f"{named(path)} is empty (0 bytes); {_EXPECTED} was expected")
        with quiet:
            yield
    except DataError as error:
        raise DamagedImageError(f"{named(path)} cannot be used: {error}") from None
    except MemoryError:
        raise FileError(f"{named(path)} cannot be read: there is not enough memory for it") from None
    except FoveateError:
        raise
    except FileNotFoundError:
        raise FileError(f"there is no file {named(path)}; {_EXPECTED} was expected") from None
    except IsADirectoryError:
        raise FileError(f"{named(path)} is a folder; {_EXPECTED} was expected: name the files in it") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        _refuse_bomb(path)
    except UnidentifiedImageError:
        if _is_heif(path):
            raise FileError(
                f"{named(path)} is a HEIC image, for which the plug-in pillow-heif is needed (pip install pillow-heif)"
            ) from None
        raise FileError(f"{named(path)} is not an image that can be read; {_EXPECTED} was expected") from None
    except OSError as error:
        # PIL's own have no number and are about the content, unless PIL was built without a decoder.
        if error.errno is None and "not available" not in str(error):
            raise _damaged(path, error) from None
        raise FileError(f"{named(path)} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # PIL's decoders raise a dozen types on damaged files, SyntaxError among them
        raise _damaged(path, error) from None


def _file(path: Path | Held) -> BinaryIO:
    return BytesIO(path.content) if isinstance(path, Held) else open_regular(path)


def _is_small(path: Path | Held) -> bool:
    """Whether nothing need watch over how much of it is read."""
    return isinstance(path, Held) and len(path.content) <= _SMALL


def _is_empty(path: Path | Held) -> bool:
    if isinstance(path, Held):
        return not len(path.content)
    return path.stat().st_size == 0 and path.is_file()


def _is_heif(path: Path | Held) -> bool:
    with _file(path) as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS


def _damaged(path: Path | Held, error: Exception) -> DamagedImageError:
    words = str(error).rstrip(".") or type(error).__name__
    return DamagedImageError(f"{named(path)} is a damaged image ({words}); {_EXPECTED} was expected")


def _refuse_bomb(path: Path | Held) -> NoReturn:
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS or 0
    raise FileError(
        f"{named(path)} claims more than {most:,} pixels, which would fill the memory if it were true; "
        "scale it down, or if you trust it open it with PIL and give the image"
    ) from None

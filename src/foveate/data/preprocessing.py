"""What is done to inputs before a network sees them: to its shape, to the scale 0 to 1, normalised per channel."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.calls import Called, kind
from foveate.data.arrays import is_array_file, read_array
from foveate.data.configurations import options_of
from foveate.data.images import byte_pixels, float_pixels, image_pixels, read_pixels, upright
from foveate.data.measuring import InputArray, first_not_finite, mean_and_std
from foveate.data.resizing import FITS, INTERPOLATIONS, Resizing
from foveate.errors import DataError, FileError, ShapeError
from foveate.geometry import format_sizes
from foveate.layers import Shape

if TYPE_CHECKING:
    from PIL import Image

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[Any]"
"""One image: the path of a file, a PIL image, or an array."""

UNIT_SCALE = 1 / 255
"""The factor that brings bytes to a scale from 0 to 1."""

LARGEST_SIDE = 65_535
"""The largest side of an image before its middle is cropped, in pixels."""

_IMAGE_CHANNELS = (1, 3, 4)
_MOST_ON_UNIT_SCALE = 16.0
"""Floating-point images beyond it have values from 0 to 255; a little beyond 1 may be sharpening or noise."""


class Samples(Protocol):
    """What preprocessing is measured on: a dataset."""

    @property
    def by_input(self) -> Mapping[str, InputArray]:
        """The inputs (N, C, *spatial) by their names."""

    @property
    def image_input(self) -> str:
        """The name of the one that is measured."""


@dataclass(frozen=True)
class Preprocessing(metaclass=Called):
    """From raw inputs to what the network takes: x -> (scale * x - mean) / std in each channel, x from 0 to 255.

    Floating-point inputs are on a scale from 0 to 1, and are multiplied by 255 first.

    Args:
        shape: the shape of one sample, (C, *spatial).
        mean: the mean of each channel over the training data, after `scale`.
        std: the standard deviation of each channel, likewise.
        resize: a number resizes an image's shorter side to that many pixels, (height, width) the whole image; then the
            middle is cropped to the network's size. With None, `fit` says what happens.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos".
        scale: multiplies bytes (default: 1/255); 1 for networks that take 0 to 255.
        channel_order: "RGB", or "BGR" for networks that take blue first; mean and std are in this order.
        fit: how to fit an image of another height and width: "stretch" it; "crop" keeps its proportions and cuts off
            what exceeds the network's size; "pad" keeps the whole image and fills two sides with black.

    Raises:
        DataError: the numbers are not one finite mean and one positive std for each channel, or an option is none of
            those above.
    """

    shape: Shape
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"
    scale: float = UNIT_SCALE
    channel_order: str = "RGB"
    fit: str = "stretch"

    def __post_init__(self) -> None:
        if not _are_sizes(self.shape):
            raise DataError(f"Preprocessing: shape is {self.shape!r}; give (C, *spatial), ints of at least 1")
        object.__setattr__(self, "shape", tuple(self.shape))
        self._check_options()
        for name in ("mean", "std"):
            values = _numbers(getattr(self, name), name)
            object.__setattr__(self, name, values)
            if len(values) != self.shape[0]:
                raise DataError(
                    f"Preprocessing: there are {self.shape[0]} channels, but {len(values)} values of {name}; "
                    "give one for each channel"
                )
            if not all(isfinite(value) and (value > 0 or name == "mean") for value in values):
                wanted = "finite numbers" if name == "mean" else "positive, finite numbers"
                raise DataError(f"Preprocessing: {name} is {values}; it must be {wanted}")
        if not all(abs(mean) / std < 3e38 for mean, std in zip(self.mean, self.std, strict=True)):
            raise DataError(f"Preprocessing: mean {self.mean} divided by std {self.std} is more than float32 holds")

    @staticmethod
    def measure(dataset: Samples) -> "Preprocessing":
        """The preprocessing that brings each channel of `dataset` to mean 0 and standard deviation 1.

        Measured in float64; a channel that is constant keeps its scale. With several inputs, the image is measured.
        """
        if not hasattr(dataset, "by_input"):
            raise DataError(f"a preprocessing is measured on a Dataset, but got {kind(dataset)}")
        inputs = dataset.by_input[dataset.image_input]
        return Preprocessing(inputs.shape[1:], *mean_and_std(inputs))

    @staticmethod
    def from_configuration(configuration: Any) -> "Preprocessing":
        """The preprocessing that a configuration of timm, torchvision or Transformers describes.

        Args:
            configuration: timm's `pretrained_cfg`, Transformers' preprocessor_config.json, either as a mapping or as
                the path of a JSON file; or the transforms of torchvision's weights.

        Raises:
            FileError: the file is missing, or is not JSON.
            DataError: it is none of these, or an entry is not valid.

        >>> timm = {"input_size": (3, 224, 224), "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 0.875}
        >>> Preprocessing.from_configuration(timm).resize
        256
        """
        return Preprocessing(**options_of(configuration))

    def apply(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Normalised float32 (N, *shape), contiguous, of bytes or of floating point with values from 0 to 1.

        Raises:
            ShapeError: the inputs are not (N, *shape).
            DataError: they are neither uint8 nor floating point.
        """
        values = pixels(np.asarray(inputs), "inputs")
        if values.shape[1:] != self.shape or values.ndim != len(self.shape) + 1:
            raise ShapeError(
                f"inputs must have the shape N x {format_sizes(self.shape)} (batch first), but the array has "
                f"{format_sizes(values.shape) or 'no axes'}"
            )
        if self.channel_order == "BGR":
            values = values[:, ::-1]
        unit = 1 / self.scale if values.dtype == np.uint8 else 1 / (255 * self.scale)
        std, mean = (np.asarray(each).reshape(-1, *(1,) * (len(self.shape) - 1)) for each in (self.std, self.mean))
        outputs = np.empty(values.shape, np.float32)
        np.multiply(values, (1 / (unit * std)).astype(np.float32), out=outputs)
        outputs -= (mean / std).astype(np.float32)
        return outputs

    def undo(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw inputs on a scale from 0 to 1, red first, from which `apply` made `prepared` (N, *shape)."""
        axes = (-1, *(1,) * (len(self.shape) - 1))
        mean, std = (np.asarray(each, np.float32).reshape(axes) for each in (self.mean, self.std))
        raw = (prepared * std + mean) / np.float32(255 * self.scale)
        return raw[:, ::-1] if self.channel_order == "BGR" else raw

    def from_images(self, images: "ImageLike | Iterable[ImageLike]") -> NDArray[np.float32]:
        """One image, a list of images, or an array that is a batch, as normalised float32 (N, *shape).

        For grey and RGB networks each image may be a path, a PIL image or an array (H, W), (H, W, C) or (C, H, W) of
        uint8, or floating point on a scale from 0 to 1. Files are turned as their EXIF orientation says; transparent
        pixels are laid on white; grey becomes RGB and RGB grey; then the image is brought to height and width as `fit`
        and `resize` say. Every other network (sound, volumes, more channels) takes
        arrays of exactly its shape.

        Raises:
            FileError: a file is missing, damaged, not an image, or too large to be honest.
            DataError: an array holds NaN or infinity, is of another type, or could be read in two ways.
            ShapeError: an array does not have the network's input shape.
        """
        (prepared,) = self.batches(images, sys.maxsize)
        return prepared

    def batches(self, images: "ImageLike | Iterable[ImageLike]", size: int) -> Iterator[NDArray[np.float32]]:
        """Images as for `from_images`, read and normalised when their turn comes: `size` at a time, (size, *shape).

        The last batch may be smaller. Raises what `from_images` raises, as soon as the batch is reached.
        """
        if isinstance(images, str | os.PathLike) or _is_pil(images):
            yield self.apply(self._sample(images, "the image")[None])
            return
        if hasattr(images, "__array__"):
            array = np.asarray(images)
            if array.ndim != len(self.shape) + 1:
                yield self.apply(self._sample(array, "the array")[None])
                return
            if array.shape[1:] == self.shape and len(array):
                for start in range(0, len(array), size):
                    yield self.apply(self._checked(array[start : start + size], "", start))
                return
            images = iter(array)
        if not isinstance(images, Iterable):
            raise _not_an_image(images, "the input")
        numbered, taken = enumerate(images), False
        while chunk := list(islice(numbered, size)):
            taken = True
            yield np.concatenate([self.prepared(image, place) for place, image in chunk])
        if not taken:
            raise no_images()

    def prepared(self, image: "ImageLike", place: int = 0) -> NDArray[np.float32]:
        """One image, number `place` of those given, as normalised float32 (1, *shape); raises as `from_images`."""
        return self.apply(self._sample(image, f"{self._noun} {place}")[None])

    def separate(self, images: "ImageLike | Iterable[ImageLike]") -> "Iterable[ImageLike]":
        """What `batches` takes, image by image."""
        array = np.asarray(images) if hasattr(images, "__array__") and not _is_pil(images) else None
        one = isinstance(images, str | os.PathLike) or _is_pil(images)
        if one or (array is not None and array.ndim != len(self.shape) + 1):
            return [images]  # type: ignore[list-item]
        if array is not None:
            return iter(array)
        if not isinstance(images, Iterable):
            raise _not_an_image(images, "the input")
        return images

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes an equal preprocessing; options at their defaults are left out."""
        given = {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Preprocessing":
        """The preprocessing that `to_json` described, every rule checked again; a FileError if it is damaged."""
        try:
            return Preprocessing(**{name: _tuple(each) for name, each in data.items()})
        except (AttributeError, TypeError, ValueError, DataError) as error:
            raise FileError(f"its preprocessing is damaged: {type(error).__name__} {error}") from None

    def _check_options(self) -> None:
        if self.resize is not None:
            object.__setattr__(self, "resize", self._checked_resize(self.resize))
        if self.interpolation not in INTERPOLATIONS:
            raise DataError(
                f"Preprocessing: interpolation is {self.interpolation!r}; give one of {', '.join(INTERPOLATIONS)}"
            )
        if self.fit not in FITS or (self.fit != "stretch" and (self.resize is not None or not self._takes_images)):
            raise DataError(
                f"Preprocessing: fit is {self.fit!r}; give one of {', '.join(FITS)}, or for images that are cropped "
                "after resize=, and for anything but grey and RGB images, leave it out"
            )
        if isinstance(self.scale, bool) or not isinstance(self.scale, int | float) or not 1e-9 < self.scale < 1e9:
            raise DataError(f"Preprocessing: scale is {self.scale!r}; give a positive number, such as 1/255 or 1")
        if self.channel_order not in ("RGB", "BGR") or (self.channel_order == "BGR" and self.shape[0] != 3):
            raise DataError(
                f"Preprocessing: channel_order is {self.channel_order!r} for {self.shape[0]} channels; "
                'give "RGB", or for three channels "BGR"'
            )

    def _checked_resize(self, resize: Any) -> int | tuple[int, int]:
        if not self._takes_images:
            raise DataError(
                f"Preprocessing: resize={resize!r} is for images, but a sample is {format_sizes(self.shape)}"
            )
        sides = tuple(resize) if isinstance(resize, tuple | list) else (resize,)
        wanted = (max(self._size),) if len(sides) == 1 else self._size
        fits = _are_sizes(sides) and len(sides) == len(wanted) and max(sides) <= LARGEST_SIDE
        if not fits or any(side < least for side, least in zip(sides, wanted, strict=True)):
            raise DataError(
                f"Preprocessing: resize is {resize!r}; give the pixels of the shorter side, or (height, width), from "
                f"{format_sizes(self._size)}, which is cropped, up to {LARGEST_SIDE:,}"
            )
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])

    @property
    def _takes_images(self) -> bool:
        return len(self.shape) == 3 and self.shape[0] in (1, 3)

    def _sample(self, image: Any, name: str) -> InputArray:
        """One sample of exactly `shape`, not yet normalised."""
        if isinstance(image, str | os.PathLike):
            return self._from_path(Path(image))
        if _is_pil(image):
            return self._from_pil(image, name)
        if not hasattr(image, "__array__"):
            raise _not_an_image(image, name)
        return self._from_array(np.asarray(image), name)

    def _from_path(self, path: Path) -> InputArray:
        if is_array_file(path):
            return self._from_array(read_array(path), f'"{path}"')
        if not self._takes_images:
            raise DataError(
                f"the network takes {format_sizes(self.shape)}, which is neither a grey nor an RGB image, so "
                f'"{path}" cannot be read for it; give an array of that shape, or a .npy file with one'
            )
        return read_pixels(path, self.shape[0], self.resizing)

    def _from_pil(self, image: "Image.Image", name: str) -> InputArray:
        if not self._takes_images:
            raise DataError(
                f"the network takes {format_sizes(self.shape)}, but {name} is a PIL image; give an array of that shape"
            )
        try:
            return image_pixels(upright(image), self.shape[0], self.resizing)
        except Exception as error:  # an image that PIL has only opened is decoded now, and may be damaged
            raise DataError(f"{name} cannot be used: {error}") from None

    def _from_array(self, array: NDArray[Any], name: str) -> InputArray:
        if not array.size and array.ndim:
            raise ShapeError(f"{name} is empty ({format_sizes(array.shape)}); give an array with values")
        values = self._checked(array, name)
        if values.shape == self.shape:
            return values
        if values.shape == self.shape[1:] and self.shape[0] == 1:  # a sound or a volume without its only channel
            return values[None]
        if not self._takes_images:
            raise ShapeError(
                f"the network takes {format_sizes(self.shape)} (a batch N x {format_sizes(self.shape)}), but {name} is "
                f"{format_sizes(values.shape) or 'a number'}"
            )
        rows = self._channels_last(values, name)
        if rows.dtype == np.uint8:
            return byte_pixels(rows, self.shape[0], self.resizing)
        return float_pixels(rows, self.shape[0], self.resizing)

    def _channels_last(self, array: InputArray, name: str) -> Any:
        """The image as (H, W, C), or an error if its axes could mean different things."""
        if array.ndim == 2 and array.size:
            return array[:, :, None]
        if array.ndim != 3 or not array.size:
            one_by_one = "; give the images of a batch one by one" if array.ndim == 4 else ""
            raise ShapeError(
                f"{name} is {format_sizes(array.shape) or 'a number'}, but an image is (H, W), (H, W, C) or (C, H, W)"
                f"{one_by_one}"
            )
        last = array.shape[2] in _IMAGE_CHANNELS
        first = array.shape[0] in _IMAGE_CHANNELS
        if last and not first:
            return array
        # A few channels first that the network does not have might as well be as many grey images.
        if first and not last and array.shape[0] in (1, self.shape[0]):
            return array.transpose(1, 2, 0)
        raise DataError(
            f"{name} is {format_sizes(array.shape)}, in which the channels cannot be told from rows, columns or "
            f"several images; give (H, W, C) with 1, 3 or 4 channels, or exactly {format_sizes(self.shape)}, "
            f"or a batch of N x {format_sizes(self.shape)}"
        )

    def _checked(self, array: NDArray[Any], name: str, start: int = 0) -> InputArray:
        """The array as uint8 or float32 without NaN; `name` is empty for a batch, whose first sample is `start`."""
        values = pixels(array, name or "images")
        bad = first_not_finite(values if not name else values[None])
        if bad is not None:
            raise DataError(f"{name or f'{self._noun} {start + bad}'} holds NaN or infinity; fix or remove it")
        unit = 255 * self.scale
        on_unit_scale = all(
            0 <= mean <= unit and std <= unit / 2 for mean, std in zip(self.mean, self.std, strict=True)
        )
        if self._takes_images and on_unit_scale and values.dtype != np.uint8 and values.size:
            largest = float(values.max())
            if largest > _MOST_ON_UNIT_SCALE and values.min() >= 0:
                raise DataError(
                    f"{name or 'the batch'} has floating-point values up to {largest:g}, but the scale is 0 to 1; "
                    "divide by 255, or give uint8"
                )
        return values

    @property
    def _noun(self) -> str:
        return "image" if self._takes_images else "sample"

    @property
    def _size(self) -> tuple[int, int]:
        return self.shape[1], self.shape[2]

    @property
    def resizing(self) -> Resizing:
        """How images are brought to the network's height and width."""
        return Resizing(self._size, self.resize, self.interpolation, self.fit)


def pixels(array: NDArray[Any], name: str) -> InputArray:
    """The array as uint8 or float32, the only types that inputs have; a DataError says how to convert others."""
    if array.dtype in (np.uint8, np.float32):
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
            return array.astype(np.float32)
    raise DataError(
        f"{name} of type {array.dtype} cannot be used; give uint8 from 0 to 255 (.astype(np.uint8)), or floating point "
        "with values from 0 to 1"
    )


def _are_sizes(values: Any) -> bool:
    """Whether these are whole numbers from 1 upwards, at least one."""
    given = isinstance(values, tuple | list) and len(values) > 0
    return given and all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in values)


def _tuple(value: Any) -> Any:
    """A list from a file as the tuple that it was."""
    return tuple(value) if isinstance(value, list) else value


def _numbers(values: Iterable[float], name: str) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise DataError(f"Preprocessing: {name} is {values!r}; give one number for each channel, as a tuple") from None


def _is_pil(image: Any) -> bool:
    # An object can only be a PIL image if PIL is imported already.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _not_an_image(image: Any, name: str) -> DataError:
    return DataError(f"{name} is {kind(image)}; give a path, a PIL image or a NumPy array")


def no_images() -> DataError:
    """The error that no images were given."""
    return DataError("there are no images; give at least one path, PIL image or array")

"""How an image of any height and width becomes one of the network's: stretched, cropped or padded."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
"""PIL's filters; all but the nearest average when an image shrinks."""

FITS = ("crop", "pad", "stretch")
"""Ways to bring an image to another aspect ratio."""

_MOST_CUT_OFF = 16
"""An image is resized whole, then cut, if it has at most this many times the pixels that are kept, or few pixels."""

FEW_PIXELS = 1 << 24
"""Pixels of an image that any machine has room for."""


@dataclass(frozen=True)
class Resizing:
    """How an image of any height and width becomes one of `size`.

    Args:
        size: (height, width) of the result, in pixels.
        resize: first resize the image to this (height, width), or its shorter side to this many pixels, keeping the
            proportions; then crop the middle. With None `fit` says what happens.
        interpolation: one of `INTERPOLATIONS`.
        fit: "stretch"; "crop": keep the proportions and cut off what exceeds `size` equally on both sides; "pad": keep
            the proportions and the whole image, and fill both sides with black.
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"
    fit: str = "stretch"

    def __call__(self, image: "Image.Image") -> "Image.Image":
        """The image resized, and cropped or padded."""
        from PIL import Image

        height, width = self._between(image.height, image.width)
        if height * width > max(FEW_PIXELS, _MOST_CUT_OFF * prod(self.size)) and not isinstance(self.resize, tuple):
            return self._middle(image, height, width)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling[self.interpolation.upper()])
        if (height, width) == self.size:
            return image
        top, left = round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)
        if self.resize is None and self.fit == "pad":
            canvas = Image.new(image.mode, self.size[::-1])
            canvas.paste(image, (-left, -top))
            return canvas
        return image.crop((left, top, left + self.size[1], top + self.size[0]))

    def _middle(self, image: "Image.Image", height: int, width: int) -> "Image.Image":
        """The middle of an image that would have this height and width, without the rest; a level off at most."""
        from PIL import Image

        top, left = round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)
        down, across = image.height / height, image.width / width
        bottom, right = top + self.size[0], left + self.size[1]
        box = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
        return image.resize(self.size[::-1], Image.Resampling[self.interpolation.upper()], box)

    def _between(self, height: int, width: int) -> tuple[int, int]:
        """Height and width before cropping or padding."""
        if isinstance(self.resize, tuple):
            return self.resize
        if self.resize is not None:
            return _scaled(height, width, by_height=height <= width, side=self.resize)
        if self.fit == "stretch":
            return self.size
        # Along the height, the image is scaled by size[0] / height: the larger scale covers, the smaller one fits in.
        height_is_larger = self.size[0] * width >= self.size[1] * height
        if self.fit == "crop":
            side = self.size[0 if height_is_larger else 1]
            return _scaled(height, width, by_height=height_is_larger, side=side)
        if height_is_larger:
            return max(1, min(self.size[0], round(height / width * self.size[1]))), self.size[1]
        return self.size[0], max(1, min(self.size[1], round(width / height * self.size[0])))


def _scaled(height: int, width: int, *, by_height: bool, side: int) -> tuple[int, int]:
    """Height and width with the proportions kept, one of them being `side`; fractions are cut off."""
    return (side, side * width // height) if by_height else (side * height // width, side)

"""A file that limits what PIL reads: its decoders take all there is, in pieces of any size, before they notice a
lie."""

import os
from typing import BinaryIO

from foveate.errors import FileError

MOST_BEFORE_SIZE = 128 << 20
"""The most bytes read before the image's size is known; a WebP is read whole."""

MOST_FOR_PIXEL = 16
"""The most bytes read for each pixel: twice 16-bit red, green, blue and opacity."""

MOST_READS = 200_000
"""Decoders in Python look for the next marker byte by byte."""


class GuardedFile:
    """An open file, called `name` in sentences, that is read no further than an honest image needs.

    `pixels` is set once the image's size is known.
    """

    pixels = 0

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._bytes = self._reads = 0

    def read(self, size: int = -1) -> bytes:
        """As for any file; a FileError if more is read than an image needs."""
        rest = max(0, self._size - self._file.tell())
        self._reads += 1
        self._bytes += rest if size < 0 else min(size, rest)
        if self._bytes > MOST_BEFORE_SIZE + MOST_FOR_PIXEL * self.pixels or self._reads > MOST_READS:
            raise FileError(
                f"{self._name} has {self._size:,} bytes, but no image large enough to need them; "
                "an undamaged image was expected"
            )
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As for any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As for any file."""
        return self._file.tell()

    def fileno(self) -> int:
        """The descriptor, which libtiff reads itself: no more than a header's strips say."""
        return self._file.fileno()

"""From the bytes of samples to inputs of one shape: images are decoded, arrays are taken as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from foveate.data.images import Held, read_pixels
from foveate.data.measuring import first_not_finite
from foveate.data.resizing import Resizing
from foveate.errors import DataError, FileError
from foveate.geometry import format_sizes
from foveate.layers import Shape


@dataclass(frozen=True)
class Decoding:
    """How samples become inputs.

    Args:
        shape: of an input.
        dtype: that of arrays, or "image".
        resizing: how images are brought to it.
    """

    shape: Shape
    dtype: str
    resizing: Resizing | None = None

    @property
    def result(self) -> np.dtype[Any]:
        """The type of the inputs."""
        return np.dtype("uint8" if self.resizing else self.dtype)

    def __call__(self, samples: Sequence[Held]) -> NDArray[Any]:
        """The inputs (N, *shape) of samples; a FileError or a DataError names the one that gives none."""
        if self.resizing is not None:
            inputs = np.empty((len(samples), *self.shape), np.uint8)
            for row, sample in zip(inputs, samples, strict=True):
                row[:] = read_pixels(sample, self.shape[0], self.resizing)
            return inputs
        inputs = self._arrays(samples)
        bad = first_not_finite(inputs)
        if bad is not None:
            raise DataError(f"{samples[bad]} holds NaN or infinity; fix or remove it, and pack again")
        return inputs

    @cached_property
    def _head(self) -> bytes:
        """How numpy.save begins a sample."""
        return array_head(self.shape, self.result)

    def _arrays(self, samples: Sequence[Held]) -> NDArray[Any]:
        head, size = self._head, self.result.itemsize * prod(self.shape)
        if all(len(each.content) == len(head) + size for each in samples):
            rows = np.frombuffer(b"".join(each.content for each in samples), np.uint8).reshape(len(samples), -1)
            if (rows[:, : len(head)] == np.frombuffer(head, np.uint8)).all():
                return np.ascontiguousarray(rows[:, len(head) :]).view(self.result).reshape(-1, *self.shape)
        return np.stack([self._array(each) for each in samples])

    def _array(self, sample: Held) -> NDArray[Any]:
        """An array that another program wrote, whose header may be longer."""
        array = read_held_array(sample)
        if array.shape != self.shape or array.dtype != self.result:
            raise FileError(
                f"{sample} is an array of {format_sizes(array.shape)} {array.dtype}, but the samples are "
                f"{format_sizes(self.shape)} {self.result}; make the shards of arrays of one kind"
            )
        return array


def array_head(shape: Shape, dtype: np.dtype[Any]) -> bytes:
    """What numpy.save writes before the values of an array."""
    file = BytesIO()
    npy.write_array_header_1_0(
        file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    )
    return file.getvalue()


def read_held_array(sample: Held) -> NDArray[Any]:
    """The array that numpy.save wrote; one with Python objects is refused, because reading it could run code."""
    file = BytesIO(sample.content)
    try:
        version = npy.read_magic(file)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = header(file)
        left = len(sample.content) - file.tell()
        if dtype.hasobject or dtype.itemsize * prod(shape) != left:
            raise ValueError(f"its header speaks of {format_sizes(shape)} {dtype}, but it holds {left:,} bytes")
        array = np.frombuffer(file.read(), dtype)
        return array.reshape(shape, order="F" if by_columns else "C")
    except Exception as error:  # NumPy parses a header as Python, so a wrong one may raise anything
        raise FileError(f"{sample} is not an array written by numpy.save: {error}") from None

"""Random changes to training inputs: shift, flip, erase. Drawn for each sample from (seed, epoch, its index) alone."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from foveate.calls import Called
from foveate.engines.random import raw
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.layers import Shape

T = TypeVar("T", bound=np.generic)

_FIELD_BITS = 21
"""A 64-bit word holds three random fields, one for each spatial axis; the bias of 21 bits is below size / 2**21."""


@dataclass(frozen=True)
class Augmentation(metaclass=Called):
    """Random changes to a training input, made before it is normalised.

    Args:
        shift: the input moves by up to this many positions either way along each spatial axis; zeros fill the border.
        flip: half of the images are mirrored left to right.
        erase: side of a square, centred anywhere in the image, that is set to zero; 0 for none.

    Raises:
        DataError: a size is negative or not an int.

    DeVries, Taylor: Improved regularization with cutout, 2017.
    """

    shift: int = 0
    flip: bool = False
    erase: int = 0

    def __post_init__(self) -> None:
        for name, value in (("shift", self.shift), ("erase", self.erase)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise DataError(f"Augmentation: {name} is {value!r}; it must be an int of at least 0, in pixels")
        if not isinstance(self.flip, bool):
            raise DataError(f"Augmentation: flip is {self.flip!r}; it must be True or False")

    def apply(self, inputs: NDArray[T], indices: ArrayLike, seed: int, epoch: int) -> NDArray[T]:
        """Changed copies of a batch; the batch itself if there is nothing to change.

        A sample changes in the same way whichever batch it is in.

        Args:
            inputs: (N, C, *spatial), uint8 or floating point, not yet normalised.
            indices: (N,) the index of each sample in its dataset.
            seed: the training run's.
            epoch: counted from 0.

        Raises:
            DataError: the inputs cannot be changed in this way, or the indices do not belong to them.
        """
        if not (self.shift or self.flip or self.erase):
            return inputs
        samples = np.asarray(indices)
        self._check(inputs, samples)
        draws = random_draws(seed, epoch, _capacity(int(samples.max(initial=0))))[samples]
        outputs = _shifted(inputs, self.shift, draws[:, 0]) if self.shift else inputs.copy()
        if self.flip:
            chosen = np.flatnonzero(draws[:, 1] & np.uint64(1))
            outputs[chosen] = outputs[chosen, ..., ::-1]
        if self.erase:
            np.copyto(outputs, np.zeros((), inputs.dtype), where=_squares(inputs.shape[2:], self.erase, draws[:, 2]))
        return outputs

    def _check(self, inputs: NDArray[T], samples: NDArray[Any]) -> None:
        sizes = inputs.shape[2:]
        if not 1 <= len(sizes) <= 3:
            raise DataError(
                f"Augmentation needs inputs with 1 to 3 spatial axes, (N, C, H, W) for images, "
                f"but they are {format_sizes(inputs.shape)}"
            )
        if len(sizes) != 2 and (self.flip or self.erase):
            raise DataError(
                f"Augmentation: flip and erase are for images (N, C, H, W), but the inputs are "
                f"{format_sizes(inputs.shape)}; shift works on them"
            )
        if self.shift >= min(sizes):
            raise DataError(
                f"Augmentation: shift {self.shift} can move a sample of {format_sizes(sizes)} out of sight; "
                f"use at most {min(sizes) - 1}"
            )
        if self.erase > min(sizes):
            raise DataError(
                f"Augmentation: erase {self.erase} is larger than a sample of {format_sizes(sizes)}; "
                f"use at most {min(sizes)}"
            )
        if samples.shape != (len(inputs),) or samples.dtype.kind not in "iu" or np.any(samples < 0):
            raise DataError(
                f"Augmentation needs the index of each of the {len(inputs)} samples in its dataset, whole numbers "
                f"from 0, but the indices are {format_sizes(samples.shape) or 'one number'} {samples.dtype}"
            )


def _capacity(largest: int) -> int:
    """How many draws to make for indices up to `largest`: a power of two, so few are made twice."""
    return int(1 << max(10, largest.bit_length()))


@lru_cache(maxsize=2)
def random_draws(seed: int, epoch: int, count: int) -> NDArray[np.uint64]:
    """Four random words for each sample, one block of the counter: (count, 4). A longer table starts with the shorter
    one."""
    words = raw(seed, "augmentation", epoch, 4 * count).reshape(count, 4)
    words.flags.writeable = False
    return words


def _fields(words: NDArray[np.uint64], axis: int, choices: int) -> NDArray[np.int64]:
    """A number from 0 to `choices` - 1 for each word, from the bits that belong to `axis`."""
    bits = (words >> np.uint64(_FIELD_BITS * axis)) & np.uint64(2**_FIELD_BITS - 1)
    return ((bits * np.uint64(choices)) >> np.uint64(_FIELD_BITS)).astype(np.int64)


def _shifted(inputs: NDArray[T], shift: int, words: NDArray[np.uint64]) -> NDArray[T]:
    """Each sample cropped at its own place from the batch with a border of zeros."""
    sizes = inputs.shape[2:]
    padded = np.zeros((*inputs.shape[:2], *(size + 2 * shift for size in sizes)), inputs.dtype)
    padded[(slice(None), slice(None), *(slice(shift, shift + size) for size in sizes))] = inputs
    windows = sliding_window_view(padded, sizes, axis=tuple(range(2, inputs.ndim)))
    starts = [_fields(words, axis, 2 * shift + 1) for axis in range(len(sizes))]
    chosen: tuple[Any, ...] = (np.arange(len(inputs)), slice(None), *starts)
    return np.ascontiguousarray(windows[chosen])


def _squares(sizes: Shape, side: int, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where each sample is blanked, (N, 1, H, W); a square may hang over the border."""
    within = []
    for axis, size in enumerate(sizes):
        start = _fields(words, axis, size)[:, None] - side // 2
        positions = np.arange(size)
        within.append((positions >= start) & (positions < start + side))
    rows, columns = within
    return (rows[:, :, None] & columns[:, None, :])[:, None]

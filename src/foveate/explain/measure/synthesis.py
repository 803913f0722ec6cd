"""Images made for channels, and the Fourier coefficients that they consist of."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.random import generator
from foveate.explain.measure.result import Result
from foveate.layers import Shape

Objective: TypeAlias = Literal["mean", "centre"]
"""What is maximised in a channel: its mean over all positions, or its value at the middle one."""

_START = 0.1


@dataclass(frozen=True, eq=False)
class ExcitingImages(Result):
    """Images made for N channels of a layer, and how the ascent went."""

    layer: str
    objective: Objective
    channels: NDArray[np.int64]
    """(N,)"""
    images: NDArray[np.float32]
    """(N, C, *spatial) as they look, on a scale from 0 to 1; waves on the scale of their data."""
    history: NDArray[np.float32]
    """(steps, N) the objective, measured on the jittered image before each step."""
    activations: NDArray[np.float32]
    """(N,) the same for the final images, without jitter."""
    largest: NDArray[np.float32]
    """(N,) the largest activation at any position for the final images, as `ExcitingPatches.values` are."""
    jitter: int
    """The most pixels by which they were shifted before each step."""


@dataclass(frozen=True)
class Fourier:
    """Images as irfft(coefficients * scale), scale ~ 1/f**decay with mean square 1: low frequencies learn faster.

    The transform is orthonormal over all spatial axes; inputs without any are their own coefficients.

    Args:
        shape: the shape of one image, (C, *spatial).
        decay: exponent of the frequency f in cycles per pixel.
        span: in pixels (default: the whole image); waves slower than one cycle per span count as that.
    """

    shape: Shape
    decay: float = 1.0
    span: int | None = None

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Length of the frequency of each coefficient, in cycles per pixel."""
        sizes = self.shape[1:]
        if not sizes:
            return np.zeros(())
        axes = [np.fft.fftfreq(size) for size in sizes[:-1]] + [np.fft.rfftfreq(sizes[-1])]
        return np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))  # type: ignore[no-any-return]

    @property
    def scale(self) -> NDArray[np.float64]:
        """The factor of each coefficient."""
        slowest = 1 / (self.span or max(self.shape[1:], default=1))
        raw = np.maximum(self.frequencies, slowest) ** -self.decay
        return np.asarray(raw / np.sqrt((raw**2).mean()))

    def images(self, coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """The images (N, C, *spatial) of coefficients (N, C, *frequencies)."""
        scaled = coefficients * self.scale
        if not self._axes:
            return np.asarray(scaled.real)
        return np.asarray(np.fft.irfftn(scaled, self.shape[1:], self._axes, norm="ortho"))

    def gradient(self, of_images: FloatArray) -> NDArray[np.complex128]:
        """d/d(real part) + i d/d(imaginary part) of each coefficient, for a gradient with respect to the images."""
        if not self._axes:
            return np.asarray(of_images * self.scale, np.complex128)
        # All but the first and, of an even size, the last column stand for their mirror images too.
        size = self.shape[-1]
        twice = np.full(size // 2 + 1, 2.0)
        twice[[0, -1] if size % 2 == 0 else [0]] = 1
        return np.asarray(np.fft.rfftn(of_images, axes=self._axes, norm="ortho") * twice * self.scale)

    def start(self, seed: int, name: str) -> NDArray[np.complex128]:
        """Random coefficients (C, *frequencies) of a faint image."""
        real, imaginary = generator(seed, name).standard_normal((2, self.shape[0], *self.frequencies.shape))
        return np.asarray(_START * (real + 1j * imaginary) / np.sqrt(2))

    def blurred(self, coefficients: NDArray[Any], sigma: float) -> NDArray[Any]:
        """The coefficients of the images after a Gaussian blur with `sigma` in pixels."""
        return coefficients * np.exp(-2 * (np.pi * sigma * self.frequencies) ** 2)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(2, len(self.shape) + 1))

"""Adaptive pooling and upsampling, by definition: along each axis every output is a weighted sum of positions."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.engines.reference.pooling import winners
from foveate.geometry import adaptive_bins
from foveate.layers import Resize, Upsample
from foveate.layers.adaptive import AdaptiveAveragePooling, AdaptiveMaximumPooling
from foveate.layers.resize import Taps


def along_axes(x: FloatArray, matrices: Sequence[FloatArray]) -> FloatArray:
    """(N, C, *spatial) with the matrix (W', W) of each spatial axis applied along it."""
    for axis, matrix in enumerate(matrices, start=2):
        x = np.moveaxis(_product(np.moveaxis(x, axis, -1), matrix.astype(x.dtype)), -1, axis)
    return x


def _product(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """(..., W) times the transpose of (W', W), where anything without weight does not count, not even infinities."""
    finite = np.isfinite(x)
    total = np.asarray(np.where(finite, x, 0) @ matrix.T)
    for at in np.flatnonzero(~finite.all(axis=tuple(range(x.ndim - 1)))):
        reached = np.flatnonzero(matrix[:, at])
        total[..., reached] += np.where(finite[..., at, None], 0, x[..., at, None]) * matrix[reached, at]
    return total


def mean_matrix(size: int, outputs: int) -> FloatArray:
    """(outputs, size): the mean over each adaptive bin."""
    matrix = np.zeros((outputs, size))
    for row, (begin, end) in enumerate(adaptive_bins(size, outputs)):
        matrix[row, begin:end] = 1 / (end - begin)
    return matrix


def upsampling_matrix(layer: Upsample, size: int, outputs: int) -> FloatArray:
    """(outputs, size): the nearest position, or the two neighbours of (i + 1/2) W / W' - 1/2 by their distance.

    With corners aligned, it is the neighbours of i (W - 1) / (W' - 1).
    """
    rows, matrix = np.arange(outputs), np.zeros((outputs, size))
    if layer.mode == "nearest":
        matrix[rows, rows * size // outputs] = 1
        return matrix
    places = np.maximum((rows + 0.5) * size / outputs - 0.5, 0)
    if layer.align_corners:
        places = rows * (size - 1) / max(1, outputs - 1)
    lower = np.minimum(places.astype(int), size - 1)
    upper = np.minimum(lower + 1, size - 1)
    np.add.at(matrix, (rows, lower), 1 - (places - lower))
    np.add.at(matrix, (rows, upper), places - lower)
    return matrix


def _matrices(layer: AdaptiveAveragePooling | Resize | Upsample, x: FloatArray) -> list[FloatArray]:
    if isinstance(layer, Resize):
        sizes = zip(x.shape[2:], layer.taps(x.shape[1:]), strict=True)
        return [_matrix_of(size, taps) for size, taps in sizes]
    outputs = layer.output_shape([x.shape[1:]])[1:]
    pairs = zip(x.shape[2:], outputs, strict=True)
    if isinstance(layer, Upsample):
        return [upsampling_matrix(layer, size, count) for size, count in pairs]
    return [mean_matrix(size, count) for size, count in pairs]


def _matrix_of(size: int, taps: Taps) -> FloatArray:
    """(outputs, size): the weights of each output."""
    matrix = np.zeros((len(taps), size))
    for row, (first, weights) in enumerate(taps):
        matrix[row, first : first + len(weights)] = weights
    return matrix


def _linear_forward(
    layer: AdaptiveAveragePooling | Resize | Upsample, inputs: Arrays, parameters: ByName, context: Context
) -> FloatArray:
    return along_axes(inputs[0], _matrices(layer, inputs[0]))


def _linear_backward(
    layer: AdaptiveAveragePooling | Resize | Upsample,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    return [along_axes(gradient, [matrix.T for matrix in _matrices(layer, inputs[0])])], {}


def _cells(layer: AdaptiveMaximumPooling, x: FloatArray) -> Iterator[tuple[Any, NDArray[np.intp]]]:
    """Outputs whose bins are equally long, and the positions that each of them sees: (*outputs, taps).

    Along an axis there are two lengths at most, so there are few turns, however many outputs.
    """
    axes = []
    for bins in layer.bins(x.shape[2:]):
        begins, ends = np.array(bins).T
        lengths = ends - begins
        axes.append([(np.flatnonzero(lengths == n), begins[lengths == n], n) for n in np.unique(lengths)])
    rank, sizes = len(axes), x.shape[2:]
    for chosen in product(*axes):
        positions = np.zeros((1,) * (2 * rank), np.intp)
        for axis, (_, begins, length) in enumerate(chosen):
            seen = begins[:, None] + np.arange(length)
            own = [1] * (2 * rank)
            own[axis], own[rank + axis] = seen.shape
            positions = positions * sizes[axis] + seen.reshape(own)
        outputs = positions.shape[:rank]
        at = np.ix_(*(outputs_of for outputs_of, _, _ in chosen))
        yield (slice(None), slice(None), *at), positions.reshape(*outputs, -1)


def _max_forward(layer: AdaptiveMaximumPooling, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    y = np.empty((*x.shape[:2], *layer.output_size), x.dtype)
    flat = x.reshape(*x.shape[:2], -1)
    for at, positions in _cells(layer, x):
        y[at] = flat[:, :, positions].max(axis=-1)
    return y


def _max_backward(
    layer: AdaptiveMaximumPooling,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    flat = x.reshape(*x.shape[:2], -1)
    samples, channels = np.ogrid[: len(x), : x.shape[1]]
    x_gradient = np.zeros_like(flat)
    for at, positions in _cells(layer, x):
        rows = positions.reshape(-1, positions.shape[-1])
        won = winners(flat[:, :, rows], -1)
        to = rows[np.arange(len(rows)), won]
        arrived = gradient[at].reshape(*x.shape[:2], -1)
        np.add.at(x_gradient, (samples[..., None], channels[..., None], to), arrived)
    return [x_gradient.reshape(x.shape)], {}


define(AdaptiveAveragePooling, Definition(_linear_forward, _linear_backward))
define(Upsample, Definition(_linear_forward, _linear_backward))
define(Resize, Definition(_linear_forward, _linear_backward))
define(AdaptiveMaximumPooling, Definition(_max_forward, _max_backward))

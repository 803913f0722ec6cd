"""Convolutions, transposed convolutions and linear layers, by definition: one product for each tap of the kernel."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.geometry import Window
from foveate.layers import Linear
from foveate.layers.convolution import Convolution
from foveate.layers.transposed import TransposedConvolution


def pad(x: FloatArray, windows: tuple[Window, ...], value: float = 0.0) -> FloatArray:
    """(N, C, *spatial) with each window's padding around it."""
    return np.pad(x, [(0, 0), (0, 0), *(window.padding for window in windows)], constant_values=value)


def unpad(x: FloatArray, windows: tuple[Window, ...]) -> FloatArray:
    """The inverse of `pad`."""
    spatial = (slice(w.padding[0], size - w.padding[1]) for w, size in zip(windows, x.shape[2:], strict=True))
    return x[(slice(None), slice(None), *spatial)]


_BORDERS: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
"""NumPy's words for the padding modes that repeat the input."""


def _bordered(x: FloatArray, windows: tuple[Window, ...], mode: str) -> FloatArray:
    """(N, C, *spatial) with each window's padding around it, filled as `mode` says."""
    if mode == "zeros":
        return pad(x, windows)
    return np.pad(x, [(0, 0), (0, 0), *(window.padding for window in windows)], mode=_BORDERS[mode])


def _unbordered(gradient: FloatArray, windows: tuple[Window, ...], mode: str) -> FloatArray:
    """The transpose of `_bordered`: what fell on the padding is added to the positions it came from."""
    if mode == "zeros":
        return unpad(gradient, windows)
    for axis, window in enumerate(windows, start=2):
        size = gradient.shape[axis] - sum(window.padding)
        sources = np.pad(np.arange(size), window.padding, mode=_BORDERS[mode])
        folded = np.zeros_like(gradient, shape=(size, *np.delete(gradient.shape, axis)))
        np.add.at(folded, sources, np.moveaxis(gradient, axis, 0))
        gradient = np.moveaxis(folded, 0, axis)
    return gradient


def taps(windows: tuple[Window, ...], outputs: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """Each position in the kernel with the slices of the padded input that it meets."""
    for tap in np.ndindex(*(window.kernel_size for window in windows)):
        slices = tuple(
            slice(at * w.dilation, at * w.dilation + (size - 1) * w.stride + 1, w.stride)
            for at, w, size in zip(tap, windows, outputs, strict=True)
        )
        yield tap, (slice(None), slice(None), *slices)


def _grouped(x: FloatArray, groups: int) -> FloatArray:
    """(N, C, *spatial) as (N, groups, C/groups, positions)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, -1)


def _convolution_forward(layer: Convolution, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    weight, groups = parameters["weight"], layer.groups
    windows = layer.windows([x.shape[1:]])
    outputs = layer.output_shape([x.shape[1:]])
    padded = _bordered(x, windows, layer.padding_mode)
    y = np.zeros((len(x), groups, outputs[0] // groups, int(np.prod(outputs[1:]))), x.dtype)
    for tap, seen in taps(windows, outputs[1:]):
        by_group = weight[(..., *tap)].reshape(groups, outputs[0] // groups, -1)
        y += by_group @ _grouped(padded[seen], groups)
    y = y.reshape(len(x), *outputs)
    if layer.bias:
        y += parameters["bias"].reshape(-1, *(1,) * len(windows))
    return y


def _convolution_backward(
    layer: Convolution,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    weight, groups = parameters["weight"], layer.groups
    windows = layer.windows([x.shape[1:]])
    padded = _bordered(x, windows, layer.padding_mode)
    padded_gradient, weight_gradient = np.zeros_like(padded), np.zeros_like(weight)
    by_group = _grouped(gradient, groups)
    for tap, seen in taps(windows, output.shape[2:]):
        filters = weight[(..., *tap)].reshape(groups, output.shape[1] // groups, -1)
        met = padded[seen]
        padded_gradient[seen] += (filters.swapaxes(1, 2) @ by_group).reshape(met.shape)
        products = by_group @ _grouped(met, groups).swapaxes(2, 3)
        weight_gradient[(..., *tap)] = products.sum(axis=0).reshape(weight.shape[:2])
    gradients = {"weight": weight_gradient}
    if layer.bias:
        gradients["bias"] = gradient.sum(axis=(0, *range(2, gradient.ndim)))
    return [_unbordered(padded_gradient, windows, layer.padding_mode)], gradients


def _transposed_forward(
    layer: TransposedConvolution, inputs: Arrays, parameters: ByName, context: Context
) -> FloatArray:
    (x,) = inputs
    weight, groups, windows = parameters["weight"], layer.groups, layer.transposed_windows
    channels, *sizes = layer.output_shape([x.shape[1:]])
    spread = np.zeros((len(x), channels, *sizes), x.dtype)
    spread = pad(spread, windows)
    for tap, met in taps(windows, x.shape[2:]):
        by_group = weight[(..., *tap)].reshape(groups, len(weight) // groups, -1).swapaxes(1, 2)
        spread[met] += (by_group @ _grouped(x, groups)).reshape(len(x), channels, *x.shape[2:])
    y = unpad(spread, windows)
    return y + parameters["bias"].reshape(-1, *(1,) * len(windows)) if layer.bias else y


def _transposed_backward(
    layer: TransposedConvolution,
    inputs: Arrays,
    parameters: ByName,
    output: FloatArray,
    gradient: FloatArray,
    context: Context,
) -> Gradients:
    (x,) = inputs
    weight, groups, windows = parameters["weight"], layer.groups, layer.transposed_windows
    spread = pad(gradient, windows)
    x_gradient, weight_gradient = np.zeros_like(x), np.zeros_like(weight)
    for tap, met in taps(windows, x.shape[2:]):
        seen = _grouped(spread[met], groups)
        by_group = weight[(..., *tap)].reshape(groups, len(weight) // groups, -1)
        x_gradient += (by_group @ seen).reshape(x.shape)
        products = _grouped(x, groups) @ seen.swapaxes(2, 3)
        weight_gradient[(..., *tap)] = products.sum(axis=0).reshape(weight.shape[:2])
    gradients = {"weight": weight_gradient}
    if layer.bias:
        gradients["bias"] = gradient.sum(axis=(0, *range(2, gradient.ndim)))
    return [x_gradient], gradients


def _linear_forward(layer: Linear, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    y: FloatArray = inputs[0] @ parameters["weight"].T
    return y + parameters["bias"] if layer.bias else y


def _linear_backward(
    layer: Linear, inputs: Arrays, parameters: ByName, output: FloatArray, gradient: FloatArray, context: Context
) -> Gradients:
    gradients = {"weight": gradient.T @ inputs[0]}
    if layer.bias:
        gradients["bias"] = gradient.sum(axis=0)
    return [gradient @ parameters["weight"]], gradients


define(Convolution, Definition(_convolution_forward, _convolution_backward))
define(TransposedConvolution, Definition(_transposed_forward, _transposed_backward))
define(Linear, Definition(_linear_forward, _linear_backward))

"""Convolutions, transposed convolutions and linear layers, by definition: one product for each tap of the kernel."""

from collections.abc import Iterator
from itertools import product
from typing import Any, Literal

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.definitions import Arrays, ByName, Context, Definition, Gradients, define
from foveate.geometry import Window
from foveate.layers import Linear
from foveate.layers.convolution import Convolution
from foveate.layers.transposed import TransposedConvolution

_BORDERS: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
"""NumPy's names for the padding modes that repeat the input."""


def pad(x: FloatArray, windows: tuple[Window, ...], mode: Any = "constant") -> tuple[FloatArray, tuple[Window, ...]]:
    """(N, C, *spatial) with each window's padding around it as NumPy's `mode` fills it, and the windows over that."""
    padded = np.pad(x, [(0, 0), (0, 0), *(window.padding for window in windows)], mode=mode)
    return padded, tuple(Window(w.kernel_size, w.stride, (0, 0), w.dilation) for w in windows)


def _bordered(x: FloatArray, windows: tuple[Window, ...], mode: str) -> tuple[FloatArray, tuple[Window, ...]]:
    """(N, C, *spatial) with a border of copies where `mode` wants one, and the windows over that."""
    return (x, windows) if mode == "zeros" else pad(x, windows, _BORDERS[mode])


def _unbordered(gradient: FloatArray, windows: tuple[Window, ...], mode: str) -> FloatArray:
    """The transpose of `_bordered`: what fell on the border is added to the positions it came from."""
    if mode == "zeros":
        return gradient
    for axis, window in enumerate(windows, start=2):
        size = gradient.shape[axis] - sum(window.padding)
        sources = np.pad(np.arange(size), window.padding, mode=_BORDERS[mode])
        folded = np.zeros_like(gradient, shape=(size, *np.delete(gradient.shape, axis)))
        np.add.at(folded, sources, np.moveaxis(gradient, axis, 0))
        gradient = np.moveaxis(folded, 0, axis)
    return gradient


def taps(
    windows: tuple[Window, ...], sizes: tuple[int, ...], outputs: tuple[int, ...]
) -> Iterator[tuple[Any, Any, Any]]:
    """Each position in the kernel that meets the input, with the slices of the outputs and of the input that it joins.

    What lies in the padding is in no slice: no weight is multiplied by its zeros, and it takes no memory.
    """
    axes = [_meetings(*axis) for axis in zip(windows, sizes, outputs, strict=True)]
    whole = (slice(None), slice(None))
    for met in product(*axes):
        yield tuple(at for at, _, _ in met), (*whole, *(made for _, made, _ in met)), (*whole, *(s for _, _, s in met))


def _meetings(window: Window, size: int, outputs: int) -> list[tuple[int, slice, slice]]:
    """The taps of one axis that meet the input: output o sees position o * stride + tap * dilation - padding."""
    stride, step, before = window.stride, window.dilation, window.padding[0]
    first = max(0, -(-(before - (outputs - 1) * stride) // step))
    last = min(window.kernel_size - 1, (size - 1 + before) // step)
    found = []
    for tap in range(first, last + 1):
        shift = tap * step - before
        begin, end = max(0, -(shift // stride)), min(outputs, (size - 1 - shift) // stride + 1)
        if begin < end:
            start = begin * stride + shift
            found.append((tap, slice(begin, end), slice(start, start + (end - begin - 1) * stride + 1, stride)))
    return found


def _grouped(x: FloatArray, groups: int) -> FloatArray:
    """(N, C, *spatial) as (N, groups, C/groups, positions)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, -1)


def _convolution_forward(layer: Convolution, inputs: Arrays, parameters: ByName, context: Context) -> FloatArray:
    (x,) = inputs
    weight, groups = parameters["weight"], layer.groups
    windows = layer.windows([x.shape[1:]])
    outputs = layer.output_shape([x.shape[1:]])
    bordered, own = _bordered(x, windows, layer.padding_mode)
    y = np.zeros((len(x), *outputs), x.dtype)
    for tap, made, seen in taps(own, bordered.shape[2:], outputs[1:]):
        by_group = weight[(..., *tap)].reshape(groups, outputs[0] // groups, -1)
        y[made] += (by_group @ _grouped(bordered[seen], groups)).reshape(y[made].shape)
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
    bordered, own = _bordered(x, windows, layer.padding_mode)
    x_gradient, weight_gradient = np.zeros_like(bordered), np.zeros_like(weight)
    for tap, made, seen in taps(own, bordered.shape[2:], output.shape[2:]):
        filters = weight[(..., *tap)].reshape(groups, output.shape[1] // groups, -1)
        met, by_group = bordered[seen], _grouped(gradient[made], groups)
        x_gradient[seen] += (filters.swapaxes(1, 2) @ by_group).reshape(met.shape)
        products = by_group @ _grouped(met, groups).swapaxes(2, 3)
        weight_gradient[(..., *tap)] = products.sum(axis=0).reshape(weight.shape[:2])
    gradients = {"weight": weight_gradient}
    if layer.bias:
        gradients["bias"] = gradient.sum(axis=(0, *range(2, gradient.ndim)))
    return [_unbordered(x_gradient, windows, layer.padding_mode)], gradients


def _transposed_forward(
    layer: TransposedConvolution, inputs: Arrays, parameters: ByName, context: Context
) -> FloatArray:
    (x,) = inputs
    weight, groups, windows = parameters["weight"], layer.groups, layer.transposed_windows
    channels, *sizes = layer.output_shape([x.shape[1:]])
    y = np.zeros((len(x), channels, *sizes), x.dtype)
    for tap, from_, to in taps(windows, tuple(sizes), x.shape[2:]):
        by_group = weight[(..., *tap)].reshape(groups, len(weight) // groups, -1).swapaxes(1, 2)
        y[to] += (by_group @ _grouped(x[from_], groups)).reshape(y[to].shape)
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
    x_gradient, weight_gradient = np.zeros_like(x), np.zeros_like(weight)
    for tap, from_, to in taps(windows, gradient.shape[2:], x.shape[2:]):
        arrived, source = _grouped(gradient[to], groups), x[from_]
        by_group = weight[(..., *tap)].reshape(groups, len(weight) // groups, -1)
        x_gradient[from_] += (by_group @ arrived).reshape(source.shape)
        products = _grouped(source, groups) @ arrived.swapaxes(2, 3)
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
    rows = gradient.reshape(-1, gradient.shape[-1])
    gradients = {"weight": rows.T @ inputs[0].reshape(len(rows), -1)}
    if layer.bias:
        gradients["bias"] = rows.sum(axis=0)
    return [gradient @ parameters["weight"]], gradients


define(Convolution, Definition(_convolution_forward, _convolution_backward))
define(TransposedConvolution, Definition(_transposed_forward, _transposed_backward))
define(Linear, Definition(_linear_forward, _linear_backward))

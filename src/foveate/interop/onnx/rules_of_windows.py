"""Rules for operators that slide, pad or pool."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foveate.geometry import Window, output_size
from foveate.graph.builder import Value
from foveate.interop.held import Border, Held, Pairs, held
from foveate.interop.onnx.rules import lined
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import Fixed, Op, check_size
from foveate.interop.walk import NotTakenError
from foveate.layers import Abs, Layer, Pad, Power, Reduce, Reshape
from foveate.layers.adaptive import AdaptiveAveragePooling, AdaptiveMaximumPooling, AdaptivePooling
from foveate.layers.convolution import Convolution
from foveate.layers.pooling import (
    AveragePooling,
    GlobalAveragePooling,
    GlobalMaximumPooling,
    GlobalPooling,
    LPPooling,
    MaxPooling,
)
from foveate.layers.transposed import TransposedConvolution

LOWEST = -3.0e38
"""What padding counts as in a maximum where it is a layer of its own."""


@dataclass(frozen=True)
class Windows:
    """The windows of an operator, its padding resolved."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Pairs

    @classmethod
    def of(cls, op: Op, sizes: Sequence[int], kernel: Sequence[int]) -> "Windows":
        """Those of an operator over an input of these sizes."""
        axes = len(sizes)
        kernel = tuple(map(int, kernel))
        stride, dilation = (tuple(map(int, op.get(name) or (1,) * axes)) for name in ("strides", "dilations"))
        if not 1 <= axes <= 3 or any(len(each) != axes for each in (kernel, stride, dilation)):
            raise NotTakenError(f"its windows have {len(kernel)} axes for {axes} spatial axes; 1 to 3 are computed")
        if min(*kernel, *stride, *dilation) < 1:
            raise NotTakenError(f"its windows are {kernel}, {stride} apart")
        return cls(kernel, stride, dilation, _padding(op, sizes, kernel, stride, dilation))

    def over(self, sizes: Sequence[int]) -> list[tuple[int, Window]]:
        """Each axis's size and window."""
        axes = zip(sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return [(size, Window(*window)) for size, *window in axes]  # type: ignore[arg-type]


def pairs_of(pads: Sequence[int], axes: int) -> Pairs:
    """ONNX lists where padding begins for every axis, and then where it ends."""
    if len(pads) != 2 * axes:
        raise NotTakenError(f"it has {len(pads)} numbers of padding for {axes} axes")
    return tuple((int(begin), int(end)) for begin, end in zip(pads[:axes], pads[axes:], strict=True))


def _padding(
    op: Op, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Pairs:
    how = op.get("auto_pad", "NOTSET")
    if not how.startswith("SAME"):
        return (
            pairs_of(op.get("pads") or (0,) * (2 * len(sizes)), len(sizes))
            if how == "NOTSET"
            else ((0, 0),) * len(sizes)
        )
    totals = [
        max((-(-size // stride) - 1) * stride + gap * (taps - 1) + 1 - size, 0)
        for size, taps, stride, gap in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    halves = [(total // 2, total - total // 2) for total in totals]
    return tuple(halves if how == "SAME_UPPER" else [(end, begin) for begin, end in halves])


def joined(border: Border | None, own: Pairs) -> Pairs:
    """The operator's own padding together with what is pending before it."""
    around = border.pairs if border is not None else ((0, 0),) * len(own)
    return tuple((first + begin, last + end) for (first, last), (begin, end) in zip(around, own, strict=True))


@rule("Conv")
def _(op: Op) -> Held:
    source, weight, bias = op.held(), op.fixed(1), op.optional(2)
    windows = Windows.of(op, source.shape[1:], op.get("kernel_shape") or weight.tensor.shape[2:])
    if source.border is not None and source.border.mode != "zeros" and any(map(any, windows.padding)):
        source = held(op.value())
    border = source.border
    layer = Convolution.over(len(windows.kernel))(
        len(weight.tensor),
        windows.kernel,
        stride=windows.stride,
        padding=joined(border, windows.padding),
        dilation=windows.dilation,
        groups=op.get("group", 1),
        bias=bias is not None,
        padding_mode="zeros" if border is None else border.mode,
    )
    return op.then(layer, op.value() if border is None else source.value, weight=weight, bias=bias)


@rule("ConvTranspose")
def _(op: Op) -> Held:
    value, weight, bias, groups = op.value(), op.fixed(1), op.optional(2), op.get("group", 1)
    sizes = value.shape[1:]
    windows = Windows.of(op, sizes, op.get("kernel_shape") or weight.tensor.shape[2:])
    padding, extra = _transposed_padding(op, windows, sizes)
    layer = TransposedConvolution.over(len(windows.kernel))(
        weight.tensor.shape[1] * groups,
        windows.kernel,
        stride=windows.stride,
        padding=padding,
        output_padding=extra,
        dilation=windows.dilation,
        groups=groups,
        bias=bias is not None,
    )
    return op.then(layer, value, weight=weight, bias=bias)


def _transposed_padding(op: Op, windows: Windows, sizes: Sequence[int]) -> tuple[Pairs, tuple[int, ...]]:
    """Padding and output padding, also if they follow from the output's sizes."""
    extra = tuple(op.get("output_padding") or (0,) * len(sizes))
    how, wanted = op.get("auto_pad", "NOTSET"), op.get("output_shape")
    if not wanted and not how.startswith("SAME"):
        return windows.padding, extra
    wanted = wanted or [size * stride for size, stride in zip(sizes, windows.stride, strict=True)]
    surplus = [
        (size - 1) * stride + gap * (taps - 1) + 1 + more - target
        for size, stride, gap, taps, target, more in zip(
            sizes, windows.stride, windows.dilation, windows.kernel, wanted[-len(sizes) :], extra, strict=True
        )
    ]
    halves = [(max(total, 0) // 2, max(total, 0) - max(total, 0) // 2) for total in surplus]
    padding = tuple(halves if how == "SAME_UPPER" else [(end, begin) for begin, end in halves])
    return padding, tuple(more + max(-total, 0) for more, total in zip(extra, surplus, strict=True))


@rule("MaxPool")
def _(op: Op) -> list[Held | None]:
    value = op.value()
    windows = Windows.of(op, value.shape[1:], op.get("kernel_shape"))
    padding = windows.padding
    if any(max(window.padding) >= window.effective_size for _, window in windows.over(value.shape[1:])):
        value, padding = op.add(Pad(((0, 0), *padding), value=LOWEST), value), ((0, 0),) * len(padding)
    layer = MaxPooling.over(len(windows.kernel))(
        windows.kernel,
        stride=windows.stride,
        padding=padding,
        dilation=windows.dilation,
        ceil_mode=bool(op.get("ceil_mode", 0)),
    )
    if len(op.node.outputs) > 1 and op.taking.readers[op.node.outputs[1]]:
        raise NotTakenError("the places of its maxima are used")
    return [op.then(layer, value), None]


@rule("AveragePool")
def _(op: Op) -> Held:
    source = op.held()
    windows = Windows.of(op, source.shape[1:], op.get("kernel_shape"))
    counts, rounds_up = bool(op.get("count_include_pad", 0)), bool(op.get("ceil_mode", 0))
    border = source.border if counts and not rounds_up and op.get("auto_pad", "NOTSET") == "NOTSET" else None
    value = op.value() if border is None else source.value
    padding = joined(border, windows.padding)
    plain = set(windows.dilation) == {1} and all(
        max(pair) < taps for pair, taps in zip(padding, windows.kernel, strict=True)
    )
    if not plain:
        return _counted(op, value, windows, counts=counts, rounds_up=rounds_up)
    layer = AveragePooling.over(len(windows.kernel))(
        windows.kernel, stride=windows.stride, padding=padding, ceil_mode=rounds_up, count_include_pad=counts
    )
    return op.then(layer, value)


def _counted(op: Op, value: Value, windows: Windows, *, counts: bool, rounds_up: bool) -> Held:
    """Sums over windows, divided by how many positions each has: the definition of an average."""
    sizes = value.shape[1:]
    axes = windows.over(sizes)
    outputs = [output_size(size, window, ceil_mode=rounds_up) for size, window in axes]
    total = _sums(op, value, windows, outputs)
    table = np.ones((1,) * len(sizes), np.float32)
    for axis, ((size, window), made) in enumerate(zip(axes, outputs, strict=True)):
        check_size((made, window.kernel_size))
        begin, end = window.padding if counts else (0, 0)
        starts = np.arange(made) * window.stride - window.padding[0]
        taps = starts[:, None] + np.arange(window.kernel_size) * window.dilation
        inside = ((taps >= -begin) & (taps < size + end)).sum(1)
        table = table * np.maximum(inside, 1).reshape([-1 if each == axis else 1 for each in range(len(sizes))])
    return held(lined(op, total, Fixed((1 / table)[None, None].astype(np.float32)), scale=True))


def _sums(op: Op, value: Value, windows: Windows, outputs: Sequence[int]) -> Value:
    """The sums over windows: a depthwise convolution with ones."""
    channels, axes = value.shape[0], windows.over(value.shape[1:])
    check_size((channels, *windows.kernel))
    padding = tuple(
        (w.padding[0], max((made - 1) * w.stride + w.effective_size - size - w.padding[0], 0))
        for (size, w), made in zip(axes, outputs, strict=True)
    )
    layer = Convolution.over(len(axes))(
        channels,
        windows.kernel,
        stride=windows.stride,
        padding=padding,
        dilation=windows.dilation,
        groups=channels,
        bias=False,
    )
    return op.add(layer, value, weight=Fixed(np.ones((channels, 1, *windows.kernel), np.float32)))


@rule("LpPool")
def _(op: Op) -> Held:
    value, power, rounds_up = op.value(), float(op.get("p", 2)), bool(op.get("ceil_mode", 0))
    windows = Windows.of(op, value.shape[1:], op.get("kernel_shape"))
    if set(windows.dilation) == {1}:
        layer = LPPooling.over(len(windows.kernel))(
            power, windows.kernel, stride=windows.stride, padding=windows.padding, ceil_mode=rounds_up
        )
        return op.then(layer, value)
    powers = op.add(Power(power), op.add(Abs(), value))
    outputs = [output_size(size, window, ceil_mode=rounds_up) for size, window in windows.over(value.shape[1:])]
    return op.then(Power(1 / power), _sums(op, powers, windows, outputs))


_GLOBAL: dict[str, tuple[type[AdaptivePooling], type[GlobalPooling]]] = {
    "mean": (AdaptiveAveragePooling, GlobalAveragePooling),
    "max": (AdaptiveMaximumPooling, GlobalMaximumPooling),
}


@rule("GlobalAveragePool", "GlobalMaxPool")
def _(op: Op) -> Held:
    value = op.value()
    kind = "mean" if op.node.kind == "GlobalAveragePool" else "max"
    if not 2 <= len(value.shape) <= 4:
        return op.then(Reduce(kind, tuple(range(1, len(value.shape))), keepdims=True), value)
    return pooled(op, value, kind, keepdims=True)


def pooled(op: Op, value: Value, kind: str, *, keepdims: bool) -> Held:
    """A mean or maximum over all positions; if it is only ever flattened, a global pooling."""
    axes = len(value.shape) - 1
    adaptive, plain = _GLOBAL[kind]
    if keepdims and not becomes_flat(op, op.node.outputs[0]):
        return op.then(adaptive.over(axes)(1), value)
    made = op.add(plain.over(axes)(), value)
    return Held(made, (value.shape[0], *(1,) * axes) if keepdims else (value.shape[0],))


def becomes_flat(op: Op, name: str, depth: int = 0) -> bool:
    """Whether every operation that reads (C, 1, 1) makes (C,) of it."""
    users = op.taking.users.get(name, [])
    if len(users) < op.taking.readers[name]:  # an output of the network
        return False
    return bool(users) and all(
        user.kind in ("Flatten", "Reshape", "Squeeze")
        or (user.kind in ("Dropout", "Identity") and depth < 8 and becomes_flat(op, user.outputs[0], depth + 1))
        for user in users
    )


@rule("GlobalLpPool")
def _(op: Op) -> Held:
    value, power = op.value(), float(op.get("p", 2))
    powers = op.add(Power(power), op.add(Abs(), value))
    total = op.add(Reduce("sum", tuple(range(1, len(value.shape))), keepdims=True), powers)
    return op.then(Power(1 / power), total)


_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@rule("Pad")
def _(op: Op) -> Held:
    """Before version 11 its numbers are attributes."""
    rank, mode = op.rank(), op.get("mode", "constant")
    if op.opset < 11:
        pads, filler, axes = op.get("pads"), op.get("value", 0.0), list(range(rank))
    else:
        pads, value = op.fixed(1).tensor.reshape(-1).tolist(), op.optional(2)
        filler = 0.0 if value is None or not value.tensor.size else float(value.tensor.reshape(-1)[0])
        chosen = op.optional(3)
        axes = list(range(rank)) if chosen is None else [int(axis) % rank for axis in chosen.tensor.reshape(-1)]
    pairs = [(0, 0)] * rank
    for axis, pair in zip(axes, pairs_of(pads, len(axes)), strict=True):
        pairs[axis] = pair
    if any(pairs[0]):
        raise NotTakenError("it pads the batch")
    if mode not in _MODES:
        raise NotTakenError(f'it pads by "{mode}"')
    return _padded(op, tuple(pairs[1:]), _MODES[mode], filler)


def _padded(op: Op, pairs: Pairs, mode: str, filler: float) -> Held:
    if not any(map(any, pairs)):
        return op.held()
    value = op.value()
    inside = pairs[0] == (0, 0) and min(map(min, pairs)) >= 0 and not (filler and mode == "constant")
    users = op.taking.users.get(op.node.outputs[0], [])
    alone = users[0].kind if len(users) == 1 and op.taking.readers[op.node.outputs[0]] == 1 else ""
    if inside and 2 <= len(pairs) <= 4 and (alone == "Conv" or (alone == "AveragePool" and mode == "constant")):
        shape = tuple(size + begin + end for size, (begin, end) in zip(value.shape, pairs, strict=True))
        return Held(value, shape, border=Border(pairs[1:], mode.replace("constant", "zeros")))
    if mode != "constant" and any(pairs[0]) and len(pairs) < 4:  # copies are of positions, so channels become those
        value = op.add(Reshape((1, *value.shape)), value)
        made = op.add(Pad(((0, 0), *pairs), mode), value)
        return op.then(Reshape(made.shape[1:]), made)
    layer: Layer = Pad(pairs, mode, filler if mode == "constant" else 0.0)
    return op.then(layer, value)

"""Pooling: averages by oneDNN, unless that counts differently from PyTorch; maxima, and averages of long
windows, by kernels of our own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule, blocks_of_channels, channels_last
from foveate.engines.request import Request
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers.adaptive import AdaptiveAveragePooling, AdaptiveMaximumPooling, AdaptivePooling
from foveate.layers.pooling import AveragePooling, GlobalAveragePooling, GlobalMaximumPooling, MaxPooling

MOST_TAPS = 1024
"""The longest window that oneDNN averages: it sums into one float32, whose rounding would exceed the answer's own."""

LANES = 16
"""Channels that divide into whole vectors, whatever the instructions."""


@dataclass(frozen=True)
class _Pool:
    """What kernels need to know of a pooling: its kind, its window, and the output with all spatial axes."""

    kind: str
    window: _native.Window
    taps: int
    output_dims: list[int]


@dataclass(frozen=True, eq=False)
class Pooled:
    """The layouts of input and output, and the maximum's winners."""

    source: _native.Layout
    target: _native.Layout
    winners: Array | None


class PoolingRule(Rule[Pooled]):
    """Windows of one size; the maximum remembers its winners."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether oneDNN's windows, all of one size, can do it and count as PyTorch's do."""
        if isinstance(node.layer, AdaptivePooling):
            axes = zip(node.input_shapes[0][1:], node.output_shape[1:], strict=True)
            return all(size % count == 0 for size, count in axes)
        return not _overhang_counts_differently(node)

    def forward(self, ledger: Ledger, group: Group) -> Result[Pooled]:
        """Pool each window."""
        node, plan = group.head, ledger.plan
        pool = _pool_of(ledger, node)
        source = ledger.values[node.inputs[0]]
        if pool.kind == "max":
            return self._maximum(ledger, group, pool, source)
        if pool.taps > MOST_TAPS:
            return self._average(ledger, group, pool, source)
        any_target = _native.Layout.any(pool.output_dims)
        primitive = _native.pooling_forward(
            pool.kind, source.layout, any_target, pool.window, ledger.request.with_gradients
        )
        output = plan.new(primitive.layout("dst"))
        plan.run(primitive, {"src": source, "dst": output})
        return Result(plan.reshaped(output, ledger.dims(node.name)), Pooled(source.layout, output.layout, None))

    def _maximum(self, ledger: Ledger, group: Group, pool: _Pool, source: Array) -> Result[Pooled]:
        dims = source.layout.dims
        whole = dims[1] % LANES == 0
        if whole and source.layout == channels_last(dims):
            target = channels_last(pool.output_dims)
        else:
            if whole and blocks_of_channels(source.layout) is None:  # number by number it would take many times as long
                source = ledger.plan.in_layout(source, _native.Layout.channel_blocked(dims, LANES))
            source, target = _as_it_lies(ledger, source, pool)
        planes = _native.Planes(source.layout, target, pool.window)
        output, winners = maximum(ledger, source, planes, target)
        return Result(ledger.plan.reshaped(output, ledger.dims(group.output)), Pooled(source.layout, target, winners))

    def _average(self, ledger: Ledger, group: Group, pool: _Pool, source: Array) -> Result[Pooled]:
        if _means_of_tiles(ledger, group.head, source.layout):
            target = channels_last(pool.output_dims)
            output = ledger.plan.new(target)
            ledger.plan.run(_means(source.layout.dims, pool.output_dims), {"src": source, "dst": output})
            return Result(ledger.plan.reshaped(output, ledger.dims(group.output)), Pooled(source.layout, target, None))
        source, target = _as_it_lies(ledger, source, pool)
        output = ledger.plan.new(target)
        operation = _native.average(_native.Planes(source.layout, target, pool.window), pool.kind == "average")
        ledger.plan.run(operation, {"src": source, "dst": output})
        return Result(ledger.plan.reshaped(output, ledger.dims(group.output)), Pooled(source.layout, target, None))

    def backward(self, ledger: Ledger, group: Group, saved: Pooled, gradient: Array) -> None:
        """Send each window's gradient to its winner, or in equal shares to its members."""
        node, plan = group.head, ledger.plan
        if not ledger.wants_gradient(node.inputs[0]):
            return
        pool = _pool_of(ledger, node)
        arriving = plan.in_layout(plan.reshaped(gradient, pool.output_dims), saved.target)
        if pool.kind == "max":
            result = plan.new(saved.source)
            operation = _native.maximum_backward(_native.Planes(saved.source, saved.target, pool.window))
            plan.run(operation, {"diff_dst": arriving, "winners": saved.winners, "diff_src": result})
        else:
            primitive = _native.pooling_backward(pool.kind, saved.source, saved.target, pool.window)
            result = plan.new(primitive.layout("diff_src"))
            plan.run(primitive, {"diff_dst": arriving, "diff_src": result})
        ledger.add_gradient(node.inputs[0], result)


def maximum(
    ledger: Ledger, source: Array, planes: _native.Planes, target: _native.Layout
) -> tuple[Array, Array | None]:
    """The maximum of each window, in the layout `target`, and which tap won, if there is a way back."""
    output, winners = ledger.plan.new(target), None
    if ledger.request.with_gradients:
        winners = ledger.plan.new(_native.Layout.plain([-(-planes.winner_bytes // 4)]))
    ledger.plan.run(_native.maximum(planes), {"src": source, "dst": output, "winners": winners})
    return output, winners


def _means_of_tiles(ledger: Ledger, node: Node, layout: _native.Layout) -> bool:
    """Whether channels lie last, and there is a sample for each thread: a kernel takes a whole sample."""
    tiles = isinstance(node.layer, GlobalAveragePooling | AdaptiveAveragePooling)
    fits = layout == channels_last(layout.dims) and layout.dims[1] % LANES == 0
    return tiles and fits and ledger.batch_size >= ledger.threads


def _means(dims: list[int], made: list[int]) -> _native.Operation:
    """The means of tiles of equal sizes, of channels that lie side by side."""
    missing = 5 - len(dims)
    sizes, counts = ([1] * missing + each[2:] for each in (dims, made))
    lengths = [size // count for size, count in zip(sizes, counts, strict=True)]
    begins = [[i * length for i in range(count)] for length, count in zip(lengths, counts, strict=True)]
    ends = [[begin + length for begin in axis] for length, axis in zip(lengths, begins, strict=True)]
    weights = [[1 / length] * count for length, count in zip(lengths, counts, strict=True)]
    return _native.channel_boxes(dims[0], dims[1], sizes, begins, ends, weights, 0.0)


def _as_it_lies(ledger: Ledger, source: Array, pool: _Pool) -> tuple[Array, _native.Layout]:
    """The source for a kernel of our own, in its blocks of channels or plain, and the same layout for the output."""
    block = blocks_of_channels(source.layout)
    if block is None:
        return ledger.plan.plain(source), _native.Layout.plain(pool.output_dims)
    return source, _native.Layout.channel_blocked(pool.output_dims, block)


def _pool_of(ledger: Ledger, node: Node) -> _Pool:
    layer = node.layer
    spatial = node.input_shapes[0][1:]
    windows: Sequence[Window]
    if isinstance(layer, (GlobalAveragePooling, GlobalMaximumPooling)):
        windows = [Window(size) for size in spatial]
        outputs = [1] * len(spatial)
    elif isinstance(layer, AdaptivePooling):
        outputs = list(node.output_shape[1:])
        windows = [Window(size // count, size // count) for size, count in zip(spatial, outputs, strict=True)]
    else:
        windows = node.windows or ()
        outputs = list(node.output_shape[1:])
    is_maximum = isinstance(layer, (MaxPooling, GlobalMaximumPooling, AdaptiveMaximumPooling))
    kind = "max" if is_maximum else "average"
    if isinstance(layer, AveragePooling) and not layer.count_include_pad:
        kind = "average without padding"
    ends = [max(w.padding[1], reach) for w, reach in zip(windows, _reaches(node, windows, outputs), strict=True)]
    window = _native.Window(
        [w.kernel_size for w in windows],
        [w.stride for w in windows],
        [w.dilation for w in windows],
        [w.padding[0] for w in windows],
        ends,
    )
    taps = prod(w.kernel_size for w in windows)
    return _Pool(kind, window, taps, [ledger.batch_size, node.input_shapes[0][0], *outputs])


def _reaches(node: Node, windows: Sequence[Window], outputs: Sequence[int]) -> list[int]:
    """How far the last window reaches past the end of the input, on each axis."""
    return [
        (count - 1) * w.stride + w.effective_size - w.padding[0] - size
        for w, count, size in zip(windows, outputs, node.input_shapes[0][1:], strict=True)
    ]


def _overhang_counts_differently(node: Node) -> bool:
    layer = node.layer
    if not isinstance(layer, AveragePooling) or not layer.ceil_mode or not layer.count_include_pad:
        return False
    windows = node.windows or ()
    reaches = _reaches(node, windows, node.output_shape[1:])
    return any(reach > w.padding[1] for reach, w in zip(reaches, windows, strict=True))

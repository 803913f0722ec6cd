"""Pooling over boxes of different sizes, or cut off at the end: means, maxima and norms by kernels of our own."""

from dataclasses import dataclass

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule, blocks_of_channels
from foveate.engines.native.rules.resizing import resized, resized_backward
from foveate.engines.request import Request
from foveate.geometry import Window, adaptive_bins
from foveate.graph import Node
from foveate.layers.adaptive import AdaptiveAveragePooling, AdaptiveMaximumPooling, AdaptivePooling
from foveate.layers.pooling import AveragePooling, LPPooling
from foveate.layers.resize import Taps


@dataclass(frozen=True)
class Axis:
    """The boxes along an axis of `size` positions, and how many positions each mean counts."""

    size: int
    bins: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Boxed:
    """The input and the output, and the maximum's winners."""

    source: Array
    output: Array
    winners: Array | None


class BoxRule(Rule[Boxed]):
    """Windows of different sizes, in the plain layout; means and norms where channels lie in blocks, if they do."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether every box has a position."""
        return all(begin < end for axis in _axes(node) for begin, end in axis.bins)

    def forward(self, ledger: Ledger, group: Group) -> Result[Boxed]:
        """Pool each box."""
        node, plan = group.head, ledger.plan
        source, winners = ledger.values[node.inputs[0]], None
        block = blocks_of_channels(source.layout)
        if block is not None and not isinstance(node.layer, AdaptiveMaximumPooling):
            output = plan.new(_native.Layout.channel_blocked(ledger.dims(node.name), block))
            plan.run(_native.channel_boxes(*_in_blocks(ledger, node, block)), {"src": source, "dst": output})
            return Result(output, Boxed(source, output, None))
        source = plan.plain(source)
        if isinstance(node.layer, AdaptiveAveragePooling | AveragePooling):
            output = resized(ledger, source, _means(node))
            return Result(output, Boxed(source, output, None))
        output = plan.new(ledger.plain_layout(node.name))
        if isinstance(node.layer, LPPooling):
            plan.run(_native.box_norm(_boxes(ledger, node), node.layer.norm_type), {"src": source, "dst": output})
            return Result(output, Boxed(source, output, None))
        if ledger.request.with_gradients:
            winners = plan.new(output.layout)
        plan.run(_native.box_maximum(_boxes(ledger, node)), {"src": source, "dst": output, "winners": winners})
        return Result(output, Boxed(source, output, winners))

    def backward(self, ledger: Ledger, group: Group, saved: Boxed, gradient: Array) -> None:
        """Give the positions of each box their shares of its gradient."""
        node, plan = group.head, ledger.plan
        if not ledger.wants_gradient(node.inputs[0]):
            return
        block = blocks_of_channels(saved.source.layout)
        if block is not None:
            ledger.add_gradient(node.inputs[0], self._to_blocks(ledger, node, saved, gradient, block))
            return
        gradient = plan.plain(gradient)
        if isinstance(node.layer, AdaptiveAveragePooling | AveragePooling):
            dims = saved.source.layout.dims
            ledger.add_gradient(node.inputs[0], resized_backward(ledger, gradient, _means(node), dims))
            return
        result = plan.new(saved.source.layout)
        if isinstance(node.layer, LPPooling):
            operation = _native.box_norm_backward(_boxes(ledger, node), node.layer.norm_type)
            operands = {"src": saved.source, "dst": saved.output, "diff_dst": gradient, "diff_src": result}
            plan.run(operation, operands)
        else:
            operation = _native.box_maximum_backward(_boxes(ledger, node))
            plan.run(operation, {"diff_dst": gradient, "winners": saved.winners, "diff_src": result})
        ledger.add_gradient(node.inputs[0], result)

    def _to_blocks(self, ledger: Ledger, node: Node, saved: Boxed, gradient: Array, block: int) -> Array:
        plan = ledger.plan
        result = plan.new(saved.source.layout)
        operands = {"diff_dst": plan.in_layout(gradient, saved.output.layout), "diff_src": result}
        if isinstance(node.layer, LPPooling):
            operands |= {"src": saved.source, "dst": saved.output}
        plan.run(_native.channel_boxes_backward(*_in_blocks(ledger, node, block)), operands)
        return result


def _axes(node: Node) -> list[Axis]:
    sizes, outputs = node.input_shapes[0][1:], node.output_shape[1:]
    if isinstance(node.layer, AdaptivePooling):
        bins = [tuple(adaptive_bins(size, count)) for size, count in zip(sizes, outputs, strict=True)]
        return [
            Axis(size, each, tuple(end - begin for begin, end in each)) for size, each in zip(sizes, bins, strict=True)
        ]
    assert isinstance(node.layer, AveragePooling | LPPooling)
    counts_padding = isinstance(node.layer, AveragePooling) and node.layer.count_include_pad
    windows = node.windows or ()
    return [_cut(*each, counts_padding=counts_padding) for each in zip(windows, sizes, outputs, strict=True)]


def _cut(window: Window, size: int, outputs: int, *, counts_padding: bool) -> Axis:
    """Windows without what is beyond the input; a mean may count the padding, but nothing beyond that."""
    begins = [i * window.stride - window.padding[0] for i in range(outputs)]
    bins = tuple((max(0, begin), min(size, begin + window.kernel_size)) for begin in begins)
    if not counts_padding:
        return Axis(size, bins, tuple(end - begin for begin, end in bins))
    last = size + window.padding[1]
    return Axis(size, bins, tuple(min(last, begin + window.kernel_size) - begin for begin in begins))


def _means(node: Node) -> list[Taps]:
    """Along each axis every box's mean, as weights."""
    return [
        tuple((begin, (1 / count,) * (end - begin)) for (begin, end), count in zip(axis.bins, axis.counts, strict=True))
        for axis in _axes(node)
    ]


def _boxes(ledger: Ledger, node: Node) -> _native.Boxes:
    return _native.Boxes(ledger.batch_size * node.input_shapes[0][0], *_three_axes(_axes(node)))


_Sides = list[list[int]]


def _three_axes(axes: list[Axis]) -> tuple[list[int], _Sides, _Sides]:
    """Sizes, and where boxes begin and end, with axes of one position before those that there are."""
    axes = [Axis(1, ((0, 1),), (1,))] * (3 - len(axes)) + axes
    begins, ends = ([[box[side] for box in axis.bins] for axis in axes] for side in (0, 1))
    return [axis.size for axis in axes], begins, ends


def _in_blocks(
    ledger: Ledger, node: Node, block: int
) -> tuple[int, int, list[int], _Sides, _Sides, list[list[float]], float]:
    """What the kernels for blocks of channels are made from: norms have no weights, and means are the norm 0."""
    axes = _axes(node)
    planes = ledger.batch_size * -(-node.input_shapes[0][0] // block)
    if isinstance(node.layer, LPPooling):
        return (planes, block, *_three_axes(axes), [], node.layer.norm_type)
    weights = [[1.0]] * (3 - len(axes)) + [[1 / count for count in axis.counts] for axis in axes]
    return (planes, block, *_three_axes(axes), weights, 0.0)

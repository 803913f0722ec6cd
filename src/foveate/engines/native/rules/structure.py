"""Add, Multiply, Flatten, ChannelShuffle, pixel shuffles and dropout."""

from collections.abc import Callable, Sequence
from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array, Plan
from foveate.engines.native.rules.base import Result, Rule, activation_backward, blocks_of_channels, channels_last
from foveate.engines.native.rules.movement import reordered
from foveate.engines.random import stream_key
from foveate.engines.request import Request
from foveate.graph import Node
from foveate.layers import ChannelShuffle, SpatialDropout
from foveate.layers.pixels import PixelMoving
from foveate.layers.structure import Dropping

LayoutOf = Callable[[list[int]], _native.Layout]
"""From dims to a layout."""

_plain: LayoutOf = _native.Layout.plain


class AddRule(Rule[Array]):
    """A sum of equal shapes, fused with a ReLU that follows."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether nothing is repeated."""
        return len(set(node.input_shapes)) == 1

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """Add in the first blocked layout among the inputs."""
        values = [ledger.values[name] for name in group.head.inputs]
        layout = next((value.layout for value in values if not value.layout.is_plain), values[0].layout)
        output = ledger.plan.new(layout)
        sources = [ledger.plan.in_layout(value, layout) for value in values]
        ledger.plan.sum(output, sources, relu=group.activation is not None)
        return Result(output, output)

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """Send the same gradient to every input."""
        if group.activation is not None:
            gradient = activation_backward(ledger, group.activation, saved, gradient)
        for name in group.head.inputs:
            ledger.add_gradient(name, gradient)


class MultiplyRule(Rule[list[Array]]):
    """A product; an input with a single position is repeated over the others'."""

    def forward(self, ledger: Ledger, group: Group) -> Result[list[Array]]:
        """Multiply two at a time, the larger first; in the layout of that one, if nothing goes back."""
        node, plan = group.head, ledger.plan
        like, channels = _plain, {shape[0] for shape in node.input_shapes}
        if ledger.can_derive and len(node.output_shape) > 1 and len(channels) == 1:
            like = _layouts_like(ledger.values[self._order(group)[0]].layout)
        total, *rest = self._factors(ledger, group, like)
        partial = []
        for factor in rest:
            partial.append(total)
            total = self._product(ledger, total, factor, like(ledger.dims(node.name)))
        return Result(plan.reshaped(total, ledger.dims(node.name)), partial)

    def backward(self, ledger: Ledger, group: Group, saved: list[Array], gradient: Array) -> None:
        """For each input, the gradient times all others, summed if the input was repeated."""
        node, plan = group.head, ledger.plan
        first, *rest = self._factors(ledger, group, _plain)
        gradient, layout = plan.plain(gradient), ledger.plain_layout(node.name)
        for factor, before, name in reversed(list(zip(rest, saved, self._order(group)[1:], strict=True))):
            share = self._product(ledger, gradient, before, layout)
            ledger.add_gradient(name, self._summed(ledger, share, factor, name))
            gradient = self._product(ledger, gradient, factor, layout)
        name = self._order(group)[0]
        ledger.add_gradient(name, self._summed(ledger, gradient, first, name))

    def _order(self, group: Group) -> list[str]:
        """Names of the inputs, one of the full size first."""
        full = group.head.output_shape
        pairs = zip(group.head.inputs, group.head.input_shapes, strict=True)
        return [name for name, _ in sorted(pairs, key=lambda pair: pair[1] != full)]

    def _factors(self, ledger: Ledger, group: Group, like: LayoutOf) -> list[Array]:
        plan, axes = ledger.plan, len(group.head.output_shape) + 1
        arrays = [ledger.values[name] for name in self._order(group)]
        whole = [a if len(a.layout.dims) == axes else _with_axes(plan, a, axes) for a in arrays]
        return [plan.in_layout(a, like(a.layout.dims)) for a in whole]

    def _product(self, ledger: Ledger, left: Array, right: Array, layout: _native.Layout) -> Array:
        target = ledger.plan.new(layout)
        operation = _native.multiply(left.layout, right.layout, target.layout)
        ledger.plan.run(operation, {"src": left, "second_src": right, "dst": target})
        return target

    def _summed(self, ledger: Ledger, share: Array, factor: Array, name: str) -> Array:
        plan = ledger.plan
        if share.layout.dims != factor.layout.dims:
            total = plan.new(factor.layout)
            plan.run(_native.sum_along(share.layout, total.layout), {"src": share, "dst": total})
            share = total
        return plan.reshaped(share, ledger.dims(name))


def _with_axes(plan: Plan, array: Array, axes: int) -> Array:
    """With axes of one position at the end."""
    return plan.reshaped(plan.plain(array), [*array.layout.dims, *(1,) * (axes - len(array.layout.dims))])


def _layouts_like(layout: _native.Layout) -> LayoutOf:
    """The layouts of the same kind: channels last or in blocks, else plain."""
    block = blocks_of_channels(layout)
    if block is not None:
        return lambda dims: _native.Layout.channel_blocked(dims, block)
    return channels_last if layout == channels_last(layout.dims) and not layout.is_plain else _plain


class MovementRule(Rule[None]):
    """ChannelShuffle and the pixel shuffles: every value of a sample copied to its place, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """Split the axes, put them into another order, join them."""
        split, order = self._movement(group)
        source = ledger.values[group.head.inputs[0]]
        return Result(self._moved(ledger, source, split, order, ledger.dims(group.output)), None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """Move every value back to where it came from."""
        name, (split, order) = group.head.inputs[0], self._movement(group)
        opposite = sorted(range(len(order)), key=order.__getitem__)
        made = [split[axis] for axis in order]
        ledger.add_gradient(name, self._moved(ledger, gradient, made, opposite, ledger.dims(name)))

    def _movement(self, group: Group) -> tuple[Sequence[int], Sequence[int]]:
        """Sizes of the split axes, and their order in the output."""
        layer, (shape,) = group.head.layer, group.head.input_shapes
        if isinstance(layer, ChannelShuffle):  # output channel k*G + g comes from g*K + k
            return (layer.groups, shape[0] // layer.groups, prod(shape[1:])), (1, 0, 2)
        assert isinstance(layer, PixelMoving)
        return layer.movement(shape)

    def _moved(
        self, ledger: Ledger, source: Array, split: Sequence[int], order: Sequence[int], dims: list[int]
    ) -> Array:
        plan = ledger.plan
        parts = plan.reshaped(plan.plain(source), [ledger.batch_size, *split])
        return plan.reshaped(plan.plain(reordered(ledger, parts, order)), dims)


class FlattenRule(Rule[None]):
    """The same numbers in the plain layout, with one axis."""

    def forward(self, ledger: Ledger, group: Group) -> Result[None]:
        """A view if the layout allows it."""
        return Result(ledger.plan.reshaped(ledger.values[group.head.inputs[0]], ledger.dims(group.output)), None)

    def backward(self, ledger: Ledger, group: Group, saved: None, gradient: Array) -> None:
        """A view back."""
        source = group.head.inputs[0]
        ledger.add_gradient(source, ledger.plan.reshaped(gradient, ledger.dims(source)))


class DropoutRule(Rule[Array | None]):
    """In training a product with random factors, which are kept for the way back; nothing in inference."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array | None]:
        """Drop in the plain layout, because elements are numbered by it."""
        node, plan = group.head, ledger.plan
        source = ledger.values[node.inputs[0]]
        if not ledger.request.training:
            return Result(source, None)
        assert isinstance(node.layer, Dropping)
        source = plan.plain(source)
        output, factor = plan.new(source.layout), plan.new(source.layout)
        span = prod(node.input_shapes[0][1:]) if isinstance(node.layer, SpatialDropout) else 1
        count = source.layout.bytes // 4
        operation = _native.dropout(count // span, span, node.layer.rate, stream_key(node.name))
        plan.run(operation, {"src": source, "dst": output, "factor": factor})
        return Result(output, factor)

    def backward(self, ledger: Ledger, group: Group, saved: Array | None, gradient: Array) -> None:
        """Multiply by the same factors."""
        plan = ledger.plan
        if saved is not None:
            operands = {"src": plan.plain(gradient), "second_src": saved, "dst": plan.new(saved.layout)}
            plan.run(_native.product(saved.layout.bytes // 4), operands)
            gradient = operands["dst"]
        ledger.add_gradient(group.head.inputs[0], gradient)

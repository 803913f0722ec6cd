"""Two arrays combined with repetition: sums, maxima, powers and others; Affine's numbers and PReLU's slopes."""

from collections.abc import Sequence

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.engines.native.rules.movement import plain_strides
from foveate.graph import Node
from foveate.layers import Add, Affine, Divide, PReLU, Raise
from foveate.layers.broadcasting import filled


def combined(ledger: Ledger, kind: str, left: Array, right: Array) -> Array:
    """A plain array of two plain ones with the same number of axes; axes of length 1 are repeated."""
    sizes = [max(pair) for pair in zip(left.layout.dims, right.layout.dims, strict=True)]
    target = ledger.plan.new(_native.Layout.plain(sizes))
    strides = [_strides(array.layout.dims, sizes) for array in (left, right)]
    operation = _native.combining(kind, *_joined(sizes, *strides))
    ledger.plan.run(operation, {"src": left, "second_src": right, "dst": target})
    return target


def summed(ledger: Ledger, gradient: Array, dims: list[int]) -> Array:
    """The gradient of an array of `dims` that was repeated, from that of the whole."""
    if gradient.layout.dims == dims:
        return gradient
    total = ledger.plan.new(_native.Layout.plain(dims))
    ledger.plan.run(_native.sum_along(gradient.layout, total.layout), {"src": gradient, "dst": total})
    return total


def _strides(dims: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """How far neighbours lie apart in a plain array that is repeated to `sizes`."""
    pairs = zip(plain_strides(dims), dims, sizes, strict=True)
    return [0 if own < size or size == 1 else stride for stride, own, size in pairs]


def _joined(sizes: Sequence[int], left: Sequence[int], right: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Fewer and longer axes of the same numbers: those that follow one another in both arrays are one.

    >>> _joined([2, 3, 4], [12, 4, 1], [0, 4, 1])
    ([2, 12], [12, 1], [0, 1])
    """
    axes: list[tuple[int, int, int]] = []
    for size, *strides in zip(sizes, left, right, strict=True):
        if size == 1:
            continue
        if axes and list(axes[-1][1:]) == [size * stride for stride in strides]:
            size *= axes.pop()[0]  # noqa: PLW2901 (the longer axis takes its place)
        axes.append((size, strides[0], strides[1]))
    made = axes or [(1, 0, 0)]
    return [axis[0] for axis in made], [axis[1] for axis in made], [axis[2] for axis in made]


class CombiningRule(Rule[list[Array]]):
    """Sums, differences, quotients and powers by a kernel of our own, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[list[Array]]:
        """Combine two at a time; what the way back needs is every term."""
        terms = _terms(ledger, group.head)
        kind = _kind(group.head)
        total = terms[0]
        for term in terms[1:]:
            total = combined(ledger, kind, total, term)
        return Result(ledger.plan.reshaped(total, ledger.dims(group.output)), [*terms, total])

    def backward(self, ledger: Ledger, group: Group, saved: list[Array], gradient: Array) -> None:
        """To each term its own derivative, summed where the term was repeated."""
        layer, plan = group.head.layer, ledger.plan
        *terms, total = saved
        gradient = plan.plain(gradient)
        shares = [gradient] * len(terms)
        if isinstance(layer, Raise):
            shares = [
                combined(ledger, "multiply", gradient, combined(ledger, f"raise by {which}", *terms))
                for which in ("base", "exponent")
            ]
        elif isinstance(layer, Divide):
            shares[0] = combined(ledger, "divide", gradient, terms[1])
            if ledger.wants_gradient(group.head.inputs[1]):
                shares[1] = self._negative(ledger, combined(ledger, "multiply", shares[0], total))
        elif not isinstance(layer, Add) and ledger.wants_gradient(group.head.inputs[1]):
            shares[1] = self._negative(ledger, gradient)
        for name, share, term in zip(group.head.inputs, shares, terms, strict=True):
            if ledger.wants_gradient(name):
                ledger.add_gradient(name, plan.reshaped(summed(ledger, share, term.layout.dims), ledger.dims(name)))

    def _negative(self, ledger: Ledger, array: Array) -> Array:
        target = ledger.plan.new(array.layout)
        operation = _native.elementwise("line", -1.0, 0.0, array.layout.bytes // 4)
        ledger.plan.run(operation, {"src": array, "dst": target})
        return target


class ExtremeRule(Rule[tuple[list[Array], list[Array]]]):
    """The largest or the smallest of several inputs, two at a time, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[tuple[list[Array], list[Array]]]:
        """Compare each with the best so far; all of them are saved."""
        terms = _terms(ledger, group.head)
        totals = terms[:1]
        for term in terms[1:]:
            totals.append(combined(ledger, _kind(group.head), totals[-1], term))
        return Result(ledger.plan.reshaped(totals[-1], ledger.dims(group.output)), (terms, totals))

    def backward(self, ledger: Ledger, group: Group, saved: tuple[list[Array], list[Array]], gradient: Array) -> None:
        """From the last to the first: to each its share, the rest to those before."""
        plan, kind, (terms, totals) = ledger.plan, f"of {_kind(group.head)}", saved
        names, gradient = group.head.inputs, plan.plain(gradient)
        for name, term, before in zip(names[:0:-1], terms[:0:-1], totals[-2::-1], strict=True):
            if ledger.wants_gradient(name):
                share = combined(ledger, "multiply", gradient, combined(ledger, kind, term, before))
                ledger.add_gradient(name, plan.reshaped(summed(ledger, share, term.layout.dims), ledger.dims(name)))
            rest = combined(ledger, "multiply", gradient, combined(ledger, kind, before, term))
            gradient = summed(ledger, rest, before.layout.dims)
        if ledger.wants_gradient(names[0]):
            ledger.add_gradient(names[0], plan.reshaped(gradient, ledger.dims(names[0])))


def _kind(node: Node) -> str:
    """The kernel's name for a layer."""
    return type(node.layer).__name__.lower()


def _terms(ledger: Ledger, node: Node) -> list[Array]:
    """The inputs with the same number of axes."""
    plan, axes = ledger.plan, len(node.output_shape) + 1
    arrays = [plan.plain(ledger.values[name]) for name in node.inputs]
    return [plan.reshaped(array, list(filled(array.layout.dims, axes))) for array in arrays]


class SpreadPReLURule(Rule[Array]):
    """The rectifier whose learned slopes differ along any axes, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """Apply it; its input is saved."""
        source = ledger.plan.plain(ledger.values[group.head.inputs[0]])
        return Result(combined(ledger, "prelu", source, self._slopes(ledger, group.head)), source)

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """Gradients for the input and for the slopes."""
        node, gradient = group.head, ledger.plan.plain(gradient)
        slopes = self._slopes(ledger, node)
        if ledger.learns(node, "weight"):
            total = summed(ledger, combined(ledger, "prelu below", saved, gradient), slopes.layout.dims)
            ledger.finish_gradient(node, "weight", Array(ledger.parameter(node, "weight").layout, total.storage))
        slope = combined(ledger, "prelu slope", saved, slopes)
        ledger.add_gradient(node.inputs[0], combined(ledger, "multiply", gradient, slope))

    def _slopes(self, ledger: Ledger, node: Node) -> Array:
        assert isinstance(node.layer, PReLU)
        dims = [1, *node.layer.spread_shape(node.input_shapes[0])]
        return ledger.plan.reshaped(ledger.parameter(node, "weight"), dims)


class AffineRule(Rule[Array]):
    """A product with the weight, then a sum with the bias, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Array]:
        """Both, where they are there; the input is saved."""
        node, plan = group.head, ledger.plan
        source = value = plan.plain(ledger.values[node.inputs[0]])
        for kind, name in (("multiply", "weight"), ("add", "bias")):
            if name in node.layer.parameters(node.input_shapes):
                value = combined(ledger, kind, value, self._spread(ledger, node, ledger.parameter(node, name)))
        return Result(value, source)

    def backward(self, ledger: Ledger, group: Group, saved: Array, gradient: Array) -> None:
        """To the numbers the sums of what met them, to the input its product with the weight."""
        node, gradient = group.head, ledger.plan.plain(gradient)
        parameters = node.layer.parameters(node.input_shapes)
        if "bias" in parameters:
            self._learn(ledger, node, "bias", gradient)
        if "weight" in parameters:
            if ledger.learns(node, "weight"):
                self._learn(ledger, node, "weight", combined(ledger, "multiply", gradient, saved))
            weight = self._spread(ledger, node, ledger.parameter(node, "weight"))
            gradient = combined(ledger, "multiply", gradient, weight)
        ledger.add_gradient(node.inputs[0], gradient)

    def _learn(self, ledger: Ledger, node: Node, name: str, share: Array) -> None:
        if not ledger.learns(node, name):
            return
        layout = ledger.parameter(node, name).layout
        total = summed(ledger, share, self._spread_dims(node))
        ledger.finish_gradient(node, name, Array(layout, total.storage))

    def _spread_dims(self, node: Node) -> list[int]:
        assert isinstance(node.layer, Affine)
        return [1, *node.layer.spread_shape(node.input_shapes[0])]

    def _spread(self, ledger: Ledger, node: Node, parameter: Array) -> Array:
        return ledger.plan.reshaped(parameter, self._spread_dims(node))

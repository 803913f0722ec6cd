"""MatMul: oneDNN's products of a batch of matrices, there and back."""

from collections.abc import Sequence

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.engines.native.rules.combining import summed


class MatMulRule(Rule[list[Array]]):
    """A product of two inputs; a transposed one is read as it lies."""

    def forward(self, ledger: Ledger, group: Group) -> Result[list[Array]]:
        """One product for each sample and position before the last two axes; both inputs are saved."""
        left, right = (ledger.values[name] for name in group.head.inputs)
        return Result(_product(ledger, left, right), [left, right])

    def backward(self, ledger: Ledger, group: Group, saved: list[Array], gradient: Array) -> None:
        """To each input a product of the gradient with the other one, summed if the input was repeated."""
        (first, second), (left, right) = group.head.inputs, saved
        if ledger.wants_gradient(first):
            share = _product(ledger, gradient, _turned(ledger, right))
            ledger.add_gradient(first, summed(ledger, share, left.layout.dims))
        if ledger.wants_gradient(second):
            share = _product(ledger, _turned(ledger, left), gradient)
            ledger.add_gradient(second, summed(ledger, share, right.layout.dims))


def _product(ledger: Ledger, left: Array, right: Array) -> Array:
    """The product in the plain layout."""
    plan = ledger.plan
    left, right = _readable(ledger, left), _readable(ledger, right)
    before = map(max, left.layout.dims[:-2], right.layout.dims[:-2])
    target = _native.Layout.plain([*before, left.layout.dims[-2], right.layout.dims[-1]])
    primitive = _native.matmul(left.layout, right.layout, target)
    if primitive.implementation.startswith("ref"):
        left, right = plan.plain(left), plan.plain(right)
        primitive = _native.matmul(left.layout, right.layout, target)
    result = plan.new(target)
    plan.run(primitive, {"src": left, "weights": right, "dst": result})
    return result


def _readable(ledger: Ledger, array: Array) -> Array:
    """An array whose numbers lie side by side along one of the last two axes, as oneDNN reads matrices."""
    layout = array.layout
    if layout.inner_blocks or 1 not in layout.strides[-2:] or not _is_dense(layout.dims, layout.strides):
        return ledger.plan.plain(array)
    return array


def _is_dense(dims: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether rows, or columns, follow one another without overlapping."""
    (rows, columns), (row, column) = dims[-2:], strides[-2:]
    return (column == 1 and row >= columns) or (row == 1 and column >= rows)


def _turned(ledger: Ledger, array: Array) -> Array:
    """A view with the last two axes exchanged."""
    array = _readable(ledger, array)
    dims, strides = list(array.layout.dims), list(array.layout.strides)
    dims[-2:], strides[-2:] = dims[:-3:-1], strides[:-3:-1]
    return Array(_native.Layout.strided(dims, strides), array.storage)

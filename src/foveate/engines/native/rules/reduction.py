"""Reduce: many numbers made one, along any axes, by a kernel of our own."""

from math import prod

import numpy as np

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.layers import Reduce


class ReduceRule(Rule[tuple[Array, Array]]):
    """Every output goes over the numbers that it is made of, in the plain layout."""

    def forward(self, ledger: Ledger, group: Group) -> Result[tuple[Array, Array]]:
        """Reduce; the way back from products, maxima and minima needs both sides."""
        plan = ledger.plan
        source = plan.plain(ledger.values[group.head.inputs[0]])
        output = plan.new(ledger.plain_layout(group.output))
        plan.run(_native.reduction(*self._places(ledger, group)), {"src": source, "dst": output})
        return Result(output, (source, output))

    def backward(self, ledger: Ledger, group: Group, saved: tuple[Array, Array], gradient: Array) -> None:
        """Share the gradient among the numbers."""
        plan, (source, output) = ledger.plan, saved
        result = plan.new(source.layout)
        operands: dict[str, Array | None] = {"diff_dst": plan.plain(gradient), "diff_src": result}
        assert isinstance(group.head.layer, Reduce)
        if group.head.layer.kind in ("prod", "max", "min"):
            operands |= {"src": source, "dst": output}
        plan.run(_native.reduction_backward(*self._places(ledger, group)), operands)
        ledger.add_gradient(group.head.inputs[0], result)

    def _places(self, ledger: Ledger, group: Group) -> tuple[str, int, int, list[int], list[int]]:
        """The kind, the batch, a sample's numbers, where each output begins, and how far from there its numbers are."""
        layer, shape = group.head.layer, group.head.input_shapes[0]
        assert isinstance(layer, Reduce)
        axes = layer.axes_of(shape)
        first = tuple(0 if axis in axes else slice(None) for axis in range(len(shape)))
        own = tuple(slice(None) if axis in axes else 0 for axis in range(len(shape)))
        numbers = np.arange(prod(shape)).reshape(shape)
        begins, taps = np.ravel(numbers[first]).tolist(), np.ravel(numbers[own]).tolist()
        return layer.kind, ledger.batch_size, prod(shape), begins, taps

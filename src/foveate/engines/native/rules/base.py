"""The base of rules, and the steps that several rules need."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from foveate.engines.native import _native
from foveate.engines.native.elementwise import elementwise
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.request import Request
from foveate.graph import Node

Saved = TypeVar("Saved")


@dataclass(frozen=True, eq=False)
class Result(Generic[Saved]):
    """What a rule returns: the group's output, and what its way back will need."""

    output: Array
    saved: Saved


class Rule(ABC, Generic[Saved]):
    """How a group whose head is of a certain layer type becomes steps."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether the rule can lower this node for this request; the first of a type's rules that can is taken."""
        return True

    @abstractmethod
    def forward(self, ledger: Ledger, group: Group) -> Result[Saved]:
        """Add the forward steps."""

    @abstractmethod
    def backward(self, ledger: Ledger, group: Group, saved: Saved, gradient: Array) -> None:
        """Add the steps back from the output's gradient, to inputs and parameters."""


def activated(ledger: Ledger, activation: Node, source: Array, *, in_place: bool) -> Array:
    """An activation applied to every number of `source`, which nothing else may read if it is done `in_place`."""
    function = elementwise(activation.layer)
    block = blocks_of_channels(source.layout)
    whole = source.layout.is_plain or (block is not None and source.layout.dims[1] % block == 0)
    if not function.keeps_zero and not whole:
        source = ledger.plan.plain(source)
    target = source if in_place else ledger.plan.new(source.layout)
    operation = _native.elementwise(function.kind, function.alpha, function.beta, source.layout.bytes // 4)
    ledger.plan.run(operation, {"src": source, "dst": target})
    return target


def activation_backward(ledger: Ledger, activation: Node, known: Array, gradient: Array) -> Array:
    """The gradient before an activation, from its output, or from its input if the function needs that."""
    function = elementwise(activation.layer)
    gradient = ledger.plan.in_layout(gradient, known.layout)
    result = ledger.plan.new(known.layout)
    operation = _native.elementwise_backward(function.kind, function.alpha, function.beta, known.layout.bytes // 4)
    ledger.plan.run(operation, {"known": known, "diff_dst": gradient, "diff_src": result})
    return result


def in_fast_layout(
    ledger: Ledger, array: Array, make: Callable[[_native.Layout], _native.Primitive]
) -> tuple[Array, _native.Primitive]:
    """`array` and the primitive that `make` returns for its layout, or for blocks of 8 if blocks of 16 are slow.

    Without AVX-512 oneDNN computes blocks of 16 channels with its reference implementation.
    """
    primitive = make(array.layout)
    if blocks_of_channels(array.layout) == 16 and primitive.implementation.startswith("ref"):
        narrow = _native.Layout.channel_blocked(array.layout.dims, 8)
        other = make(narrow)
        if not other.implementation.startswith("ref"):
            return ledger.plan.in_layout(array, narrow), other
    return array, primitive


def channels_last(dims: list[int]) -> _native.Layout:
    """The layout in which a position's channels are contiguous."""
    _, channels, *spatial = dims
    step = channels
    strides: list[int] = []
    for size in reversed(spatial):
        strides.insert(0, step)
        step *= size
    return _native.Layout.strided(dims, [step, 1, *strides])


def blocks_of_channels(layout: _native.Layout) -> int | None:
    """How many channels are contiguous in memory, if the layout is of oneDNN's blocked kind for data; else None."""
    blocks = list(layout.inner_blocks)
    is_data = len(layout.dims) >= 3 and blocks in ([8], [16]) and list(layout.inner_axes) == [1]
    if not is_data or layout != _native.Layout.channel_blocked(layout.dims, blocks[0]):
        return None
    return blocks[0]

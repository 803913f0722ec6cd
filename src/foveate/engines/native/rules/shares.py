"""Gradients of few weights by oneDNN: each thread computes them for its share of the batch, and the results are added.

oneDNN would divide the batch too, but its threads spin until all are done: for long, if another process has their core.
"""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.planned_threads import planned_threads
from foveate.engines.native.products import backward_weights_primitive, weight_dims
from foveate.graph import Node
from foveate.layers.convolution import Convolution

OUTPUTS_PER_WEIGHT = 8
"""Numbers of a share's output for each weight: fewer would hardly pay for adding the weights."""

SMALL = 1 << 21
"""Multiplications and additions of a product that one thread does almost as fast as several."""

ALIGNMENT = 64


def whole_of(ledger: Ledger, node: Node) -> _native.Primitive:
    """The primitive for the whole batch."""
    positions = prod(node.output_shape[1:])
    small = ledger.batch_size * positions * prod(weight_dims(node)) <= SMALL
    with planned_threads(1 if small else ledger.threads):
        return backward_weights_primitive(node, ledger.batch_size)


def share_of(ledger: Ledger, node: Node, whole: _native.Primitive) -> _native.Primitive | None:
    """The primitive for a thread's share of the batch, or None if `whole` is the better way."""
    batch, threads = ledger.batch_size, ledger.threads
    if not isinstance(node.layer, Convolution) or threads == 1 or batch % threads:
        return None
    if batch // threads * prod(node.output_shape) < OUTPUTS_PER_WEIGHT * prod(weight_dims(node)):
        return None
    with planned_threads(1):
        share = backward_weights_primitive(node, batch // threads)
    parts = (_first(whole.layout(name), threads) == share.layout(name) for name in ("src", "diff_dst"))
    return share if all(parts) and share.implementation.startswith("jit") else None


def in_shares(ledger: Ledger, share: _native.Primitive, read: dict[str, Array], written: dict[str, Array]) -> None:
    """Add the step for all shares, and one that adds the results of each kind."""
    plan, threads = ledger.plan, ledger.threads
    results = {name: plan.new(_repeated(share.layout(name), threads)) for name in written}
    scratchpad = {}
    if share.layout("scratchpad").bytes:
        scratchpad["scratchpad"] = plan.new(_repeated(share.layout("scratchpad"), threads))
    plan.run(_native.shares(share, threads), {**read, **results, **scratchpad})
    for name, target in written.items():
        step = results[name].layout.bytes // threads
        plan.sum(target, [plan.part(results[name], target.layout, step * number) for number in range(threads)])


def _first(layout: _native.Layout, count: int) -> _native.Layout | None:
    """The first of `count` equal shares of a batch."""
    batch, *dims = layout.dims
    return layout.part([batch // count, *dims], [0] * len(layout.dims))


def _repeated(layout: _native.Layout, count: int) -> _native.Layout:
    """Room for an array of each thread, none of which shares a cache line with another."""
    return _native.Layout.plain([count, -(-layout.bytes // ALIGNMENT) * ALIGNMENT // 4])

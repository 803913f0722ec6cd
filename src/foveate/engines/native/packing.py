"""Where each parameter lies in the packed master copy, and in which layout: the one that training likes best.

Parameters with weight decay come first, then those without, then those that are never trained, so that one loop
over a stretch of numbers updates many of them.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from foveate.engines.native import _native
from foveate.engines.native.plan import aligned
from foveate.engines.native.planned_threads import planned_threads
from foveate.engines.native.products import Forward, canonical_weight_layout, forward_primitive, is_product
from foveate.graph import Graph, Node
from foveate.layers import Parameter

TYPICAL_BATCH_SIZE = 32
"""Layouts hardly depend on the batch; a program that wants another one reorders."""

TYPICAL_THREADS = 2
"""Nor on the threads; and the states of all programs must agree."""


@dataclass(frozen=True)
class PackedPlace:
    """An array in a packed space: offset in bytes, the layout it has there, and its canonical layout."""

    offset: int
    layout: _native.Layout
    canonical: _native.Layout


@dataclass(frozen=True)
class Packing:
    """Places of all parameters and statistics."""

    parameters: Mapping[str, PackedPlace]
    statistics: Mapping[str, PackedPlace]
    parameter_bytes: int
    statistic_bytes: int


REMEMBERED_PACKINGS = 8
_known: list[tuple[Graph, Packing]] = []
_lock = threading.Lock()


def packing_of(graph: Graph) -> Packing:
    """The graph's packing; states and programs of equal graphs share it."""
    with _lock:
        for known, packing in _known:
            if known is graph or known == graph:
                return packing
        with planned_threads(TYPICAL_THREADS):
            _known.insert(0, (graph, _pack(graph)))
        del _known[REMEMBERED_PACKINGS:]
        return _known[0][1]


def _pack(graph: Graph) -> Packing:
    layouts = _parameter_layouts(graph)
    groups: dict[tuple[bool, bool], list[str]] = {(True, True): [], (False, True): [], (False, False): []}
    for name, parameter in graph.parameters.items():
        groups[(parameter.decay and parameter.trainable, parameter.trainable)].append(name)
    places: dict[str, PackedPlace] = {}
    offset = 0
    for names in groups.values():
        for name in names:
            layout, canonical = layouts[name]
            places[name] = PackedPlace(offset, layout, canonical)
            offset += aligned(layout.bytes)
    statistics: dict[str, PackedPlace] = {}
    end = 0
    for name, statistic in graph.statistics.items():
        layout = _native.Layout.plain(list(statistic.shape))
        statistics[name] = PackedPlace(end, layout, layout)
        end += aligned(layout.bytes)
    return Packing(places, statistics, offset, end)


def _parameter_layouts(graph: Graph) -> dict[str, tuple[_native.Layout, _native.Layout]]:
    layouts = {}
    for node in graph.owners:
        for name, parameter in node.layer.parameters(node.input_shapes).items():
            layouts[f"{node.parameters}.{name}"] = _layouts(node, name, parameter)
    return layouts


def _layouts(node: Node, name: str, parameter: Parameter) -> tuple[_native.Layout, _native.Layout]:
    if name == "weight" and is_product(node):
        canonical = canonical_weight_layout(node)
        try:
            return forward_primitive(node, TYPICAL_BATCH_SIZE, Forward(training=True)).layout("weights"), canonical
        except RuntimeError:  # too much for this many samples; a program says whether it is for the number asked for
            return canonical, canonical
    canonical = _native.Layout.plain(_dims(parameter.shape))
    return canonical, canonical


def _dims(shape: Sequence[int]) -> list[int]:
    return list(shape) if prod(shape) else [1]

"""Matching a file's arrays to a network's: by name if the names agree, else by shape if that is proof.

Order helps if the arrays are in that of the layers. Whole modules are matched, not single arrays: a weight and its
bias stay together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from foveate.errors import FileError
from foveate.files.container import FloatArray
from foveate.files.weights.reading import PREFIXES, Array, Weights
from foveate.geometry import format_sizes
from foveate.graph import Graph
from foveate.layers import Shape
from foveate.text import printable

SPELLINGS = (
    ("downsample", "shortcut"),
    ("norm.1", "norm1"),
    ("norm.2", "norm2"),
    ("conv.1", "conv1"),
    ("conv.2", "conv2"),
)
"""Parts of names as published weights spell them, and as the zoo does."""

KINDS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_var": "running_var"}
"""Other words for the arrays of a module."""

_UNSORTED = (
    "\nIts names are in alphabetical order, as in safetensors, which is not that of the network. Give the "
    "module's own state_dict, or a file of it by torch.save: these keep the order of the layers"
)

MOST_ROWS = 12
"""How many names each part of the table of mismatches lists."""

Shapes: TypeAlias = Mapping[str, Shape]
Signature: TypeAlias = frozenset[tuple[str, Shape]]
"""The arrays of one module with their shapes, which identify it if its name does not."""


@dataclass(frozen=True)
class Fitted:
    """Every array of the network, what each was called in the file, and remarks on what was found on the way."""

    arrays: Mapping[str, FloatArray]
    names: Mapping[str, str]
    said: tuple[str, ...]


def fit_weights(graph: Graph, weights: Weights) -> Fitted:
    """The arrays of `graph` among `weights`.

    Raises:
        FileError: some are missing, left over or of another shape (the message is a table of them), or are not
            numbers.
    """
    wanted = {name: parameter.shape for name, parameter in graph.parameters.items()}
    wanted |= {name: statistic.shape for name, statistic in graph.statistics.items()}
    said = list(weights.said)
    found = {name: tuple(array.shape) for name, array in weights.arrays.items()}
    called = _without_prefix(wanted, found, said)
    proof = "order and shape" if weights.ordered else "shape"
    pairs = {name: called[name] for name in wanted if name in called and wanted[name] == found[called[name]]}
    rest = {name: shape for name, shape in wanted.items() if name not in pairs}
    left = {name: found[name] for name in found if name not in set(pairs.values())}
    if rest or left:
        proven = _proven(graph, rest, left, ordered=weights.ordered)
        if proven is None:
            unsorted = not weights.ordered and _proven(graph, rest, left, ordered=True) is not None
            raise FileError(
                f"{weights.source} does not fit the network, neither by name nor by {proof}:\n"
                f"{_table(wanted, called, found)}{_UNSORTED if unsorted else ''}"
            )
        said.append(f"{len(proven)} arrays were matched by {proof}, because their names differ")
        pairs |= proven
    return Fitted({name: _numbers(weights, other) for name, other in pairs.items()}, pairs, tuple(said))


def _without_prefix(wanted: Shapes, found: Shapes, said: list[str]) -> dict[str, str]:
    """The file's names keyed by foveate's: without a common prefix, and in the zoo's spelling."""
    plain = {name: name for name in found}
    while not (called := _as_here(plain, wanted)).keys() & wanted.keys():
        prefix = next((each for each in PREFIXES if all(name.startswith(each) for name in plain)), None)
        if prefix is None or not plain:
            break
        said.append(f'every name begins with "{prefix}"')
        plain = {name.removeprefix(prefix): other for name, other in plain.items()}
    return called


def _as_here(plain: Mapping[str, str], wanted: Shapes) -> dict[str, str]:
    """The same names as the network spells them; if several would become the same, the one spelt so is taken."""
    called = {name: other for name, other in plain.items() if name in wanted}
    for name, other in plain.items():
        spelt = _spelt(name, wanted)
        called.setdefault(name if spelt in called else spelt, other)
    return called


def _spelt(name: str, wanted: Shapes) -> str:
    """The name as the network spells it, if it has it in one of the spellings."""
    if name in wanted:
        return name
    module, _, kind = name.rpartition(".")
    spelt = f"{module}.{KINDS.get(kind, kind)}" if module else name
    for theirs, ours in SPELLINGS:
        if f".{theirs}." in f".{spelt}":
            other = f".{spelt}".replace(f".{theirs}.", f".{ours}.")[1:]
            spelt = other if other in wanted else spelt
    return spelt if spelt in wanted else name


def _proven(graph: Graph, rest: Shapes, left: Shapes, *, ordered: bool) -> dict[str, str] | None:
    """The pairs that shape proves, with the help of order if that is informative, or None.

    Modules with the same arrays are taken in order, which proves nothing if those of the network are in parallel.
    """
    ours, theirs = _by_signature(rest), _by_signature({_own_kind(name): shape for name, shape in left.items()})
    original = {_own_kind(name): name for name in left}
    if len(original) < len(left) or {s: len(m) for s, m in ours.items()} != {s: len(m) for s, m in theirs.items()}:
        return None
    if not all(len(modules) == 1 or (ordered and _one_after_the_other(graph, modules)) for modules in ours.values()):
        return None
    return {
        f"{module}.{kind}": original[f"{other}.{kind}"]
        for signature, modules in ours.items()
        for module, other in zip(modules, theirs[signature], strict=True)
        for kind, _ in signature
    }


def _own_kind(name: str) -> str:
    module, _, kind = name.rpartition(".")
    return f"{module}.{KINDS.get(kind, kind)}"


def _by_signature(shapes: Shapes) -> dict[Signature, list[str]]:
    """The modules of each signature, in order."""
    modules: dict[str, set[tuple[str, Shape]]] = defaultdict(set)
    for name, shape in shapes.items():
        module, _, kind = name.rpartition(".")
        modules[module].add((kind, shape))
    found: dict[Signature, list[str]] = defaultdict(list)
    for module, arrays in modules.items():
        found[frozenset(arrays)].append(module)
    return found


def _one_after_the_other(graph: Graph, modules: Sequence[str]) -> bool:
    """Whether each module's layer needs the one before, so that only one order is possible."""
    owners = {node.parameters: node for node in graph.owners}
    return all(owners[first].name in _needed(graph, owners[second].name) for first, second in pairwise(modules))


def _needed(graph: Graph, name: str) -> set[str]:
    """The nodes and inputs that a node needs, directly or indirectly."""
    needed = {name}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return needed


def _numbers(weights: Weights, name: str) -> FloatArray:
    array: Array = weights.arrays[name]
    if array.dtype.kind not in "fiub":
        raise FileError(f"{weights.source} cannot be used: {printable(name)} holds {array.dtype}, not real numbers")
    if not np.isfinite(array).all():
        raise FileError(f"{weights.source} cannot be used: {printable(name)} holds NaN or infinity")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise FileError(f"{weights.source} cannot be used: {printable(name)} holds numbers too large for float32")
    return numbers


def _table(wanted: Shapes, called: Mapping[str, str], found: Shapes) -> str:
    """A table of mismatches, in three parts."""
    missing = [f"{name} {_sizes(shape)}" for name, shape in wanted.items() if name not in called]
    unexpected = [f"{printable(other)} {_sizes(found[other])}" for name, other in called.items() if name not in wanted]
    other_shape = [
        f"{name} {_sizes(shape)} in the network, {_sizes(found[called[name]])} in the weights"
        for name, shape in wanted.items()
        if name in called and found[called[name]] != shape
    ]
    lines: list[str] = []
    for title, rows in (("missing", missing), ("unexpected", unexpected), ("of another shape", other_shape)):
        lines += _part(title, rows)
    if other_shape and not missing and not unexpected:
        lines.append("Make the network with as many classes and channels as the weights were trained for")
    return "\n".join(lines)


def _part(title: str, rows: Sequence[str]) -> Iterable[str]:
    if not rows:
        return []
    more = [f"    and {len(rows) - MOST_ROWS:,} more"] if len(rows) > MOST_ROWS else []
    return [f"  {title} ({len(rows):,}):", *(f"    {row}" for row in rows[:MOST_ROWS]), *more]


def _sizes(shape: Shape) -> str:
    return format_sizes(shape) if shape else "one number"

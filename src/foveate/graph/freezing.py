"""Which arrays a pattern such as "stage1.*" matches, for parameters that learn slowly or are to be frozen."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf
from numbers import Real

from foveate.errors import GraphError, TrainingError
from foveate.graph.graph import Graph
from foveate.graph.nodes import nearest


def matching_arrays(graph: Graph, patterns: Sequence[str]) -> frozenset[str]:
    """Full names of the parameters and statistics that a pattern matches, or that belong to the layer it names.

    "conv1" is conv1.weight and conv1.bias; "stage1.*" is everything below stage1; "*.bias" are all biases.

    Raises:
        GraphError: a pattern matches nothing; the message gives the nearest names.

    >>> from foveate import Conv2d, Linear, Flatten, Sequential
    >>> graph = Sequential(Conv2d(4, 3), Flatten(), Linear(2)).build((1, 8, 8))
    >>> sorted(matching_arrays(graph, ["conv*"]))
    ['conv1.bias', 'conv1.weight']
    """
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    names = (*graph.parameters, *graph.statistics)
    known, found = set(names), set[str]()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise GraphError(f'a parameter is given by its name or a pattern such as "conv1.*", but got {pattern!r}')
        if pattern in known:  # the rule in training, where hundreds of names are looked up at each step
            found.add(pattern)
            continue
        below = f"{pattern}."
        matched = {name for name in names if name.startswith(below)}
        matched = matched or {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            raise GraphError(f'no parameter is called "{pattern}".{nearest(pattern, names)}')
        found |= matched
    return frozenset(found)


def rate_factors(graph: Graph, factors: Mapping[str, float]) -> dict[str, float]:
    """By the full names of parameters, what each multiplies the learning rate by; those at the full rate are left out.

    Args:
        graph: the network.
        factors: by pattern, as for `matching_arrays`; of two patterns that match a parameter the later counts.

    Raises:
        GraphError: a pattern matches no parameter; the message gives the nearest names.
        TrainingError: a factor is not a positive number.
    """
    if not isinstance(factors, Mapping):
        raise TrainingError(
            f'learning_rate_factors is {factors!r}; give factors by name or pattern, such as {{"conv1": 0.1}}'
        )
    found: dict[str, float] = {}
    for pattern, factor in factors.items():
        if isinstance(factor, bool) or not isinstance(factor, Real) or not 0 < factor < inf:
            raise TrainingError(
                f'the learning rate factor of "{pattern}" is {factor!r}; it must be positive and finite '
                f'(freeze("{pattern}") stops learning there)'
            )
        matched = matching_arrays(graph, (pattern,)) & graph.parameters.keys()
        if not matched:
            raise GraphError(f'"{pattern}" matches statistics alone, which no learning rate moves; name parameters')
        found |= dict.fromkeys(matched, float(factor))
    return {name: factor for name, factor in found.items() if factor != 1}

"""Which arrays of a network a pattern such as "stage1.*" matches, for parameters that are to be frozen."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from foveate.errors import GraphError
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
    found: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise GraphError(f'a parameter is given by its name or a pattern such as "conv1.*", but got {pattern!r}')
        matched = {name for name in names if name == pattern or name.startswith(f"{pattern}.")}
        matched = matched or {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            raise GraphError(f'no parameter is called "{pattern}".{nearest(pattern, names)}')
        found |= matched
    return frozenset(found)

"""What a training writes as it goes, without holding it twice."""

from collections.abc import Mapping

import numpy as np

from foveate.engines import State
from foveate.engines.base import FloatArray
from foveate.files import ArraysInTurn


def arrays_in_turn(state: State, *, slots: bool = False, sets: Mapping[str, State] | None = None) -> ArraysInTurn:
    """The state's arrays, each read when it is written: no second copy of all of them is ever in memory.

    Args:
        state: the parameters, statistics and slots.
        slots: whether the optimiser's slots belong to them.
        sets: the states whose parameters and statistics are written, by what stands before their names
            (default: those of `state`, under their own names).
    """
    sources = {name: (state, name) for name in state.names(slots=slots) if "/" in name}
    for copy, each in ({"": state} if sets is None else sets).items():
        sources |= {f"{copy}/{name}" if copy else name: (each, name) for name in each.names()}
    graph = state.graph
    known = {name: each.shape for name, each in graph.parameters.items()}
    known |= {name: each.shape for name, each in graph.statistics.items()}
    shapes = {name: known[plain.rsplit("/", 1)[-1]] for name, (_, plain) in sources.items()}
    smallest = min(shapes, key=lambda name: int(np.prod(shapes[name])), default=None)

    def read(name: str) -> FloatArray:
        source, plain = sources[name]
        return source.read(plain)

    return ArraysInTurn(shapes, np.dtype(np.float32) if smallest is None else read(smallest).dtype, read)

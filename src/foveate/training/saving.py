"""What a training writes as it goes, without holding it twice."""

import numpy as np

from foveate.engines import State
from foveate.files import ArraysInTurn


def arrays_in_turn(state: State, *, slots: bool = False) -> ArraysInTurn:
    """The state's arrays, each read when it is written: no second copy of all of them is ever in memory."""
    names = state.names(slots=slots)
    graph = state.graph
    known = {name: each.shape for name, each in graph.parameters.items()}
    known |= {name: each.shape for name, each in graph.statistics.items()}
    shapes = {name: known[name.rsplit("/", 1)[-1]] for name in names}
    smallest = min(names, key=lambda name: int(np.prod(shapes[name])), default=None)
    dtype = np.dtype(np.float32) if smallest is None else state.read(smallest).dtype
    return ArraysInTurn(shapes, dtype, state.read)

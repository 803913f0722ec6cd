"""Where training went wrong: the first layer whose output is NaN or infinite."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines import Engine, State
from foveate.graph import Node


def first_without_numbers(
    engine: Engine, state: State, inputs: Mapping[str, NDArray[Any]], *, frozen: Collection[str] = ()
) -> Node | None:
    """The first node whose output for a batch in training is NaN or infinite; None if there is none.

    The state is left unchanged: a copy is run, with the same dropout.
    """
    graph, samples = state.graph, len(next(iter(inputs.values())))
    copy = engine.copied(state, seed=state.seed)
    copy.step_count = state.step_count
    names = [node.name for node in graph.nodes]
    program = engine.compile(graph, batch_size=samples, mode="training", keep=names, freeze=sorted(frozen))
    session = program.new_session()
    session.forward(copy, inputs)
    return next((node for node in graph.nodes if not np.isfinite(session.activation(node.name)).all()), None)

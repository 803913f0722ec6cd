"""What to say when numbers grow beyond all bounds: the first layer where they do, and what to try."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines import Engine, State
from foveate.errors import TrainingError
from foveate.graph import Node

SANE_RATE = 0.1
"""A learning rate from which networks with normalisation learn: after one far beyond, a tenth would be no help."""


def diverged(what: str, rate: float, first: Node | None, checkpoint: Path | None) -> TrainingError:
    """The error that ends training.

    Args:
        what: what became NaN or infinite, and when.
        rate: the learning rate of that step.
        first: the first layer whose output is NaN or infinite, if known.
        checkpoint: the last good checkpoint, if there is one.
    """
    lower = min(rate / 10, SANE_RATE)
    where = "" if first is None else f"; {first} is the first layer whose output is NaN or infinite"
    kept = "" if checkpoint is None else f" {checkpoint} is as it was."
    return TrainingError(
        f"{what}{where}: the learning rate is too high. Try a learning rate of {lower:.1g}, a longer warm-up, or "
        f"normalisation in the network.{kept}"
    )


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

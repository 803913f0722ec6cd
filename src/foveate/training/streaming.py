"""Answers to raw inputs: all at once under a bar, or one by one, even if some cannot be read or answered."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data import Preprocessing
from foveate.engines import State
from foveate.engines.base import FloatArray
from foveate.errors import FoveateError
from foveate.progress import watched
from foveate.tasks import Head
from foveate.training.inputs import by_name, one_by_one, raw_batches
from foveate.training.metrics import decoded_batches
from foveate.training.programs import Programs


def answers_at_once(
    state: State,
    programs: Programs,
    outputs: Sequence[Head],
    preprocessing: Preprocessing,
    raw: Any,
    *,
    progress: bool,
) -> dict[str, NDArray[Any]]:
    """The tasks' answers to all raw inputs, by the outputs' names; arguments and errors as for `answers_one_by_one`.

    A bar is shown, on a terminal or in a notebook, if this takes over two seconds.
    """
    prepared = raw_batches(programs.graph, preprocessing, raw, programs.batch_size)
    batches = decoded_batches(state, programs, outputs, prepared)
    sized = isinstance(raw, list | tuple) or (isinstance(raw, np.ndarray) and raw.ndim > 0)
    count = len(raw) if sized else None
    parts = list(watched(batches, count, "predicting", progress=progress, size=_length))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _length(part: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(part.values())))


def answers_one_by_one(
    state: State,
    programs: Programs,
    outputs: Sequence[Head],
    preprocessing: Preprocessing,
    raw: Any,
    *,
    batch_size: int | None = None,
    return_errors: bool = False,
    named: bool = True,
) -> Iterator[Any]:
    """The tasks' answers to each raw input.

    Args:
        state: the parameters and statistics.
        programs: programs of the same graph.
        outputs: the network's outputs with their tasks.
        preprocessing: applied to each image.
        raw: images, or a mapping keyed by the inputs' names.
        batch_size: images read and run at once (default: chosen to use little memory).
        return_errors: return the error in place of an answer to an image that has none, and continue.
        named: whether an answer is a mapping keyed by the outputs' names, or that of the only output.

    Raises:
        FileError, DataError, ShapeError: unless `return_errors`, when the batch is reached.
    """
    size = programs.size(batch_size)
    if return_errors:
        rows = _rows_or_errors(state, programs, outputs, preprocessing, raw, size)
    else:
        prepared = raw_batches(programs.graph, preprocessing, raw, size)
        rows = (row for part in decoded_batches(state, programs, outputs, prepared) for row in _rows(part))
    for row in rows:
        yield row if named or isinstance(row, FoveateError) else row[outputs[0].name]


def _rows_or_errors(
    state: State, programs: Programs, outputs: Sequence[Head], preprocessing: Preprocessing, raw: Any, size: int
) -> Iterator[dict[str, Any] | FoveateError]:
    samples = one_by_one(programs.graph, preprocessing, by_name(programs.graph, raw), size)
    while chunk := list(islice(samples, size)):
        good = [sample for sample in chunk if not isinstance(sample, FoveateError)]
        answered = iter(_answered(state, programs, outputs, good))
        yield from (sample if isinstance(sample, FoveateError) else next(answered) for sample in chunk)


def _answered(
    state: State, programs: Programs, outputs: Sequence[Head], samples: Sequence[Mapping[str, FloatArray]]
) -> Iterator[dict[str, Any] | FoveateError]:
    """The answer to each sample (1, ...); computed together if possible, one by one if one of them has none."""
    if not samples:
        return
    together = {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}
    try:
        (part,) = decoded_batches(state, programs, outputs, [together])
    except FoveateError as error:
        if len(samples) == 1:
            yield error
        else:
            for sample in samples:
                yield from _answered(state, programs, outputs, [sample])
        return
    yield from _rows(part)


def _rows(part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for place in range(len(next(iter(part.values())))):
        yield {name: each[place] for name, each in part.items()}

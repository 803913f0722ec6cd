"""Checkpoints: the state of training, which resumes from it to the same bits as if it had never stopped.

Randomness is counter-based, so only the seed, the epoch and the position in it need be kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foveate.errors import FileError
from foveate.files.container import (
    FloatArray,
    Header,
    check_shapes,
    damage_first,
    read_container,
    read_header,
    write_container,
)
from foveate.files.description import CHECKPOINT, FEATURES, ModelDescription, description_from
from foveate.files.model_file import shapes_of
from foveate.text import printable

_LARGEST_COUNT = 2**53
"""The most steps, epochs and batches: what JSON can count."""


@dataclass(frozen=True)
class Checkpoint:
    """The full state of training.

    `arrays` are parameters, statistics and the optimiser's slots ("momentum/conv1.weight"), `slots` the names before
    the slash; `position` counts the batches done in `epoch` (from 0), `totals` what was measured in them; `history` has
    a row for each finished epoch; `configuration` is what must not change when training resumes. `copies` are the
    names of further sets of parameters and statistics: "trained", those that steps change, if the plain names have
    their running average, and "best", those of the best epoch ("best/conv1.weight").
    """

    description: ModelDescription
    arrays: Mapping[str, FloatArray]
    slots: tuple[str, ...]
    step_count: int
    epoch: int
    position: int
    totals: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]
    configuration: Mapping[str, Any]
    copies: tuple[str, ...] = ()


def write_checkpoint(path: Path, checkpoint: Checkpoint, before: Callable[[], object] = lambda: None) -> None:
    """Write a checkpoint atomically; `before` is called when it is on the disk, just before it gets its name.

    Raises:
        FileError: an array holds NaN or infinity, or the file cannot be written; an earlier file is untouched.
    """
    document = {
        **checkpoint.description.to_json(),
        "slots": list(checkpoint.slots),
        "step_count": checkpoint.step_count,
        "epoch": checkpoint.epoch,
        "position": checkpoint.position,
        "totals": dict(checkpoint.totals),
        "history": [dict(row) for row in checkpoint.history],
        "configuration": dict(checkpoint.configuration),
        **({"copies": list(checkpoint.copies)} if checkpoint.copies else {}),
    }
    write_container(path, CHECKPOINT, checkpoint.arrays, document, before)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FileError: the file is missing, cut short, damaged, not a checkpoint, or of another version.
    """
    with damage_first(path):
        header = read_header(path, FEATURES)
        if header.kind != CHECKPOINT:
            raise FileError(f"{path} holds a {header.kind}; expected a checkpoint, from which training can continue")
        checkpoint = _described(path, header)
        # Before they are read: a file must not be larger than its network.
        check_shapes(path, header.shapes, shapes_of(checkpoint.description, checkpoint.slots, checkpoint.copies))
        return replace(checkpoint, arrays=read_container(path, FEATURES)[1])


def _described(path: Path, header: Header) -> Checkpoint:
    """The checkpoint without its arrays."""
    document = header.document
    description = description_from(path, header)
    try:
        return Checkpoint(
            description=description,
            arrays={},
            slots=tuple(str(slot) for slot in document["slots"]),
            step_count=_count(document["step_count"]),
            epoch=_count(document["epoch"]),
            position=_count(document["position"]),
            totals={str(name): float(value) for name, value in document["totals"].items()},
            history=[dict(row) for row in document["history"]],
            configuration=dict(document["configuration"]),
            copies=tuple(str(copy) for copy in document.get("copies", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FileError(f"{path} is damaged: its training state cannot be read ({printable(error)})") from None


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= _LARGEST_COUNT:
        raise ValueError(f"{value!r} where a count is expected")
    return value

"""Whether training may resume from a checkpoint: the network, the recipe and the data must be the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from foveate.data import Dataset
from foveate.data.shards.sharded import ShardedDataset
from foveate.errors import TrainingError
from foveate.tasks import Classification
from foveate.training.job import Job

_NAMES = {
    "batch_size": "batch size",
    "buffer": "buffer of samples",
    "frozen": "frozen parameters",
    "learning_rate_factors": "learning rate factors",
}
"""What sentences call those entries of a recipe that they call by another word."""


def configuration_of(job: Job) -> dict[str, Any]:
    """What, besides the network, must be the same for training to resume: the recipe and the data."""
    train, task = job.train, job.task or job.train.task
    return {
        **job.recipe.to_json(),
        "samples": len(train),
        "data": _checksum(train),
        **({"buffer": train.buffer} if isinstance(train, ShardedDataset) else {}),
        "preprocessing": job.preprocessing.to_json(),
        **({} if isinstance(task, Classification) else {"task": task.to_json()}),
        **({"frozen": sorted(job.frozen)} if job.frozen else {}),
    }


def _checksum(data: Dataset) -> int:
    """That of all inputs and targets."""
    if isinstance(data, ShardedDataset):
        return data.checksum
    targets = data.targets.values() if isinstance(data.targets, Mapping) else (data.targets,)
    checksum = 0
    for array in (*data.by_input.values(), *targets):
        checksum = crc32(np.ascontiguousarray(array).data, checksum)
    return checksum


def check_same(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse a checkpoint that was made with something else.

    Raises:
        TrainingError: something differs; the message says what.
    """
    # What only one of the two has counts as well: nothing may thaw or quicken because a word was forgotten.
    for name in {**now, **then}:
        before, value = then.get(name), now.get(name)
        if before != value:
            values = ("none" if each is None else each for each in (before, value))
            told = " ({} then, {} now)".format(*values) if name not in ("network", "data") else ""
            plural = ("epochs", "data", "samples", "frozen", "learning_rate_factors")
            article = "" if name in plural else "a "
            raise TrainingError(
                f"{path} was made with {article}different {_NAMES.get(name, name)}{told}, so training cannot resume "
                "from it; use the same one, or start again without resume or in another folder"
            )

"""A training recipe: everything that determines the trained parameters, apart from the network and the data."""

import json
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass
from math import inf
from typing import Any

import numpy as np

from foveate.calls import is_number
from foveate.data import Augmentation
from foveate.errors import TrainingError
from foveate.graph import SGD, CrossEntropy, Loss, OneCycle, Optimizer, Schedule
from foveate.graph.own import described, is_new_at_default


def _number(value: Any) -> Any:
    """NumPy's numbers as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be written to a file")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Args:
        epochs: passes over the data.
        batch_size: samples in a step.
        optimizer: how parameters follow gradients.
        schedule: learning rate and momentum of each step.
        loss: what is minimised; keyed by name if there are several outputs.
        augmentation: random changes to the training inputs.
        seed: seed for shuffling, augmentation and dropout.
        learning_rate_factors: what to multiply the learning rate by, keyed by patterns of parameters.
        clip_norm: the most that the norm of all gradients together may be; they are scaled down to it.
        accumulate: batches whose gradients are added up for one update.
        ema: decay of a running average of the parameters, which is what is measured and kept.
        patience: epochs without a better result in validation after which training stops.
        keep_best: whether the model is that of the best epoch in validation.

    Raises:
        TrainingError: an option cannot be meant.
    """

    epochs: int = 5
    batch_size: int = 128
    optimizer: Optimizer = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=lambda: OneCycle(0.1))
    loss: Loss | Mapping[str, Loss] = field(default_factory=CrossEntropy)
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)
    clip_norm: float | None = field(default=None, metadata={"since": "0.2"})
    accumulate: int = field(default=1, metadata={"since": "0.2"})
    ema: float | None = field(default=None, metadata={"since": "0.2"})
    patience: int | None = field(default=None, metadata={"since": "0.2"})
    keep_best: bool = field(default=True, metadata={"since": "0.2"})

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "patience"):
            value = getattr(self, name)
            if value is None and name == "patience":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                other = ", or None" if name == "patience" else ""
                raise TrainingError(f"{name} is {value!r}; it must be an int of at least 1{other}")
        if self.clip_norm is not None and (not is_number(self.clip_norm) or not 0 < self.clip_norm < inf):
            raise TrainingError(
                f"clip_norm is {self.clip_norm!r}; it must be positive and finite (1.0 is usual), or None"
            )
        if self.ema is not None and (not is_number(self.ema) or not 0 < self.ema < 1):
            raise TrainingError(f"ema is {self.ema!r}; it must be above 0 and below 1 (0.999 is usual), or None")
        if not isinstance(self.keep_best, bool):
            raise TrainingError(f"keep_best is {self.keep_best!r}; it must be True or False")

    def to_json(self) -> dict[str, Any]:
        """Plain data, for model files and to check whether a checkpoint is from the same recipe."""
        given = {item.name: getattr(self, item.name) for item in fields(self) if not self._is_unused(item)}
        plain = {name: _plain(value) for name, value in given.items()}
        factors = plain.pop("learning_rate_factors")
        if factors:  # pairs, for their order counts
            plain["learning_rate_factors"] = list(factors.items())
        return dict(json.loads(json.dumps(plain, default=_number)))

    def _is_unused(self, item: "Field[Any]") -> bool:
        return is_new_at_default(item, getattr(self, item.name))


def default_schedule(optimizer: Optimizer) -> Schedule:
    """One cycle with its peak at a rate at which the optimiser usually trains well."""
    return OneCycle(optimizer.usual_learning_rate)


def _plain(value: Any) -> Any:
    if isinstance(value, Loss):
        return value.to_json()
    if isinstance(value, Schedule | Optimizer):
        return described(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **asdict(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value

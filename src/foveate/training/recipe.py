"""A training recipe: everything that determines the trained parameters, apart from the network and the data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from foveate.data import Augmentation
from foveate.errors import TrainingError
from foveate.graph import SGD, CrossEntropy, Loss, OneCycle, Optimizer, Schedule
from foveate.graph.own import described


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

    Raises:
        TrainingError: epochs or batch_size is below 1.
    """

    epochs: int = 5
    batch_size: int = 128
    optimizer: Optimizer = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=lambda: OneCycle(0.1))
    loss: Loss | Mapping[str, Loss] = field(default_factory=CrossEntropy)
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise TrainingError(f"{name} is {value!r}; it must be an int of at least 1")

    def to_json(self) -> dict[str, Any]:
        """Plain data, for model files and to check whether a checkpoint is from the same recipe."""
        plain = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        factors = plain.pop("learning_rate_factors")
        if factors:  # pairs, for their order counts
            plain["learning_rate_factors"] = list(factors.items())
        return dict(json.loads(json.dumps(plain)))


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

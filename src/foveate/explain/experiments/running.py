"""What the experiments share: settings, training a model under watch, data, and plain data for files."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Self

from foveate.data import Dataset, Splits, datasets
from foveate.data.batches import permutation
from foveate.errors import DataError, TrainingError
from foveate.explain.experiments.progress import Progress, Watcher
from foveate.explain.page.html import Table
from foveate.graph import Schedule
from foveate.model import Model


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of every experiment.

    Args:
        seed: for everything random: data, initial parameters, order.
        engine: "native" or "reference" (default: the fastest available).
    """

    seed: int = 0
    engine: str | None = None

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """Smaller settings, for a look at what the experiment does."""
        return cls(**changes)


@dataclass(frozen=True)
class Training:
    """A finished training: the loss of each step, and whether the one after them was no longer a number."""

    losses: tuple[float, ...]
    diverged: bool


def train(
    model: Model, dataset: Dataset, *, epochs: int, batch_size: int, schedule: Schedule, progress: Progress
) -> Training:
    """Train; a loss that is no longer a number is a result, not an error.

    Raises:
        TrainingError: it was interrupted with Ctrl-C, or the training cannot begin with such settings.
    """
    watcher = Watcher(progress)
    try:
        history = model.fit(dataset, epochs=epochs, batch_size=batch_size, schedule=schedule, progress=watcher)
    except TrainingError:
        if not watcher.started:
            raise
        # A training that has begun is refused only because its numbers overflowed.
        return Training(tuple(watcher.losses), diverged=True)
    if history.interrupted:
        raise TrainingError("interrupted; nothing was written, because only a finished experiment says anything")
    return Training(tuple(watcher.losses), diverged=False)


def load_data(data: Splits | None) -> Splits:
    """The data given, or Fashion-MNIST."""
    return datasets.load("fashion-mnist") if data is None else data


def draw_samples(dataset: Dataset, count: int, seed: int, purpose: str) -> Dataset:
    """`count` samples chosen at random by the seed; a smaller choice for the same purpose is the start of a larger one.

    Raises:
        DataError: there are fewer.
    """
    if count > len(dataset):
        raise DataError(f"the experiment needs {count:,} {purpose} images, but there are {len(dataset):,}")
    return dataset.subset(permutation(len(dataset), seed, purpose)[:count])


def plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers as plain data for JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def settings_table(settings: Settings, words: Mapping[str, str], engine: str) -> Table:
    """Every setting with its value; `words` describes each."""
    rows = [(words[field.name], _shown(getattr(settings, field.name))) for field in fields(settings)
            if field.name in words]  # fmt: skip
    return Table(("setting", "value"), [*rows, ("engine used for training", engine)], "Every setting of this run.")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)

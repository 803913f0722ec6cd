"""Experiments: claims of the lecture put to the test, each with its own progress and report."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foveate.errors import DataError
from foveate.explain.experiments import (
    batch_normalization,
    batch_normalization_page,
    batch_statistics,
    batch_statistics_page,
    generalization,
    generalization_page,
)
from foveate.explain.experiments.progress import Progress, make_progress
from foveate.explain.experiments.report import Finding, Report, Result, write_report
from foveate.explain.experiments.running import Settings
from foveate.graph import nearest

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Finding",
    "Progress",
    "Report",
    "Result",
    "Settings",
    "find",
    "make_progress",
    "write_report",
]


@dataclass(frozen=True)
class Experiment:
    """An entry of the index: its question, how long it takes on two cores, its settings, and how to run it.

    `run(settings, progress, data=None)` takes an instance of `settings`; without `data` it uses Fashion-MNIST. `report`
    says what the result shows.
    """

    name: str
    question: str
    minutes: float
    quick_minutes: float
    settings: type[Settings]
    run: Callable[..., Result]
    report: Callable[[Any], Report]


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "batch-normalization",
            "Does batch normalisation allow higher learning rates, and does the initialisation matter less?",
            3.5, 0.35, batch_normalization.Settings, batch_normalization.run,
            batch_normalization_page.report,
        ),
        Experiment(
            "generalization",
            "Does a convolutional network generalise better than a dense one with as many parameters?",
            6, 0.1, generalization.Settings, generalization.run,
            generalization_page.report,
        ),
        Experiment(
            "batch-statistics-at-test-time",
            "What happens when batch normalisation stays in training mode while the network is tested?",
            0.5, 0.1, batch_statistics.Settings, batch_statistics.run,
            batch_statistics_page.report,
        ),
    )
}  # fmt: skip
"""Every experiment by its name."""


def find(name: str) -> Experiment:
    """The experiment called `name`.

    Raises:
        DataError: there is none; the message names the nearest.
    """
    if name not in EXPERIMENTS:
        raise DataError(f'there is no experiment "{name}".{nearest(name, EXPERIMENTS)}')
    return EXPERIMENTS[name]

"""A figure of a training run: loss and the task's metric over the epochs."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from foveate.errors import TrainingError
from foveate.figures import colour, drawn, new_figure, png, tint
from foveate.files import write_atomically
from foveate.tasks import Classification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING = {"marker": "o", "linestyle": "-", "label": "training"}
VALIDATION = {"marker": "s", "linestyle": "--", "label": "validation"}
"""Marks and lines differ as well as colours."""

_DRAWN = (TRAINING["label"], VALIDATION["label"])


class Row(Protocol):
    """What an epoch measured."""

    @property
    def epoch(self) -> int:
        """Counted from 1."""

    @property
    def train_loss(self) -> float:
        """The mean over the epoch."""

    @property
    def train_accuracy(self) -> float | None:
        """Of a classification."""

    @property
    def validation_loss(self) -> float | None:
        """After the epoch."""

    @property
    def metric(self) -> str:
        """The name of the headline."""

    @property
    def validation_metric(self) -> float | None:
        """Its value after the epoch."""


class Rows(Protocol):
    """A history: not named by its class, which draws itself with what is here."""

    @property
    def epochs(self) -> Sequence[Row]:
        """A row for each epoch."""

    @property
    def best(self) -> int | None:
        """The epoch whose parameters were kept, if one was chosen."""


MOST_RISE = 10
"""Losses this many times above their median would flatten all others: their axis becomes logarithmic."""


@drawn
def draw_curves(history: Rows) -> "Figure":
    """Loss and metric over the epochs, side by side, training and validation.

    The epoch that was kept is marked in both, or else the one with the lowest validation loss. A loss that exploded
    makes its axis logarithmic.

    Raises:
        TrainingError: the history has no epoch yet.
    """
    if not history.epochs:
        raise TrainingError("there are no learning curves to draw: no epoch was finished")
    figure = new_figure(9, 3.6)
    loss, metric = figure.subplots(1, 2)
    name = history.epochs[0].metric
    scale = _percent if name == Classification.headline else list
    numbers = [row.epoch for row in history.epochs]
    _draw(loss, numbers, [row.train_loss for row in history.epochs], TRAINING, 0)
    _draw(loss, numbers, [row.validation_loss for row in history.epochs], VALIDATION, 1)
    _draw(metric, numbers, scale([row.train_accuracy for row in history.epochs]), TRAINING, 0)
    _draw(metric, numbers, scale([row.validation_metric for row in history.epochs]), VALIDATION, 1)
    _mark_best(history, (loss, metric))
    _label(loss, "loss" + _scaled(loss))
    _label(metric, "accuracy (%)" if name == Classification.headline else name.replace("_", " "))
    return figure


def save_curves(history: Rows, path: str | Path) -> None:
    """Write the learning curves as a PNG, atomically."""
    write_atomically(Path(path), png(draw_curves(history)))


AnyRow = TypeVar("AnyRow", bound=Row)


def best_epoch(epochs: Sequence[AnyRow]) -> AnyRow | None:
    """The epoch with the lowest validation loss, if several can be compared."""
    rows = [row for row in epochs if row.validation_loss is not None and isfinite(row.validation_loss)]
    return min(rows, key=lambda row: row.validation_loss or 0.0) if len(rows) > 1 else None


def _mark_best(history: Rows, panels: Sequence[Any]) -> None:
    """Draw a line at the best epoch, and a ring around its validation value."""
    best, why = best_epoch(history.epochs), "best loss"
    if history.best is not None and len(history.epochs) > 1:
        best, why = history.epochs[history.best - 1], "kept"
    if best is None:
        return
    for panel in panels:
        panel.axvline(
            best.epoch, color=colour("soft"), linewidth=1.2, linestyle=":", label=f"{why}: epoch {best.epoch}"
        )
        for line in panel.lines:
            if line.get_label() == VALIDATION["label"]:
                height = dict(zip(*line.get_data(), strict=True)).get(best.epoch)
                if height is not None:  # a metric may be undefined where the loss is not
                    panel.plot(
                        best.epoch, height, "o", markersize=11, markerfacecolor="none", markeredgecolor=colour("ink")
                    )


def _scaled(panel: Any) -> str:
    """Make the axis logarithmic if some of its values would flatten the others, and say so."""
    values = [float(value) for line in panel.lines for value in line.get_ydata() if line.get_label() in _DRAWN]
    values = sorted(value for value in values if isfinite(value))
    if not values or values[0] <= 0 or values[-1] <= MOST_RISE * values[len(values) // 2]:
        return ""
    panel.set_yscale("log")
    return " (logarithmic axis)"


def _percent(shares: Sequence[float | None]) -> list[float | None]:
    return [None if share is None else 100 * share for share in shares]


def _draw(
    axes: Any, numbers: Sequence[int], values: Sequence[float | None], style: dict[str, Any], number: int
) -> None:
    points = [(number, value) for number, value in zip(numbers, values, strict=True) if value is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=tint(number), **style)


def _label(axes: Any, quantity: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", fontsize=12)
    axes.set_ylabel(quantity, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True)
    if axes.lines:
        axes.legend(fontsize=11)

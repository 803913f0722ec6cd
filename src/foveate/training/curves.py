"""A figure of a training run: loss and the task's metric over the epochs."""

from collections.abc import Sequence
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.errors import TrainingError
from foveate.files import write_atomically
from foveate.training.history import ACCURACY, Epoch, History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAIN = {"color": "#0072B2", "marker": "o", "linestyle": "-", "label": "training"}
VALIDATION = {"color": "#D55E00", "marker": "s", "linestyle": "--", "label": "validation"}
"""Blue and vermilion of Okabe and Ito, told apart by every kind of colour vision; marks and lines differ as well."""

_DRAWN = (TRAIN["label"], VALIDATION["label"])


MOST_RISE = 10
"""Losses this many times above their median would flatten all others: their axis becomes logarithmic."""


def draw_curves(history: History) -> "Figure":
    """Loss and metric over the epochs, side by side, training and validation.

    The epoch with the lowest validation loss is marked in both. A loss that exploded makes its axis logarithmic.

    Raises:
        TrainingError: the history has no epoch yet.
    """
    if not history.epochs:
        raise TrainingError("there are no learning curves to draw: no epoch was finished")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained", facecolor="white")
    loss, metric = figure.subplots(1, 2)
    name = history.epochs[0].metric
    scale = _percent if name == ACCURACY else list
    numbers = [row.epoch for row in history.epochs]
    _draw(loss, numbers, [row.train_loss for row in history.epochs], TRAIN)
    _draw(loss, numbers, [row.validation_loss for row in history.epochs], VALIDATION)
    _draw(metric, numbers, scale([row.train_accuracy for row in history.epochs]), TRAIN)
    _draw(metric, numbers, scale([row.validation_metric for row in history.epochs]), VALIDATION)
    _mark_best(history, (loss, metric))
    _label(loss, "loss" + _scaled(loss))
    _label(metric, "accuracy (%)" if name == ACCURACY else name.replace("_", " "))
    return figure


def save_curves(history: History, path: str | Path) -> None:
    """Write the learning curves as a PNG, atomically."""
    content = BytesIO()
    draw_curves(history).savefig(content, format="png")
    write_atomically(Path(path), content.getvalue())


def best_epoch(history: History) -> Epoch | None:
    """The epoch with the lowest validation loss, if several can be compared."""
    rows = [row for row in history.epochs if row.validation_loss is not None and isfinite(row.validation_loss)]
    return min(rows, key=lambda row: row.validation_loss or 0.0) if len(rows) > 1 else None


def _mark_best(history: History, panels: Sequence[Any]) -> None:
    """Draw a line at the best epoch, and a ring around its validation value."""
    best = best_epoch(history)
    if best is None:
        return
    for panel in panels:
        panel.axvline(best.epoch, color="0.45", linewidth=1.2, linestyle=":", label=f"best loss: epoch {best.epoch}")
        for line in panel.lines:
            if line.get_label() == VALIDATION["label"]:
                height = dict(zip(*line.get_data(), strict=True)).get(best.epoch)
                if height is not None:  # a metric may be undefined where the loss is not
                    panel.plot(best.epoch, height, "o", markersize=11, markerfacecolor="none", markeredgecolor="0.2")


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


def _draw(axes: Any, numbers: Sequence[int], values: Sequence[float | None], style: dict[str, Any]) -> None:
    points = [(number, value) for number, value in zip(numbers, values, strict=True) if value is not None]
    if points:
        axes.plot(*zip(*points, strict=True), linewidth=2, markersize=5, **style)


def _label(axes: Any, quantity: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", fontsize=12)
    axes.set_ylabel(quantity, fontsize=12, parse_math=False)
    axes.tick_params(labelsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, color="0.88")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(fontsize=11, frameon=False)

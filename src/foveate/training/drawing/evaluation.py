"""Figures of an evaluation: a table of confusions, a bar for each class or label, the errors of numbers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError
from foveate.figures import SEQUENTIAL, bare, colour, drawn, new_figure, tint
from foveate.tasks import Measured
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHARES = (("iou", "IoU", "classes"), ("f1", "F1", "labels"), ("accuracy", "accuracy", "classes"))
"""What is drawn as bars if it was measured, what it is called, and what it was measured for."""

MOST_COUNTED = 16
"""Classes for whose table each cell has room for its count."""

MOST_NAMED = 60
"""Classes for whose table each row has room for its name."""

MOST_LISTED = 15
"""Confusions that are listed beside a table without room for names."""

MOST_BARS = 40
"""Bars in a figure; of more, the worst are shown."""

_LONGEST_NAME = 28


def draw_measured(measured: Measured, prefix: str, compared: tuple[NDArray[Any], NDArray[Any]] | None) -> "Figure":
    """The figure that says most about an output.

    Args:
        measured: what was measured.
        prefix: what the names of this output's numbers begin with.
        compared: answers and targets (N, K) of a regression.

    Raises:
        DataError: nothing can be drawn.
    """
    each = {name.removeprefix(prefix): values for name, values in measured.each.items() if name.startswith(prefix)}
    confusion = measured.tables.get(f"{prefix}confusion")
    if compared is not None:
        return draw_errors(*compared, list(next(iter(each.values()))), measured.samples)
    if confusion is not None and "accuracy" in each:
        return draw_confusion(confusion, list(each["accuracy"]))
    for name, quantity, whole in _SHARES:
        if name in each:
            return draw_shares(each[name], quantity, whole)
    raise DataError(f"{', '.join(measured.numbers)} are numbers without a figure; print them: result.numbers")


@drawn
def draw_confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> "Figure":
    """A table: rows are what the samples were, columns what they were taken for.

    The colour is the share of the row, so that rare classes are seen like frequent ones. Up to 16 classes have the
    counts in the cells; with more than 60, the most frequent confusions are listed instead of names at the axes.
    """
    number = len(classes)
    named = number <= MOST_NAMED
    names = [shortened(name, _LONGEST_NAME) for name in classes]
    letters = 0.075 * max(map(len, names)) if named else 0.3
    side = min(9.0, max(2.4, (0.5 if number <= MOST_COUNTED else 0.16) * number))
    figure = new_figure(side + letters + (1.2 if named else 5.2), side + (letters if named else 0.5) + 0.6)
    table, *beside = [figure.subplots()] if named else figure.subplots(1, 2, width_ratios=(side, 4))
    _draw_table(figure, table, counts)
    if named:
        rows = [name if count else f"{name} (none)" for name, count in zip(names, counts.sum(axis=1), strict=True)]
        size = 9 if number <= MOST_COUNTED else 7
        table.set_xticks(range(number), names, rotation=90, fontsize=size)
        table.set_yticks(range(number), rows, fontsize=size)
    else:
        table.set_xticks([])
        table.set_yticks([])
        _list_confusions(beside[0], counts, classes)
    return figure


def _draw_table(figure: "Figure", axes: "Axes", counts: NDArray[np.int64]) -> None:
    from matplotlib.colors import PowerNorm

    rows = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(rows, 1)
    image = axes.imshow(shares, cmap=SEQUENTIAL, norm=PowerNorm(0.5, vmin=0, vmax=100), interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, pad=0.02, ticks=[0, 1, 5, 20, 50, 100])
    bar.set_label("share of the row (%)")
    bar.outline.set_edgecolor(colour("faint"))
    axes.set_xlabel("taken for")
    axes.set_ylabel("what it was")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if len(counts) > MOST_COUNTED:
        return
    for row, column in np.argwhere(counts > 0):
        ink = "black" if shares[row, column] > 40 else "white"
        axes.text(column, row, f"{counts[row, column]:,}", color=ink, ha="center", va="center", fontsize=8)


def _list_confusions(axes: "Axes", counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    bare(axes)
    axes.spines[:].set_visible(False)
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = [int(place) for place in np.argsort(-wrong, axis=None, kind="stable")[:MOST_LISTED]]
    lines = ["the most frequent confusions" if wrong.any() else "nothing was confused", ""]
    for row, column in (divmod(place, len(counts)) for place in order):
        if wrong[row, column]:
            was, taken = shortened(classes[row], _LONGEST_NAME), shortened(classes[column], _LONGEST_NAME)
            lines.append(f"{wrong[row, column]:,} of {counts[row].sum():,} {was}\n      taken for {taken}")
    axes.text(0, 1, "\n".join(lines), va="top", ha="left", fontsize=9, linespacing=1.4, transform=axes.transAxes)


@drawn
def draw_shares(values: Mapping[str, float | None], quantity: str, whole: str) -> "Figure":
    """A bar for each class or label, from 0 to 1, the highest first; of many, those with the lowest values.

    Args:
        values: by name; None if there is nothing to tell, which is said.
        quantity: what is shown, such as "IoU".
        whole: what the names are, such as "classes".
    """
    order = sorted(values, key=lambda name: (values[name] is None, -(values[name] or 0.0)))
    title = ""
    if len(order) > MOST_BARS:
        known = [name for name in order if values[name] is not None] or order
        order = known[-MOST_BARS:]
        title = f"the {len(order)} of {len(values):,} {whole} with the lowest {quantity}"
    figure = new_figure(7.5, max(1.9, 0.24 * len(order) + 1.1), title)
    axes = figure.subplots()
    shares = [values[name] for name in order]
    drawn_bars = axes.barh(range(len(order)), [share or 0.0 for share in shares], color=tint(0), height=0.7)
    words = ["none in the data" if share is None else f"{share:.3f}" for share in shares]
    axes.bar_label(drawn_bars, words, padding=3, fontsize=8)
    axes.set_yticks(range(len(order)), [shortened(name, _LONGEST_NAME) for name in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0, 1.16)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel(quantity)
    return figure


@drawn
def draw_errors(answers: NDArray[Any], targets: NDArray[Any], names: Sequence[str], samples: int) -> "Figure":
    """For each value, what was answered over what was right; on the dashed line the two are equal.

    Args:
        answers: (N, K) what the network answered.
        targets: (N, K) what was right.
        names: what each of the K values is called.
        samples: how many were measured; N may be fewer.
    """
    across = min(3, len(names))
    down = -(-len(names) // across)
    title = f"{len(answers):,} of {samples:,} samples, evenly chosen" if len(answers) < samples else ""
    figure = new_figure(1.0 + 3.6 * across, 3.6 * down + 0.3, title)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for place, axes in enumerate(panels):
        if place >= len(names):
            axes.set_visible(False)
            continue
        true, told = targets[:, place], answers[:, place]
        low, high = float(min(true.min(), told.min())), float(max(true.max(), told.max()))
        margin = 0.04 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=colour("soft"), linewidth=1, linestyle="--")
        axes.plot(true, told, ".", color=tint(0), markersize=4, alpha=0.6 if len(true) < 500 else 0.3)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.set_title(shortened(names[place], _LONGEST_NAME), fontsize=10)
        axes.set_xlabel("right value")
        axes.set_ylabel("answer")
    return figure

"""Figures of a feature space: a point for each sample, and some samples beside their points."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.engines.base import FloatArray
from foveate.explain.draw.inputs import show_input
from foveate.explain.draw.style import MARKERS, class_tints, colour, drawn, new_figure, tint
from foveate.explain.measure.features import Projection
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_LEGEND = 20
"""Classes with a colour and marker of their own; further ones are drawn alike."""

THUMBNAIL = np.array([0.075, 0.09])
"""The size of a sample's picture, as a fraction of the axes."""

_STEPS = 96
"""Places to try for a picture along each axis."""

_LONGEST_LINES = (0.45, 0.15)
"""The largest distance from a picture to its point, for one sample of each class and for further ones; a picture
without room that near is not shown."""


@drawn
def draw_feature_space(
    projection: Projection, dataset: Dataset, looks: Callable[[int], FloatArray], thumbnails: int, title: str
) -> "Figure":
    """A point for each sample, and at most `thumbnails` pictures, drawn by `looks(index)`, beside their points."""
    figure = new_figure(9.5, 7)
    axes = figure.subplots()
    tints = _draw_classes(axes, projection.coordinates, dataset)
    for axis, label in zip((axes.xaxis, axes.yaxis), _axis_labels(projection), strict=True):
        axis.set_label_text(label)
    axes.margins(0.06)
    if thumbnails > 0:
        _draw_thumbnails(axes, looks, projection.coordinates, dataset, tints, thumbnails)
    figure.suptitle(title, fontsize=12)
    return figure


def _axis_labels(projection: Projection) -> tuple[str, str]:
    if projection.explained is None:
        return f"{projection.method} 1 (no unit)", f"{projection.method} 2 (no unit)"
    first, second = (f"{100 * share:.0f} % of the variance" for share in projection.explained)
    return f"{projection.method} 1 ({first})", f"{projection.method} 2 ({second})"


def _draw_classes(axes: "Axes", points: NDArray[np.float64], dataset: Dataset) -> list[str]:
    """A scatter for each class, the most frequent with their own look; returns the colour of each class."""
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    common = sorted(np.argsort(-counts, kind="stable")[:LARGEST_LEGEND])
    tints = [colour("soft")] * len(counts)
    numbers = class_tints(common)
    for index, number in numbers.items():
        tints[index] = tint(number)
    shown = [index for index in common if counts[index]]
    for index in shown:
        before = [each for each in common if each < index and numbers[each] == numbers[index]]
        marker = MARKERS[(numbers[index] + len(before)) % len(MARKERS)]
        label = shortened(dataset.classes[index], 28)
        x, y = points[dataset.labels == index].T
        axes.scatter(x, y, s=16, c=tints[index], marker=marker, linewidths=0, label=label)
    others = ~np.isin(dataset.labels, common)
    if others.any():
        label = f"{int((counts > 0).sum()) - len(shown)} other classes"
        axes.scatter(points[others, 0], points[others, 1], s=8, c=colour("soft"), marker=".", label=label)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.8, title="class")
    return tints


def _draw_thumbnails(
    axes: "Axes",
    looks: Callable[[int], FloatArray],
    points: NDArray[np.float64],
    dataset: Dataset,
    tints: Sequence[str],
    most: int,
) -> None:
    """Samples beside their points, each framed and joined to its point in its class's colour."""
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    axes.set(xlim=limits[0], ylim=limits[1])
    span = limits[:, 1] - limits[:, 0]
    places = (points - limits[:, 0]) / span
    for index, centre in spread_out(places, dataset.labels, THUMBNAIL, most):
        tone = tints[dataset.labels[index]]
        inset = axes.inset_axes((*(centre - THUMBNAIL / 2), *THUMBNAIL), zorder=5)
        show_input(inset, looks(index))
        inset.set_aspect("auto")
        for spine in inset.spines.values():
            spine.set(visible=True, color=tone, linewidth=1.5)
        axes.plot(*zip(points[index], limits[:, 0] + centre * span, strict=True), color=tone, linewidth=1.2, zorder=4)


def spread_out(
    places: NDArray[np.float64], labels: NDArray[np.int64], size: NDArray[np.float64], most: int
) -> list[tuple[int, NDArray[np.float64]]]:
    """At most `most` samples to show, and for each the centre of its box of `size` in the unit square.

    The first are one from each class, the sample nearest to the middle of its class; each further one is the farthest
    from those already chosen. A box lies as near to its point as possible while covering no other box and hardly any
    points.
    """
    # No box may hide more than one place in two hundred.
    centres = _centres(places, size, len(places) // 200)
    found: list[tuple[int, NDArray[np.float64]]] = []
    waiting = _typical(places, labels)
    apart = np.full(len(places), np.inf)
    while len(centres) and len(found) < most and apart.max() > 0:
        longest = _LONGEST_LINES[not waiting]
        index = waiting.pop(0) if waiting else int(apart.argmax())
        centre = centres[np.hypot(*(centres - places[index]).T).argmin()]
        apart = np.minimum(apart, np.hypot(*(places - places[index]).T))
        apart[index] = 0
        if np.hypot(*(centre - places[index])) > longest:
            continue
        centres = centres[(np.abs(centres - centre) > 1.1 * size).any(axis=1)]
        found.append((index, centre))
    return found


def _typical(places: NDArray[np.float64], labels: NDArray[np.int64]) -> list[int]:
    """For each class, the sample nearest to its median; the most frequent class comes first."""
    counts = np.bincount(labels)
    chosen = []
    for label in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        own = np.flatnonzero(labels == label)
        chosen.append(int(own[np.hypot(*(places[own] - np.median(places[own], axis=0)).T).argmin()]))
    return chosen


def _centres(places: NDArray[np.float64], size: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Where the centre of a box of `size` may lie: inside the unit square, with at most `most` places under the box."""
    axes = [np.linspace(extent / 2, 1 - extent / 2, _STEPS) for extent in size]
    inside = [
        np.abs(axis[:, None] - place) <= extent / 2 for axis, place, extent in zip(axes, places.T, size, strict=True)
    ]
    covered = inside[0].astype(np.int64) @ inside[1].T.astype(np.int64)
    columns, rows = np.nonzero(covered <= most)
    return np.stack([axes[0][columns], axes[1][rows]], axis=1)

"""Pictures of a feature space: a point for each sample, and some samples at their places."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.engines.base import FloatArray
from foveate.explain.draw.inputs import show_input
from foveate.explain.draw.style import MARKERS, OKABE_ITO, colour, drawn, new_figure
from foveate.explain.measure.features import Projection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_LEGEND = 20
"""Classes with a colour and marker of their own; further ones are drawn alike."""


@drawn
def draw_feature_space(
    projection: Projection, dataset: Dataset, looks: Callable[[int], FloatArray], thumbnails: int, title: str
) -> "Figure":
    """A point for each sample; at most so many `thumbnails` at their places, as `looks(index)` gives them."""
    figure = new_figure(9.5, 7)
    axes = figure.subplots()
    tints = _draw_classes(axes, projection.coordinates, dataset)
    for axis, label in zip((axes.xaxis, axes.yaxis), _axis_labels(projection), strict=True):
        axis.set_label_text(label)
    axes.margins(0.06)
    if thumbnails > 0:
        framed = [tints[label] for label in dataset.labels]
        _draw_thumbnails(axes, looks, projection.coordinates, framed, thumbnails)
    figure.suptitle(title, fontsize=12)
    return figure


def _axis_labels(projection: Projection) -> tuple[str, str]:
    if projection.explained is None:
        return f"{projection.method} 1 (no unit)", f"{projection.method} 2 (no unit)"
    first, second = (f"{100 * share:.0f} % of the variance" for share in projection.explained)
    return f"{projection.method} 1 ({first})", f"{projection.method} 2 ({second})"


def _draw_classes(axes: "Axes", points: NDArray[np.float64], dataset: Dataset) -> list[str]:
    """A scatter for each class, the most frequent with a look of their own; the colour of each class."""
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    common = sorted(np.argsort(-counts, kind="stable")[:LARGEST_LEGEND])
    tints = [colour("soft")] * len(counts)
    for number, index in enumerate(common):
        tints[index] = OKABE_ITO[number % len(OKABE_ITO)]
    shown = [index for index in common if counts[index]]
    for index in shown:
        marker = MARKERS[common.index(index) % len(MARKERS)]
        label = dataset.classes[index]
        x, y = points[dataset.labels == index].T
        axes.scatter(x, y, s=16, c=tints[index], marker=marker, linewidths=0, label=label)
    others = ~np.isin(dataset.labels, common)
    if others.any():
        label = f"{int((counts > 0).sum()) - len(shown)} other classes"
        axes.scatter(points[others, 0], points[others, 1], s=8, c=colour("soft"), marker=".", label=label)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.8, title="class")
    return tints


def _draw_thumbnails(
    axes: "Axes", looks: Callable[[int], FloatArray], points: NDArray[np.float64], tints: Sequence[str], most: int
) -> None:
    """Samples centred on their points, in frames of the colours `tints`, one for each sample."""
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    axes.set(xlim=limits[0], ylim=limits[1])
    places = (points - limits[:, 0]) / (limits[:, 1] - limits[:, 0])
    size = np.array([0.075, 0.09])
    for index in spread_out(places, size, most):
        inset = axes.inset_axes((*(places[index] - size / 2), *size), zorder=5)
        show_input(inset, looks(index))
        inset.set_aspect("auto")
        inset.patch.set_alpha(0.85)
        for spine in inset.spines.values():
            spine.set(visible=True, color=tints[index], linewidth=1.5)


def spread_out(places: NDArray[np.float64], size: NDArray[np.float64], most: int) -> list[int]:
    """Indices of at most `most` places in the unit square on which boxes of `size` overlap neither each other nor its
    border: always the place farthest from those chosen."""
    free = ((places >= size / 2) & (places <= 1 - size / 2)).all(axis=1)
    distance = -np.abs(places - 0.5).max(axis=1)  # begin in the middle
    chosen: list[int] = []
    while free.any() and len(chosen) < most:
        index = int(np.where(free, distance, -np.inf).argmax())
        apart = np.abs(places - places[index])
        free &= (apart > 1.1 * size).any(axis=1)
        reach = np.hypot(*apart.T)
        distance = reach if not chosen else np.minimum(distance, reach)
        chosen.append(index)
    return chosen

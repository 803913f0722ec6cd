"""How the figures of a model look: the style of the house, images, maps and their colour bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from foveate.calls import kind, path_from
from foveate.errors import DataError
from foveate.figures import (
    COLOURS,
    MARKERS,
    SEQUENTIAL,
    Theme,
    bare,
    broken,
    class_tints,
    colour,
    diverging,
    drawn,
    font_families,
    grid_shape,
    in_three_digits,
    new_figure,
    png,
    theme,
    tint,
)
from foveate.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "MARKERS",
    "MOST_OBLONG",
    "SEQUENTIAL",
    "Theme",
    "bare",
    "broken",
    "class_tints",
    "colour",
    "colour_bar",
    "diverging",
    "drawn",
    "font_families",
    "grid_shape",
    "in_three_digits",
    "new_figure",
    "png",
    "relative_size",
    "save",
    "show_image",
    "show_map",
    "theme",
    "tint",
    "widened",
]

MOST_OBLONG = 8
"""How many times as long as wide an image is drawn at most: one of 2x300 pixels would be a line."""


def save(figure: "Figure", path: str | Path) -> None:
    """Write the figure as a PNG, atomically."""
    if not hasattr(figure, "savefig"):
        raise DataError(f"the figure is {kind(figure)}; give one that a plot_ function returned")
    write_atomically(path_from(path, "path"), png(figure))


def relative_size(shape: Sequence[int]) -> tuple[float, float]:
    """Height and width as parts of the longer of them, the shorter widened so that it can be seen."""
    longest = max(shape)
    height, width = (max(size / longest, 1 / MOST_OBLONG) for size in shape)
    return height, width


def widened(axes: "Axes", shape: Sequence[int]) -> None:
    """Draw an image of this shape no longer than can be seen, if its own proportions are beyond that."""
    if max(shape) > MOST_OBLONG * min(shape):
        height, width = relative_size(shape)
        axes.set_aspect("auto")
        axes.set_box_aspect(height / width)


def show_image(axes: "Axes", pixels: ArrayLike, title: str = "") -> None:
    """An image (C, H, W) or (H, W) on a scale from 0 to 1 without ticks; one channel is grey, three are colours."""
    values = np.asarray(pixels)
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    coloured = values.ndim == 3
    shown = np.clip(values.transpose(1, 2, 0) if coloured else values, 0, 1)
    axes.imshow(shown, cmap=None if coloured else "gray", vmin=0, vmax=1, interpolation="nearest")
    widened(axes, shown.shape[:2])
    bare(axes, title)


def show_map(
    axes: "Axes", values: ArrayLike, title: str = "", *, signed: bool = False, limit: float | None = None
) -> "ScalarMappable":
    """A map (H, W) in colours, for a colour bar: sequential from its smallest value, or diverging around zero."""
    array = np.asarray(values, np.float64)
    largest = limit if limit is not None else float(np.abs(array).max(initial=0)) or 1.0
    low = -largest if signed else min(0.0, float(array.min(initial=0)))
    image = axes.imshow(
        array, cmap=diverging() if signed else SEQUENTIAL, vmin=low, vmax=largest, interpolation="nearest"
    )
    widened(axes, array.shape)
    bare(axes, title)
    return image


def colour_bar(figure: "Figure", image: "ScalarMappable", axes: "Axes | Sequence[Axes]", label: str) -> None:
    """A colour bar with a label beside `axes`."""
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, pad=0.02)
    bar.set_label(label)
    bar.outline.set_edgecolor(colour("faint"))

"""Many small images in one set of axes, numbered: filters, activation maps, rows of layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from foveate.explain.draw.style import bare, colour, grid_shape, new_figure, relative_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

GAP = 0.08
"""The gap between tiles, as a fraction of a tile's longer side."""

LABEL_INCHES = 0.21
"""Room above a tile for its number."""


@dataclass(frozen=True)
class Tile:
    """Where a picture (height, width) lies in its axes: `left` and `top` corner, sizes as fractions of the longer
    side."""

    left: float
    top: float
    width: float
    height: float
    shape: tuple[int, int]

    def point(self, row: float, column: float) -> tuple[float, float]:
        """(x, y) of the middle of the picture's element at `row` and `column`."""
        rows, columns = self.shape
        return self.left + self.width * (column + 0.5) / columns, self.top + self.height * (row + 0.5) / rows


def place(shape: tuple[int, int], row: int, column: int, *, label: float = 0.0) -> Tile:
    """The tile of a picture (height, width) at `row` and `column` of a grid, with this much room above for a label."""
    height, width = relative_size(shape)
    return Tile(column * (width + GAP), row * (height + GAP + label) + label, width, height, shape)


@dataclass(frozen=True)
class Grid:
    """Pictures of one `shape` (height, width) in `columns`, with room for a label, a fraction of their longer side,
    above each."""

    shape: tuple[int, int]
    columns: int
    label: float
    height: float
    """The height of the whole grid in inches."""


def grid_of(count: int, shape: tuple[int, int], inches: float) -> Grid:
    """A grid for `count` pictures of one shape in an area this many inches wide and not much higher."""
    height, width = relative_size(shape)
    across = max(2, min(12, round(8 * height / width)))
    columns = grid_shape(count, columns=across)[1]
    side = min(1.8, inches / (columns * (width + GAP)))
    label = LABEL_INCHES / side
    return Grid(shape, columns, label, -(-count // columns) * side * (height + GAP + label))


def show_tile(axes: "Axes", picture: NDArray[Any], tile: Tile, **scale: Any) -> "AxesImage":
    """Draw (h, w) in the colours of `scale` (cmap, vmin, vmax), or (h, w, 3) as it is; NaN stays empty."""
    corners = (tile.left, tile.left + tile.width, tile.top + tile.height, tile.top)
    return axes.imshow(picture, extent=corners, interpolation="nearest", **scale)


def show_tiles(
    axes: "Axes", pictures: Sequence[NDArray[Any]], labels: Sequence[str], grid: "Grid", **scale: Any
) -> tuple["AxesImage", list[Tile]]:
    """Draw pictures in their grid, a label above each; returns the last as drawn, and all their tiles."""
    tiles = [place(grid.shape, *divmod(index, grid.columns), label=grid.label) for index in range(len(pictures))]
    for picture, label, tile in zip(pictures, labels, tiles, strict=True):
        image = show_tile(axes, picture, tile, **scale)
        axes.text(tile.left, tile.top - 0.1 * grid.label, label, fontsize=8, ha="left", va="bottom")
    frame(axes, tiles)
    return image, tiles


def frame(axes: "Axes", tiles: Sequence[Tile], *, ground: Literal["paper", "faint"] = "faint") -> None:
    """Show exactly these tiles, each with an edge, so white elements and gaps differ."""
    from matplotlib.patches import Rectangle

    for tile in tiles:
        edge: dict[str, Any] = {
            "facecolor": colour(ground),
            "edgecolor": colour("soft"),
            "linewidth": 0.8,
            "zorder": -1,
        }
        axes.add_patch(Rectangle((tile.left, tile.top), tile.width, tile.height, **edge))
    axes.set_xlim(-GAP / 2, max(tile.left + tile.width for tile in tiles) + GAP / 2)
    axes.set_ylim(max(tile.top + tile.height for tile in tiles) + GAP / 2, -GAP / 2)
    axes.set_aspect("equal", anchor="N")
    bare(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)


def note(figure: "Figure", text: str) -> None:
    """A sentence or two below the whole figure, wrapped to its width."""
    lines = ceil(len(text) / (figure.get_figwidth() * 13))
    figure.supxlabel(fill(text, ceil(len(text) / lines) + 8), fontsize=9, color=colour("soft"))


def titled(width: float, height: float, title: str) -> "Figure":
    """A new figure, its title wrapped to its width."""
    return new_figure(width, height, title)


def middle_slice(volume: NDArray[Any], depth: int | None = None) -> NDArray[Any]:
    """The slice (H, W) of (D, H, W) at `depth`, or the middle one; (H, W) as it is."""
    if volume.ndim < 3:
        return volume
    return np.asarray(volume[volume.shape[0] // 2 if depth is None else depth])

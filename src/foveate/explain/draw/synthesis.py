"""Figures of images that were made to excite channels."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from foveate.explain.draw.patches import draw_sample
from foveate.explain.draw.style import colour, drawn, grid_shape, in_three_digits, new_figure
from foveate.explain.measure.patches import ExcitingPatches
from foveate.explain.measure.synthesis import ExcitingImages
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawn
def draw_exciting_images(
    exciting: ExcitingImages, names: Sequence[str], box: tuple[range, ...], patches: ExcitingPatches | None
) -> "Figure":
    """A grid of the part `box` of each image with the name of its channel and its largest activation."""
    rank = exciting.images.ndim - 2
    rows, columns = grid_shape(len(exciting.images), columns=6 if rank > 1 else 5)
    size = 1.5 if rank > 1 else 2.1
    title = f"Inputs made to excite {exciting.layer}"
    figure = new_figure(max(6.0, columns * size + 0.4), 0.9 + rows * (size if rank < 2 else size + 0.4), title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    shown = zip(panels, exciting.images, exciting.channels, names, exciting.largest, strict=False)
    for axes, image, channel, name, reached in shown:
        draw_sample(axes, image[:, *(slice(axis.start, axis.stop) for axis in box)], begin=box[0].start if box else 0)
        said = f"{fill(shortened(name, 34), 20)}\n{in_three_digits(reached)}"
        if patches is not None:
            said += f" (data: {in_three_digits(patches.values[channel, 0])})"
        axes.set_title(said, fontsize=8)
    for axes in panels[len(exciting.images) :]:
        axes.axis("off")
    figure.supxlabel(_caption(rank, patches), fontsize=9, color=colour("soft"))
    return figure


def _caption(rank: int, patches: ExcitingPatches | None) -> str:
    said = "Above each: the largest activation in it" + ("" if patches is None else " (data: over the dataset)")
    return said + {2: "", 3: "\nThe middle slice of each"}.get(rank, "\nValues over sample index")

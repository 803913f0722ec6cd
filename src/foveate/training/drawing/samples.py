"""A contact sheet of samples with a few words each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate.figures import bare, colour, drawn, grid_shape, new_figure, tint
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 2.0
_WORDS = 0.85
_LONGEST = 26
"""Characters of a line below a sample."""


@drawn
def draw_samples(inputs: NDArray[Any], captions: Sequence[Sequence[str]]) -> "Figure":
    """Inputs (n, C, *spatial) in a grid, each with its name and loss above, what it was and what was said below."""
    down, across = grid_shape(len(inputs), columns=6)
    oblong = min(max(inputs.shape[-2] / inputs.shape[-1], 0.3), 2.0) if inputs.ndim > 3 else 1.0
    figure = new_figure(_WIDTH * max(across, 2), (_WIDTH * oblong + _WORDS) * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for place, axes in enumerate(panels):
        if place >= len(inputs):
            axes.set_visible(False)
            continue
        name, loss, target, prediction = (shortened(words, _LONGEST) for words in captions[place])
        _show(axes, inputs[place])
        bare(axes, f"{name}\n{loss}")
        axes.set_xlabel(f"was {target}", fontsize=8)
        below = {"xy": (0.5, 0), "xycoords": "axes fraction", "xytext": (0, -18), "textcoords": "offset points"}
        axes.annotate(f"said {prediction}", **below, fontsize=8, color=tint(1), ha="center", va="top")
    return figure


def _show(axes: "Axes", sample: NDArray[Any]) -> None:
    """A signal as curves, an image as it is, a volume by its middle slice; other channels than three are averaged."""
    values = sample.astype(np.float64) / (255 if sample.dtype == np.uint8 else 1)
    if values.ndim < 3:
        axes.plot(np.atleast_2d(values).T, color=colour("ink"), linewidth=0.6)
        axes.set_box_aspect(1)
        return
    image = values[:, values.shape[1] // 2] if values.ndim == 4 else values
    if len(image) == 3:
        axes.imshow(np.clip(image.transpose(1, 2, 0), 0, 1), interpolation="nearest")
    else:
        axes.imshow(np.clip(image.mean(axis=0), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")

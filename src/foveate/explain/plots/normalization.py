"""What a model's normalisations do, in a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foveate.explain.draw.normalization import draw_normalization_effects
from foveate.explain.probe.normalization import normalization_effect, normalizations
from foveate.explain.probe.probe import Images
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_normalization_effect(
    model: Model, images: Images, layers: Sequence[str] | None = None, *, most: int = 6
) -> "Figure":
    """A row for each normalisation: all values before and after it, and the mean and spread of each channel.

    Args:
        model: the network, run as in inference.
        images: what `Model.predict` takes, the more the better.
        layers: names of normalisations (default: all, or `most` of them, evenly spaced).
        most: the most rows to draw if no layers are named.

    Raises:
        GraphError: the network has no normalisation, or a named layer is not one.
    """
    nodes = normalizations(model, layers)
    chosen = nodes
    if layers is None and len(nodes) > most:
        chosen = tuple(nodes[place] for place in np.linspace(0, len(nodes) - 1, most).round().astype(int))
    effects = normalization_effect(model, images, [node.name for node in chosen])
    title = "What normalisation does to activations"
    if len(chosen) < len(nodes):
        title += f": {len(chosen)} of {len(nodes)} layers" + (", evenly spaced" if layers is None else "")
    return draw_normalization_effects(effects, [node.layer.describe() for node in chosen], title)

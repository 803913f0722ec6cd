"""The patches that excite channels, in a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foveate.data import Dataset
from foveate.explain.draw.patches import draw_exciting_patches
from foveate.explain.measure.patches import ExcitingPatches
from foveate.explain.measure.words import element_noun
from foveate.explain.probe.patches import channel_name, cut_patches
from foveate.explain.probe.probe import Images
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_CHANNELS = 8


def plot_exciting_patches(
    model: Model, patches: ExcitingPatches, images: "Dataset | Images", channels: Sequence[int] | None = None
) -> "Figure":
    """A row of patches for each channel, with their activations; padding is hatched.

    Args:
        model: as for `exciting_patches`.
        patches: the result of `exciting_patches`.
        images: the images in which they were found.
        channels: one for each row (default: the eight with the largest activations).
    """
    if channels is None:
        channels = np.argsort(-patches.values[:, 0], kind="stable")[:SHOWN_CHANNELS].tolist()
    rows = cut_patches(model, patches, images, channels)
    rank = patches.boxes.shape[2]
    sees = model.graph.receptive_field(patches.layer).short()
    sees += f" {element_noun(rank)}s" if sees[-1].isdigit() else ""
    named = [(channel, channel_name(model, patches.layer, channel)) for channel in channels]
    return draw_exciting_patches(patches, rows, named, sees)

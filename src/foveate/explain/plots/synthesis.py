"""Images that were made to excite channels, in a figure."""

from typing import TYPE_CHECKING

from foveate.errors import DataError
from foveate.explain.draw.synthesis import draw_exciting_images
from foveate.explain.measure.patches import ExcitingPatches
from foveate.explain.measure.synthesis import ExcitingImages
from foveate.explain.probe.patches import channel_name
from foveate.explain.probe.synthesis import centre_field
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_exciting_images(model: Model, exciting: ExcitingImages, *, patches: ExcitingPatches | None = None) -> "Figure":
    """A grid of the images, with the largest activation in each and the largest over a dataset.

    For images made for the middle element, only its receptive field is shown.

    Args:
        model: as for `exciting_images`.
        exciting: the result of `exciting_images`.
        patches: the result of `exciting_patches` for the same layer.

    Raises:
        DataError: the patches are of another layer.
    """
    if patches is not None and patches.layer != exciting.layer:
        raise DataError(
            f"the images excite {exciting.layer}, but the patches excite {patches.layer}; "
            f"find patches for {exciting.layer}"
        )
    names = [channel_name(model, exciting.layer, int(channel)) for channel in exciting.channels]
    return draw_exciting_images(exciting, names, centre_field(model, exciting), patches)

"""A dataset in the network's feature space, in a figure."""

from typing import TYPE_CHECKING

import numpy as np

from foveate.data import Dataset
from foveate.data.batches import permutation
from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.explain.draw.features import draw_feature_space
from foveate.explain.measure.features import Method, project
from foveate.explain.probe.features import features, penultimate
from foveate.explain.probe.probe import displayed, prepare
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_feature_space(
    model: Model,
    dataset: Dataset,
    method: Method = "pca",
    *,
    layer: str | None = None,
    samples: int = 1000,
    thumbnails: int = 24,
    seed: int = 0,
) -> "Figure":
    """A point for each image, in the colour and with the marker of its class; some images are drawn beside their
    points.

    Args:
        model: the network, run as in inference.
        dataset: the images, and their classes.
        method: as for `project`.
        layer: the layer whose output to lay out (default: the penultimate features).
        samples: the most images to use, drawn at random.
        thumbnails: the most images to show; fewer if there is no room.
        seed: for the choice of images, and for UMAP and t-SNE.

    Raises:
        GraphError: there is no such layer; the message names the nearest.
        DataError: there is no such method, its package is not installed, or there are fewer than 3 images.
        ShapeError: the images do not have the network's input shape.
    """
    if samples < 3 or len(dataset) < 3:
        raise DataError(f"a plane needs at least 3 images; samples is {samples}, and the dataset has {len(dataset)}")
    chosen = dataset
    if samples < len(dataset):
        chosen = dataset.subset(np.sort(permutation(len(dataset), seed, "feature space")[:samples]))
    name = penultimate(model) if layer is None else layer
    found = features(model, chosen, name)
    projection = project(found, method, seed=seed)
    shown = {2: "each curve is a sample (its first channel)", 4: "each picture is a sample's middle slice"}
    title = f"Feature space: the {found.shape[1]:,} outputs of {name} for each of {len(chosen):,} samples"
    if thumbnails > 0:
        words = shown.get(len(chosen.shape), "each picture is a sample")
        title += f"\nlaid out in two dimensions; {words}, its point at the end of the line"

    def looks(index: int) -> FloatArray:
        sample: FloatArray = displayed(model, prepare(model, chosen.inputs[index : index + 1]))[0]
        return sample

    return draw_feature_space(projection, chosen, looks, thumbnails, title)

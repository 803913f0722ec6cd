"""Why this class, in figures: one attribution, or every method side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from foveate.engines.base import FloatArray
from foveate.errors import ShapeError
from foveate.explain.draw.attribution import draw_attribution, draw_curve_comparison, draw_map_comparison, in_percent
from foveate.explain.measure.attribution import upsample
from foveate.explain.measure.explanation import Explanation
from foveate.explain.probe.classes import Target, asked, class_name, decoded, gives_chances
from foveate.explain.probe.explanation import explain_class, one_image, without_preprocessing
from foveate.explain.probe.probe import Images, displayed
from foveate.geometry import format_sizes
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CLASSES_SHOWN = 5


def plot_attribution(model: Model, image: Images, attribution: ArrayLike, title: str = "") -> "Figure":
    """One image beside its attribution: signed (the sum over channels), as magnitudes (the largest channel), and
    overlaid.

    In 1-D each is a curve; in 3-D, three slices are shown in rows. A map with no negative values has no signed panel.

    Args:
        model: the network.
        image: one image, as `Model.predict` takes it.
        attribution: for that image, (C, *spatial) or (*spatial) of the input or of a layer, with or without a batch
            axis of one.
        title: the figure's title.

    Raises:
        DataError: there are several images, or the model takes neither curves, nor images, nor volumes.
        ShapeError: the attribution does not have such a shape.
    """
    prepared = one_image(model, image)
    return draw_attribution(displayed(model, prepared)[0], _channels_first(model, attribution), title)


def plot_attributions(
    model: Model,
    image: Images,
    target: Target = None,
    layer: str | None = None,
    *,
    explained: Mapping[str, Explanation] | None = None,
) -> "Figure":
    """Every method on one image: why does the network predict this class?

    Each map has its own scale. The completeness error is given below integrated gradients; a method that the network
    does not allow says why.

    Args:
        model: the network.
        image: one image, as `Model.predict` takes it.
        target: the class (default: the predicted one).
        layer: for Grad-CAM (default: the last layer with maps that is not a pooling layer).
        explained: the result of `explain_class` for the same arguments, if already known.

    Raises:
        GraphError: there is no such layer, or it outputs no maps.
        DataError: there is no such class, there are several images, or one cannot be used.
        ShapeError: the network does not output one number for each class, or an array does not have its input shape.
    """
    prepared = one_image(model, image)
    _, classes = asked(without_preprocessing(model), prepared, target)
    index = int(classes[0])
    name = class_name(model, index)
    values = decoded(model, prepared)[0]
    if gives_chances(model):
        title = f"Why “{name}”? The network gives it {in_percent(values[index])}"
        likeliest = _likeliest(model, values)
    else:
        title, likeliest = f"What makes “{name}” {values[index]:.4g}?", []
    explained = explained or explain_class(model, image, index, layer)
    shown = displayed(model, prepared)[0]
    if shown.ndim == 2:
        return draw_curve_comparison(shown, explained, title)
    return draw_map_comparison(shown, explained, title, likeliest)


def _likeliest(model: Model, chances: FloatArray) -> list[tuple[str, float]]:
    """The most probable classes with their probabilities, the most probable last."""
    best = np.argsort(chances)[::-1][:_CLASSES_SHOWN][::-1]
    return [(class_name(model, int(index)), float(chances[index])) for index in best]


def _channels_first(model: Model, attribution: ArrayLike) -> FloatArray:
    """(C, *spatial) of the input, or (1, *spatial) if the attribution has no channels or is of a layer."""
    shape = model.graph.input_shape
    given: FloatArray = np.asarray(attribution, np.float64)
    values = given[0] if given.shape[:1] == (1,) and given.ndim > len(shape) - 1 and given.shape != shape else given
    if values.shape == shape:
        return values
    if values.ndim != len(shape) - 1 or not values.size:
        raise ShapeError(
            f"the attribution is {format_sizes(given.shape) or 'a number'}; it must be {format_sizes(shape)}, or have "
            f"the {len(shape) - 1} spatial axes of a layer"
        )
    return upsample(values[None], shape[1:])

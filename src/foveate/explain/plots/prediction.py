"""The first look: an image as the network receives it, and its prediction."""

from typing import TYPE_CHECKING

import numpy as np

from foveate.explain.draw.prediction import draw_prediction, draw_values
from foveate.explain.probe.classes import check_classifier, class_chances, class_name, decoded, gives_chances
from foveate.explain.probe.probe import Images, displayed, prepare_one
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BARS = 10


def plot_prediction(model: Model, image: Images) -> "Figure":
    """An image, and the probabilities of its likeliest classes; of a regression the predicted values.

    Raises:
        ShapeError: the network is not a classifier, or the image does not have its shape.
    """
    check_classifier(model)
    prepared = prepare_one(model, image)
    shown = displayed(model, prepared)[0]
    if not gives_chances(model):
        values = decoded(model, prepared)[0, :_MOST_BARS]
        return draw_values(shown, [class_name(model, index) for index in range(len(values))], values)
    probabilities = class_chances(model, prepared)[0]
    best = np.argsort(-probabilities, kind="stable")[:_MOST_BARS]
    names = [class_name(model, int(index)) for index in best]
    return draw_prediction(shown, names, 100 * probabilities[best])

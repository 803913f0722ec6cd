"""The first look: an image as the network gets it, and what the network makes of it."""

from typing import TYPE_CHECKING

import numpy as np

from foveate.explain.draw.inputs import middle, show_input
from foveate.explain.draw.style import OKABE_ITO, drawn, new_figure
from foveate.explain.probe.probe import Images, check_classifier, class_name, displayed, prepare_one
from foveate.model import Model
from foveate.training import logits_of, softmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES = 10


@drawn
def plot_prediction(model: Model, image: Images) -> "Figure":
    """An image, and the probabilities of its likeliest classes.

    Raises:
        ShapeError: the network is no classifier, or the image does not have its shape.
    """
    check_classifier(model)
    prepared = prepare_one(model, image)
    probabilities = softmax(logits_of(model.graph, model.logits(prepared)))[0]
    best = np.argsort(-probabilities, kind="stable")[:_MOST_CLASSES]
    figure = new_figure(8, max(2.2, 0.28 * len(best) + 1))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    show_input(left, displayed(model, prepared)[0])
    cut = middle(prepared.shape[2:])[1] if prepared.ndim == 5 else ""
    left.set_title(f"what the network gets{', ' if cut else ''}{cut}", fontsize=10)
    shares = 100 * probabilities[best]
    words = [f"{share:.1f} %" if share >= 0.05 else "below 0.1 %" for share in shares]
    right.bar_label(right.barh(range(len(best)), shares, color=OKABE_ITO[0]), words, padding=3, fontsize=9)
    right.set_yticks(range(len(best)), [class_name(model, int(index)) for index in best])
    right.invert_yaxis()
    right.set_xlim(0, 118)
    right.set_xticks(range(0, 101, 25))
    right.set_xlabel("probability (%)")
    right.set_title("what it makes of it", fontsize=10)
    return figure

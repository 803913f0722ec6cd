"""Every attribution method applied to one image."""

from collections.abc import Callable
from copy import copy

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError, GraphError
from foveate.explain.measure.explanation import Explanation, emptiness
from foveate.explain.probe.activation_maps import activation_maps
from foveate.explain.probe.attribution import (
    cam_layer,
    grad_cam,
    guided_backpropagation,
    integrated_gradients,
    occlusion,
    saliency,
)
from foveate.explain.probe.classes import Target, asked, class_scores, scored_graph
from foveate.explain.probe.probe import Images, Outputs, prepare_one
from foveate.geometry import format_sizes
from foveate.model import Model


def one_image(model: Model, image: Images) -> NDArray[np.float32]:
    """The prepared image (1, *input shape), for a network whose inputs can be drawn."""
    if not 2 <= len(model.graph.input_shape) <= 4:
        raise DataError(
            f"the network takes {format_sizes(model.graph.input_shape)}, which cannot be drawn; only inputs with one "
            "to three spatial axes can"
        )
    return prepare_one(model, image)


def without_preprocessing(model: Model) -> Model:
    """The same network with the same state, taking prepared inputs as they are."""
    other = copy(model)
    other.preprocessing = None
    return other


def explain_class(
    model: Model, image: Images, target: Target = None, layer: str | None = None
) -> dict[str, Explanation]:
    """Each method's result for one image, by method name; a method that the network does not allow becomes a note.

    Arguments and errors are those of `plot_attributions`, which draws it.
    """
    prepared = one_image(model, image)
    model = without_preprocessing(model)
    index = int(asked(model, prepared, target)[1][0])
    if layer is not None:
        cam_layer(model, layer)

    def integrated() -> Explanation:
        result = integrated_gradients(model, prepared, index)
        error, change = float(result.completeness_error[0]), float(result.change[0])
        return Explanation(result.attributions[0], f"completeness error {error:.2g}\nof a change of {change:.3g}")

    def cam() -> Explanation:
        node = cam_layer(model, layer)
        found = grad_cam(model, prepared, index, node.name, relu=False)[0]
        silent = not activation_maps(model, prepared, node.name).any()
        told = emptiness(found, silent=silent)
        noted = f"layer {node.name},\nmaps {format_sizes(found.shape)}"
        return Explanation(found, f"{noted}\n{told}" if told else noted, only_for=True)

    def occluded() -> Explanation:
        found = occlusion(model, prepared, index)[0]
        scores = Outputs(model, 1, graph=scored_graph(model))(prepared)
        score = float(class_scores(model, scores, np.array([index]))[0])
        told = f"at most {np.abs(found).max():.2g}\nof a score of {score:.3g}"
        return Explanation(found, told, whole=abs(score))

    makers: dict[str, Callable[[], Explanation]] = {
        "saliency": lambda: Explanation(saliency(model, prepared, index)[0]),
        "guided_backpropagation": lambda: Explanation(guided_backpropagation(model, prepared, index)[0]),
        "integrated_gradients": integrated,
        "grad_cam": cam,
        "occlusion": occluded,
    }
    explained = {}
    for name, make in makers.items():
        try:
            explained[name] = make()
        except GraphError as error:
            explained[name] = Explanation(None, str(error))
    return explained

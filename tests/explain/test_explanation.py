"""What is told of one image's maps: an empty Grad-CAM says why, and occlusion is seen beside the whole score."""

import numpy as np
import pytest
from matplotlib.text import Text

import foveate as fv
from foveate.explain.draw.attribution import limit_of
from foveate.explain.measure.explanation import emptiness
from foveate.explain.plots.attribution import plot_attributions
from foveate.explain.probe.attribution import grad_cam, occlusion
from foveate.explain.probe.explanation import explain_class
from tests.support import random_arrays

IMAGE = np.random.default_rng(0).random((1, 1, 12, 12)).astype(np.float32)


def network(**replaced: float) -> fv.Model:
    """A network with random parameters, or all of a number where that is given by name."""
    layers = (fv.Conv2d(4, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(3))
    model = fv.Model(fv.Sequential(*layers).build((1, 12, 12)))
    for name, array in random_arrays(model.graph).items():
        value = replaced.get(name.replace(".", "_"))
        model.state.load(name, array if value is None else np.full_like(array, value))
    return model


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"conv1_weight": 0.0, "conv1_bias": -1.0}, "empty: the layer is silent, all its activations are 0"),
        ({"conv1_weight": 0.5, "linear1_weight": 0.0}, "empty: the gradient of the class is 0 in this layer"),
        ({"conv1_weight": 0.5, "linear1_weight": -1.0}, "empty: the layer speaks only against the class"),
        ({"conv1_weight": 0.5, "linear1_weight": 1.0}, ""),
    ],
)
def test_an_empty_grad_cam_says_why(replaced: dict[str, float], sentence: str) -> None:
    model = network(**replaced)
    noted = explain_class(model, IMAGE, 0)["grad_cam"].noted
    assert noted == "layer relu1,\nmaps 10x10" + (f"\n{sentence}" if sentence else "")
    words = " ".join(" ".join(text.get_text().split()) for text in plot_attributions(model, IMAGE, 0).findobj(Text))
    assert sentence in words


def test_a_map_with_next_to_nothing_for_the_class_is_told_of() -> None:
    lonely, faint = np.zeros((6, 6)), np.full((4, 4), -1.0)
    lonely[0, :2], faint[0, 0] = 1, 1
    assert emptiness(lonely, silent=False) == "nearly empty: 2 of 36 places speak for the class"
    assert emptiness(faint, silent=False) == "nearly empty: 6 % of the map speaks for the class"
    assert emptiness(np.eye(4) - 0.2, silent=False) == ""


def test_grad_cam_is_shown_with_its_sign_and_over_the_image_without_what_is_against() -> None:
    model, image = network(conv1_bias=0.0), IMAGE - 0.5
    weights = np.abs(model.read("linear1.weight"))
    model.state.load("linear1.weight", (weights * [1, -1, 1, -1]).astype(np.float32))
    found = explain_class(model, image, 1)["grad_cam"]
    signed = grad_cam(model, image, 1, relu=False)[0]
    assert signed.min() < 0 < signed.max()
    assert np.array_equal(found.map, signed)
    assert np.array_equal(found.meant(signed), grad_cam(model, image, 1)[0])
    panels = [axes.images for axes in plot_attributions(model, image, 1).axes if axes.images]
    assert np.allclose(panels[4][0].get_array(), signed / limit_of(signed), atol=1e-6)


def test_occlusion_is_coloured_beside_the_whole_score_and_says_both() -> None:
    model = network(linear1_bias=8.0)
    found, falls = explain_class(model, IMAGE, 1)["occlusion"], occlusion(model, IMAGE, 1)[0]
    score = model.logits(IMAGE)[0, 1]
    assert found.noted == f"at most {np.abs(falls).max():.2g}\nof a score of {score:.3g}"
    panels = [axes.images for axes in plot_attributions(model, IMAGE, 1).axes if axes.images]
    shown = np.asarray(panels[5][0].get_array())
    assert np.allclose(shown, falls / score, atol=1e-6)
    assert np.abs(shown).max() < 0.3  # pale, for no window decides
